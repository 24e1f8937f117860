"""Match results to the requested checkpoints (by their weights) and tasks (by the names of their data)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medzoo.bench.suite import short_task
from medzoo.data.task_registry import open_family, split_name, task_names
from medzoo.errors import MedzooError, UsageError, listed
from medzoo.zoo.loading.identify import identify
from medzoo.zoo.registry.registry import info, is_known

Result = Mapping[str, Any]


@dataclass
class Matched:
    """The matches of results and names.

    Args:
        places: for each result, the names that it belongs to.
        notes: footnotes about names without results.
    """

    places: list[list[str]]
    notes: list[str] = field(default_factory=list)


def match_checkpoints(
    results: Sequence[Result], names: Iterable[str], hub: str | os.PathLike[str] | None = None
) -> Matched:
    """Match results to the rows of a table.

    Results match a checkpoint if their weights have its sha256, even if they have another name. Random weights match by name
    and architecture. Results of other weights match by their name too, and a footnote says so. A checkpoint whose weights are not
    on this machine matches by its name, or by the last part of its name if that is unique.

    Args:
        results: any.
        names: of checkpoints: names, aliases, folders, local-dir:PATH, org/name, hf-hub:org/name@rev.
        hub: directory used instead of the Hub.
    """
    matched = Matched([[] for _ in results])
    unmatched: list[str] = []
    for name in names:
        known, registered = _identified(name, hub), _registered(name)
        own = [
            i for i, result in enumerate(results) if _is_of(result["identity"]["checkpoint"], name, registered, known)
        ]
        for i in own:
            matched.places[i].append(name)
        if own and known is not None and known.sha256:
            found = {results[i]["identity"]["checkpoint"]["weights_sha256"] for i in own}
            if known.sha256 not in found:
                matched.notes.append(
                    f"{name}: its results are of other weights than those on this machine ({known.sha256[:8]}); they have the same "
                    "name."
                )
        if not own and known is not None and known.sha256:
            others = sum(result["identity"]["checkpoint"]["id"] == known.name for result in results)
            note = f"{name}: no result has its weights ({known.sha256[:8]})"
            matched.notes.append(
                note + (f"; {others} results of other weights have the same name {known.name}." if others else ".")
            )
        elif not own:
            unmatched.append(name)
    _match_by_last_part(results, unmatched, matched)
    return matched


def _identified(name: str, hub: str | os.PathLike[str] | None) -> Any:  # noqa: ANN401 - Identified or None
    try:
        return identify(name, hub=hub)
    except (MedzooError, OSError):  # not on this machine: match by name
        return None


def _is_of(
    checkpoint: Mapping[str, Any],
    name: str,
    registered: str,
    known: Any,  # noqa: ANN401 - Identified or None
) -> bool:
    """Whether a result's checkpoint is certainly the named one."""
    if known is not None and known.sha256 and checkpoint["weights_sha256"] == known.sha256:
        return True
    if known is not None and not known.sha256:  # random weights have no file: compare name and architecture
        same = (checkpoint["id"], checkpoint["arch"]) == (known.name, known.architecture)
        return same and checkpoint["weights_sha256"] is None
    plain, _, revision = name.removeprefix("hf-hub:").partition("@")
    if checkpoint.get("repo") is not None and checkpoint["repo"] == plain:
        return not revision or str(checkpoint.get("revision")).startswith(revision)
    return checkpoint["id"] in (name, registered)


def _registered(name: str) -> str:
    """The registry's name behind an alias."""
    return info(name).name if is_known(name) else name


def _match_by_last_part(results: Sequence[Result], names: Sequence[str], matched: Matched) -> None:
    """Match checkpoints that are not on this machine by the last part of their name, if it is unique."""
    for name in names:
        last = _last_part(name)
        rivals = [other for other in names if _last_part(other) == last]
        fitting = [
            i
            for i, result in enumerate(results)
            if not matched.places[i] and _last_part(result["identity"]["checkpoint"]["id"]) == last
        ]
        weights = {results[i]["identity"]["checkpoint"]["weights_sha256"] for i in fitting}
        if fitting and len(rivals) == 1 and len(weights) == 1:
            for i in fitting:
                matched.places[i].append(name)
        elif fitting:
            matched.notes.append(
                f"{name}: its weights are not on this machine, and {len(fitting)} results of {last} may have other weights. They "
                "are not shown. Use the name of the checkpoint in its results (`medzoo results list`)."
            )
        else:
            matched.notes.append(f"{name}: no result has its name, and its weights are not on this machine.")


def _last_part(name: str) -> str:
    """A checkpoint's name without folder, organisation and revision.

    >>> _last_part("hf-hub:org/net@abc"), _last_part("runs/net/"), _last_part("resnet18-random")
    ('net', 'net', 'resnet18-random')
    """
    return short_task(name.partition("@")[0] or name)


def match_tasks(results: Sequence[Result], names: Iterable[str]) -> Matched:
    """Match results to the columns of a table by task name and choices; order and default values do not matter.

    Args:
        results: any.
        names: of tasks: names with choices, folder:PATH, parquet:PATH, shards:PATH.

    Raises:
        UsageError: if two names have different data, but the same name in results.
    """
    matched = Matched([[] for _ in results])
    keys = {name: task_key(name) for name in names}
    for name, key in keys.items():
        rivals = [other for other, theirs in keys.items() if theirs == key and _folder(other) != _folder(name)]
        if rivals:
            raise UsageError(
                f"The tasks {listed([name, *rivals])} have the same name {short_task(name)!r} in results, because results contain "
                "no paths. Give only one of them, or make a table of each store.",
                code="task-names-ambiguous",
            )
        for i, result in enumerate(results):
            theirs = result["identity"]["task"]["id"]
            if task_key(theirs) == key or (":" not in theirs and theirs == short_task(name)):
                matched.places[i].append(name)
    return matched


def task_key(name: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """The key of a task for comparison: kind or name, last part of the path, and choices that are not defaults.

    >>> task_key("folder:./scans/knee/") == task_key("folder:knee")
    True
    >>> task_key("pneumoniamnist,size=28") == task_key("pneumoniamnist") != task_key("pneumoniamnist,size=64")
    True
    """
    try:
        base, path, choices = split_name(name)
    except UsageError:
        return name, "", ()
    if base in task_names():
        known = open_family(task_names()[base]).CHOICES
        choices = {key: value for key, value in choices.items() if key not in known or str(known[key].default) != value}
    folder = "" if path is None else _last_folder(path)
    return base, folder, tuple(sorted(choices.items()))


def _last_folder(path: str) -> str:
    """The name of a folder; an existing folder such as `.` or `x/..` is resolved first."""
    plain = Path(path).expanduser()
    return plain.resolve().name if plain.is_dir() else short_task(path)


def _folder(name: str) -> str:
    """The resolved folder of a task's data, so that two spellings of one folder are equal."""
    try:
        _, path, _ = split_name(name)
    except UsageError:
        return ""
    return "" if path is None else str(Path(path).expanduser().resolve())
