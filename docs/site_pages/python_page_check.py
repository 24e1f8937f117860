"""The page reference/python.md has every public name, and each has a docstring that describes its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module

import medzoo
from site_pages.markdown import arguments_of

PLACED = re.compile(r"^::: (medzoo[\w.]*)$", re.MULTILINE)
NOT_CALLED = {"__version__"}  # described in words


def problems_of_page(page: str, names: list[str] | None = None) -> Iterator[str]:
    """What is missing, as sentences.

    Args:
        page: the Markdown of the page.
        names: the public names of medzoo; by default `medzoo.__all__`.
    """
    placed = PLACED.findall(page)
    for name in medzoo.__all__ if names is None else names:
        if name in NOT_CALLED:
            if f"medzoo.{name}" not in page:
                yield f"reference/python.md does not name medzoo.{name}. Describe it in words."
        elif f"medzoo.{name}" not in placed:
            yield f"reference/python.md does not have medzoo.{name}. Add the line `::: medzoo.{name}`."
    for name in placed:
        try:
            thing = found(name)
        except (ImportError, AttributeError):
            yield f"reference/python.md has {name}, which does not exist. Correct the name."
            continue
        yield from problems_of(thing, name)


def found(name: str) -> object:
    """The module, class or function of a name.

    Args:
        name: with its modules.

    Raises:
        AttributeError: if the last module does not have it.
    """
    thing: object = medzoo
    place = "medzoo"
    for word in name.split(".")[1:]:
        place = f"{place}.{word}"
        try:
            thing = getattr(thing, word)
        except AttributeError:
            thing = import_module(place)
    return thing


def problems_of(thing: object, name: str) -> Iterator[str]:
    """What the docstring of a public name lacks.

    Args:
        thing: a module, class or function.
        name: of it, for the message.

    >>> def add(x, y):
    ...     '''Add.
    ...
    ...     Args:
    ...         x: a number.
    ...     '''
    >>> list(problems_of(add, "add"))
    ["The docstring of add does not describe the parameter 'y'. Add it to Args."]
    """
    text = inspect.getdoc(thing)
    if not text:
        yield f"{name} has no docstring. Write one: a sentence, Args, Raises, an example."
        return
    if not callable(thing):
        return
    described = arguments_of(text)
    for base in inspect.getmro(thing) if isinstance(thing, type) else ():  # a class takes the arguments of its bases
        described |= arguments_of(base.__doc__)
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.name not in described and parameter.name != "self":
            yield f"The docstring of {name} does not describe the parameter {parameter.name!r}. Add it to Args."
