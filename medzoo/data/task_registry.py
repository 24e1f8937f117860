"""Task families, found by file name in `medzoo/data/tasks`; nothing heavy is imported to list them."""

from __future__ import annotations

import inspect
import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from medzoo.errors import UsageError
from medzoo.paths import plain_path

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

    Raises:
        UsageError: for a choice that is not key=value, or is there twice.

    >>> split_name("phantom_ct,n=2000")
    ('phantom_ct', None, {'n': '2000'})
    >>> split_name("folder:scans/knee")
    ('folder:PATH', 'scans/knee', {})
    >>> split_name("folder:scans/chest,window=lung")
    ('folder:PATH', 'scans/chest', {'window': 'lung'})
    >>> split_name("rsna_pe,window=-160:240")
    ('rsna_pe', None, {'window': '-160:240'})
    >>> split_name("folder:scans/knee,window=percentile:1,99")
    ('folder:PATH', 'scans/knee', {'window': 'percentile:1,99'})
    """
    prefix, colon, path = name.partition(":")
    if colon and "," not in prefix:  # a colon after a comma is part of a choice, as in window=-160:240
        base = f"{prefix}:PATH"
        known = open_family(task_names()[base]).CHOICES if base in task_names() else ("window",)
        place, chosen = _path_and_choices(path, tuple(known), name)
        return base, place, chosen
    base, *rest = name.split(",")
    choices: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if part and not equals and list(choices)[-1:] == ["window"]:
            choices["window"] += f",{part}"  # a comma inside of the choice, as in window=percentile:1,99
            continue
        if not equals or not key or not value or key in choices:
            raise UsageError(f"Task {name!r}: {part!r} should be key=value, once each, as in phantom_ct,n=2000.")
        choices[key] = value
    return base, None, choices


def _path_and_choices(path: str, known: tuple[str, ...], name: str) -> tuple[str, dict[str, str]]:
    """A path, which may hold commas, and what stands behind it as `,key=value` with a known key; values may hold commas too."""
    starts = list(re.finditer(rf",({'|'.join(map(re.escape, known))})=", path)) if known else []
    ends = [start.start() for start in starts[1:]] + [len(path)]
    choices: dict[str, str] = {}
    for start, end in zip(starts, ends, strict=True) if starts else ():
        value = path[start.end() : end]
        if not value or start[1] in choices:
            raise UsageError(
                f"Task {name!r}: {start[1]} should stand once, with a value, as in folder:scans,window=lung."
            )
        choices[start[1]] = value
    return path[: starts[0].start()] if starts else path, choices


def _chosen(name: str, key: str, value: str, words: Any) -> Any:  # noqa: ANN401
    """A choice as the family takes it: a whole number, one of its words, or what its function makes of the text."""
    if callable(words):
        return words(value)
    if words is None and not value.isdecimal():
        raise UsageError(f"Task {name!r}: {key}={value!r} should be a whole number.")
    if words is not None and value not in words:
        raise UsageError(f"Task {name!r}: {key}={value!r} should be one of {', '.join(words)}.")
    return int(value) if words is None else value


def load_from_family(
    name: str,
    *,
    root: str | os.PathLike[str] | None,
    label_policy: str | None,
    groups: str | None,
    pooled: bool = False,
    unlabelled: bool = False,
) -> Task:
    """Call the family's `load` with what it takes; an option that it does not take is an error, never ignored.

    Args:
        name: the task's name with its choices.
        root: folder of the data.
        label_policy: for families that have uncertain labels.
        groups: for families that do not know their groups.
        pooled: the splits will be replaced, so that families may join them (and a leak between them is no error yet).
        unlabelled: labels are not needed; families that always have them are opened as ever.

    Raises:
        UsageError: for a choice or an option that the family does not have.
    """
    base, path, choices = split_name(name)
    if base not in task_names():
        raise UsageError(f"Task {name}: say where the data are, as in {base}:some/folder.")
    family = open_family(task_names()[base])
    parameters = inspect.signature(family.load).parameters
    options: dict[str, Any] = {}
    for key, value in choices.items():
        if key not in family.CHOICES:
            known = ", ".join(family.CHOICES) or "none"
            raise UsageError(f"Task {base} has no choice {key!r}; it has {known}.")
        options[key] = _chosen(name, key, value, family.CHOICES[key])
    for key, given in (("label_policy", label_policy), ("groups", groups)):
        if given is None:
            continue
        if key not in parameters:
            raise UsageError(
                f"Task {base} fixes its {key.replace('_', ' ')} itself; leave --{key.replace('_', '-')} out."
            )
        options[key] = given
    place = None if root is None else plain_path(root).expanduser()
    if path is not None:
        options["path"] = path
    if "pooled" in parameters:
        options["pooled"] = pooled
    if "unlabelled" in parameters:
        options["unlabelled"] = unlabelled
    return family.load(base, place, **options)
