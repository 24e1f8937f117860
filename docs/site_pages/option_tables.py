"""Tables of options and keys, from the dataclasses that read them."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from medzoo.closed_schema import hints_of, limits_in_words
from medzoo.training.options.fields import flag, options_of, worded
from medzoo.training.options.help_page import ORDER, OTHER, OptionHelp
from site_pages.markdown import arguments_of, as_text, code, table, toml_value

NAMES: dict[object, str] = {str: "text", int: "whole number", float: "number", bool: "switch"}


class MissingTextError(Exception):
    """A key or option of the reference has no description in the source."""


def command_line_options(helps: Mapping[str, OptionHelp], rows: Mapping[str, Field[Any]], kinds: Iterable[type]) -> str:
    """Options of a recipe, by section.

    Args:
        helps: section and default of each option.
        rows: the options by name.
        kinds: the dataclasses that have them.
    """
    facts = {one.name: (kind, words) for each in kinds for one, kind, words in options_of(each)}
    sections: dict[str, list[list[str]]] = {}
    for name, row in helps.items():
        one, (kind, words) = rows[name], facts[name]
        default = row.default.removeprefix("default: ")
        cells = [code(_typed(one, kind, words)), as_text(_with_limits(one)), as_text(default)]
        here = sections.setdefault(row.section, [])
        here.insert(0 if row.required else len(here), cells)
    last = [name for name in ("device", "output", OTHER) if name in sections]
    order = [name for name in ORDER if name in sections]
    order += [*(name for name in sections if name not in (*order, *last)), *last]  # as --help does
    return "\n".join(
        f"**{section[:1].upper()}{section[1:]}**\n\n{table(['option', 'meaning', 'default'], sections[section])}"
        for section in order
    )


def _typed(one: Field[Any], kind: Any, words: tuple[Any, ...] | None) -> str:  # noqa: ANN401
    """An option as it is typed."""
    if kind is bool:
        name = flag(one.name)
        return f"{name}, --no-{name[2:]}" if one.default is True else name
    value = "|".join(map(str, words)) if words else one.metadata.get("metavar") or one.name.upper()
    return f"{flag(one.name)} {value}"


def _with_limits(one: Field[Any]) -> str:
    limits = limits_in_words(one)
    text = one.metadata.get("help") or ""
    return f"{text} ({limits})" if limits else text


def keys(kind: type, where: str = "", *, texts: Mapping[str, str] | None = None) -> str:
    """The keys of a TOML or JSON table, from the dataclass that reads it; tables inside of it have links.

    Args:
        kind: the dataclass.
        where: of the table, for the message of an error.
        texts: descriptions that the dataclass does not have.

    Raises:
        MissingTextError: if a key has no description.
    """
    described = {**arguments_of(kind.__doc__), **(texts or {})}
    hints = hints_of(kind)
    rows = []
    for one in fields(kind):
        if not one.init:
            continue
        text = described.get(one.name) or one.metadata.get("help")
        if not text:
            raise MissingTextError(
                f"{where or kind.__qualname__}: the key {one.name!r} of {kind.__module__}.{kind.__qualname__} has no "
                "description. Add it to the docstring's Args, or as help of its option()."
            )
        limits = limits_in_words(one)
        rows.append(
            [
                code(one.name),
                type_name(hints[one.name]),
                as_text(f"{text.rstrip('.')} ({limits})." if limits else text),
                _default(one),
            ]
        )
    return table(["key", "type", "meaning", "default"], rows)


def _default(one: Field[Any]) -> str:
    if one.metadata.get("required") or (one.default is MISSING and one.default_factory is MISSING):
        return "required"
    if one.metadata.get("shown"):
        return as_text(one.metadata["shown"])
    value = one.default_factory() if one.default_factory is not MISSING else one.default
    if value in (None, "", (), {}) or is_dataclass(value):
        return ""
    return code(toml_value(value)) if not isinstance(value, float) else code(worded(value))


def type_name(hint: Any) -> str:  # noqa: ANN401 - any type
    """The type of a key in words.

    Args:
        hint: its annotation.

    >>> [type_name(hint) for hint in (int | None, tuple[float, ...], Literal["a", "b"])]
    ['whole number', 'list of numbers', '<code>"a"</code> or <code>"b"</code>']
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(one) for one in arguments if one is not type(None))
    if origin is Literal:
        return " or ".join(code(toml_value(one)) for one in arguments)
    if origin is tuple or origin is list:
        inner = arguments[0]
        if get_origin(inner) is tuple:
            return f"list of {type_name(inner).replace('list', 'lists', 1)}"
        words = type_name(inner)
        return (
            f"list of {words}s"
            if inner in NAMES and inner is not str
            else f"list of {words if inner is not str else 'texts'}"
        )
    if is_dataclass(hint):
        return "table"
    return NAMES.get(hint, "table")
