"""Which results belong to the checkpoints and tasks that a person names: by the weights, and by what the data are called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medzoo.bench.suite import short_task
from medzoo.errors import MedzooError, UsageError, listed

Result = Mapping[str, Any]


@dataclass
class Matched:
    """What was found for the names.

    Args:
        places: for each result, the names that it belongs to.
        notes: what a reader of the table should know, about names without results.
    """

    places: list[list[str]]
    notes: list[str] = field(default_factory=list)


def match_checkpoints(
    results: Sequence[Result], names: Iterable[str], hub: str | os.PathLike[str] | None = None
) -> Matched:
    """The rows that results belong to.

    A name stands for weights: results of the same sha256 are its own, whatever they were called when they were made. Random
    starts go by name and architecture. A name whose weights are not on this machine goes by itself, or by its last part where
    only one checkpoint can be meant.

    Args:
        results: any.
        names: as a person gives checkpoints: names, aliases, folders, local-dir:PATH, org/name, hf-hub:org/name@rev.
        hub: directory that plays the Hub.
    """
    found = Matched([[] for _ in results])
    late: list[str] = []
    for name in names:
        known = _identified(name, hub)
        own = [i for i, result in enumerate(results) if _is_of(result["identity"]["checkpoint"], name, known)]
        for i in own:
            found.places[i].append(name)
        if not own and known is not None and known.sha256:
            others = sum(result["identity"]["checkpoint"]["id"] == known.name for result in results)
            note = f"{name}: no result was made with its weights ({known.sha256[:8]})"
            found.notes.append(
                note + (f"; {others} results of other weights carry its name {known.name}." if others else ".")
            )
        elif not own:
            late.append(name)
    _match_by_last_part(results, late, found)
    return found


def _identified(name: str, hub: str | os.PathLike[str] | None) -> Any:  # noqa: ANN401 - Identified or None
    from medzoo.zoo.loading.identify import identify

    try:
        return identify(name, hub=hub)
    except (MedzooError, OSError):  # not here: the name has to do
        return None


def _is_of(checkpoint: Mapping[str, Any], name: str, known: Any) -> bool:  # noqa: ANN401 - Identified or None
    """Whether a result's checkpoint is surely the named one."""
    if known is not None and known.sha256 and checkpoint["weights_sha256"] == known.sha256:
        return True
    if known is not None and not known.sha256:  # random weights: no file, so that name and architecture tell
        same = (checkpoint["id"], checkpoint["arch"]) == (known.name, known.architecture)
        return same and checkpoint["weights_sha256"] is None
    plain, _, revision = name.removeprefix("hf-hub:").partition("@")
    if checkpoint.get("repo") is not None and checkpoint["repo"] == plain:
        return not revision or str(checkpoint.get("revision")).startswith(revision)
    return checkpoint["id"] in (name, _registered(name))


def _registered(name: str) -> str:
    """The registry's name behind an alias."""
    from medzoo.zoo.registry.registry import info, is_known

    return info(name).name if is_known(name) else name


def _match_by_last_part(results: Sequence[Result], names: Sequence[str], found: Matched) -> None:
    """Names of checkpoints that are not here: by their last part, if it can mean but one checkpoint."""
    for name in names:
        last = _last_part(name)
        rivals = [other for other in names if _last_part(other) == last]
        fitting = [
            i
            for i, result in enumerate(results)
            if not found.places[i] and _last_part(result["identity"]["checkpoint"]["id"]) == last
        ]
        weights = {results[i]["identity"]["checkpoint"]["weights_sha256"] for i in fitting}
        if fitting and len(rivals) == 1 and len(weights) == 1:
            for i in fitting:
                found.places[i].append(name)
        elif fitting:
            found.notes.append(
                f"{name}: its weights are not on this machine, and {len(fitting)} results of {last} may be of others; they are "
                "not shown. Name the checkpoint as its results do (`medzoo results list`)."
            )
        else:
            found.notes.append(f"{name}: no result carries its name, and its weights are not on this machine.")


def _last_part(name: str) -> str:
    """What a name and a result's id have in common: neither the place on a disk, nor the organisation, nor a revision.

    >>> _last_part("hf-hub:org/net@abc"), _last_part("runs/net/"), _last_part("resnet18-random")
    ('net', 'net', 'resnet18-random')
    """
    return short_task(name.partition("@")[0] or name)


def match_tasks(results: Sequence[Result], names: Iterable[str]) -> Matched:
    """The columns that results belong to: a task goes by its name and choices, in any order and with defaults left out.

    Args:
        results: any.
        names: as a person gives tasks: names with choices, folder:PATH, parquet:PATH, shards:PATH.

    Raises:
        UsageError: if two names are one to the results, and lead to different data.
    """
    found = Matched([[] for _ in results])
    asked = {name: task_key(name) for name in names}
    for name, key in asked.items():
        rivals = [other for other, theirs in asked.items() if theirs == key and _place(other) != _place(name)]
        if rivals:
            raise UsageError(
                f"The tasks {listed([name, *rivals])} are all called {short_task(name)!r} in results, which keep no places of one "
                "machine. Give one of them, or make a table of each store."
            )
        for i, result in enumerate(results):
            theirs = result["identity"]["task"]["id"]
            if task_key(theirs) == key or (":" not in theirs and theirs == short_task(name)):
                found.places[i].append(name)
    return found


def task_key(name: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """A task as results know it: kind or name, last part of the path, choices that differ from the family's defaults.

    >>> task_key("folder:./scans/knee/") == task_key("folder:knee")
    True
    >>> task_key("pneumoniamnist,size=28") == task_key("pneumoniamnist") != task_key("pneumoniamnist,size=64")
    True
    """
    from medzoo.data.task_registry import open_family, split_name, task_names

    try:
        base, path, choices = split_name(name)
    except UsageError:
        return name, "", ()
    if base in task_names():
        known = open_family(task_names()[base]).CHOICES
        choices = {key: value for key, value in choices.items() if key not in known or str(known[key].default) != value}
    place = "" if path is None else _last_folder(path)
    return base, place, tuple(sorted(choices.items()))


def _last_folder(path: str) -> str:
    """The name of a folder, of `.` and `x/..` too where they lead to one."""
    plain = Path(path).expanduser()
    return plain.resolve().name if plain.is_dir() else short_task(path)


def _place(name: str) -> str:
    """The folder that a task's name leads to, to tell two spellings of one folder from two folders."""
    from medzoo.data.task_registry import split_name

    try:
        _, path, _ = split_name(name)
    except UsageError:
        return ""
    return "" if path is None else str(Path(path).expanduser().resolve())
