"""Task families, found by file name in `medzoo/data/tasks`; nothing heavy is imported to list them."""

from __future__ import annotations

import inspect
import os
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from medzoo.errors import UsageError

if TYPE_CHECKING:
    from medzoo.data.task import Task

_FOLDER = Path(__file__).with_name("tasks")


def open_family(family: str) -> ModuleType:
    """The module of a family, by its file name."""
    return import_module(f"medzoo.data.tasks.{family}")


@cache
def task_names() -> dict[str, str]:
    """Task name → family.

    >>> task_names()["retinamnist"]
    'medmnist'
    """
    families = sorted(path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return {task: family for family in families for task in open_family(family).TASKS}


def split_name(name: str) -> tuple[str, str | None, dict[str, str]]:
    """A task's name → (listed name, path, choices).

    >>> split_name("phantom_ct,n=2000")
    ('phantom_ct', None, {'n': '2000'})
    >>> split_name("folder:scans/knee")
    ('folder:PATH', 'scans/knee', {})
    """
    prefix, colon, path = name.partition(":")
    if colon:
        return f"{prefix}:PATH", path, {}
    base, *rest = name.split(",")
    choices: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or not key or not value or key in choices:
            raise UsageError(f"Task {name!r}: {part!r} should be key=value, once each, as in phantom_ct,n=2000.")
        choices[key] = value
    return base, None, choices


def load_from_family(
    name: str,
    *,
    root: str | os.PathLike[str] | None,
    label_policy: str | None,
    groups: str | None,
    pooled: bool = False,
) -> Task:
    """Call the family's `load` with what it takes; an option that it does not take is an error, never ignored.

    Args:
        name: the task's name with its choices.
        root: folder of the data.
        label_policy: for families that have uncertain labels.
        groups: for families that do not know their groups.
        pooled: the splits will be replaced, so that families may join them (and a leak between them is no error yet).
    """
    base, path, choices = split_name(name)
    family = open_family(task_names()[base])
    parameters = inspect.signature(family.load).parameters
    options: dict[str, Any] = {}
    for key, value in choices.items():
        if key not in family.CHOICES:
            known = ", ".join(family.CHOICES) or "none"
            raise UsageError(f"Task {base} has no choice {key!r}; it has {known}.")
        words = family.CHOICES[key]
        if words is None and not value.isdecimal():
            raise UsageError(f"Task {name!r}: {key}={value!r} should be a whole number.")
        if words is not None and value not in words:
            raise UsageError(f"Task {name!r}: {key}={value!r} should be one of {', '.join(words)}.")
        options[key] = int(value) if words is None else value
    for key, given in (("label_policy", label_policy), ("groups", groups)):
        if given is None:
            continue
        if key not in parameters:
            raise UsageError(
                f"Task {base} fixes its {key.replace('_', ' ')} itself; leave --{key.replace('_', '-')} out."
            )
        options[key] = given
    place = None if root is None else Path(root).expanduser()
    if path is not None:
        options["path"] = path
    if "pooled" in parameters:
        options["pooled"] = pooled
    return family.load(base, place, **options)
