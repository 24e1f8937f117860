"""Completion of a word that the user types in a shell: names of checkpoints, tasks, suites and protocols, values of filters.

A shell calls `medzoo` at each press of TAB, so these functions import no torch and no numpy. They never raise and print
nothing: an error in the middle of a prompt helps nobody.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

from medzoo import paths

Completer = Callable[[str], list[str]]


def _completer(values: Callable[[], Iterable[str]]) -> Completer:
    """A function for typer's `autocompletion`: the values that begin with the typed text.

    A shell replaces the typed text only by one that begins with it, so `cc` becomes `cc-by-nc-4.0`: filters ignore case.

    Args:
        values: gives all values; called when the user presses TAB.
    """

    def complete(incomplete: str) -> list[str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an invalid entry of the user
                spelled = [value if value.startswith(incomplete) else value.lower() for value in values()]
                return [value for value in spelled if value.startswith(incomplete)]
        except Exception:  # whatever it is, the command itself reports it
            return []

    return complete


def _checkpoints() -> list[str]:
    from medzoo.zoo.registry.registry import names

    return names()


def _cached() -> list[str]:
    from medzoo.zoo.registry.locations import cache_root

    return sorted(path.name for path in (cache_root() / "checkpoints").iterdir() if path.name[0].isalnum())


def _filter(kind: str) -> Callable[[], list[str]]:
    def values() -> list[str]:
        from medzoo.commands.terminal.checkpoint_list import known_values

        return known_values(kind)

    return values


def _tasks() -> list[str]:
    from medzoo.data.task_registry import list_tasks

    return list_tasks()


def _task_values(kind: str) -> Callable[[], list[str]]:
    def values() -> list[str]:
        from medzoo.data.task_description import SOURCES, modality_of
        from medzoo.data.task_registry import list_tasks, task_info

        if kind == "source":  # the last words: a shell would need quotes for two, and the command takes a part
            return [origin.split()[-1] for origin in SOURCES]
        facts = [task_info(name) for name in list_tasks()]
        found = {one.kind if kind == "kind" else modality_of(one) for one in facts}
        return sorted(value for value in found if value and " " not in value)

    return values


def _recipe_files(kind: str) -> Callable[[], list[str]]:
    def values() -> list[str]:
        return sorted(path.stem for path in (paths.data_dir("recipes") / kind).glob("*.toml"))

    return values


def columns(incomplete: str) -> list[str]:
    """The columns of `medzoo list`, behind the last comma of the typed text.

    >>> columns("name,ye")
    ['name,year']
    """
    from medzoo.commands.terminal.columns import COLUMNS

    before, comma, word = incomplete.rpartition(",")
    used = before.split(",")
    return [f"{before}{comma}{name}" for name in COLUMNS if name.startswith(word.lower()) and name not in used]


checkpoints = _completer(_checkpoints)
architectures, methods, data, modalities, licences = map(
    _completer, map(_filter, ("architecture", "method", "data", "modality", "license"))
)
checkpoints_or_tasks = _completer(lambda: [*_checkpoints(), *_tasks()])
cached = _completer(_cached)
tasks = _completer(_tasks)
task_kinds, task_modalities, task_sources = map(_completer, map(_task_values, ("kind", "modality", "source")))
protocols, suites, studies = map(_completer, map(_recipe_files, ("protocols", "suites", "published")))
label_policies = _completer(lambda: ["mask", "zero", "one", "soft"])
statuses = _completer(lambda: ["ok", "diverged", "failed"])
