"""The stored runs of a task: one protocol, grouped by checkpoint, each with its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo.analysis.inputs.options import CompareOptions
from medzoo.bench.results.store import ResultStore
from medzoo.bench.statistics.stored import StoredRun, read_run
from medzoo.bench.table.matching import match_checkpoints, match_tasks
from medzoo.errors import NotApplicableError, listed


@dataclass(frozen=True)
class KnownRun:
    """A stored run.

    Args:
        run_id: its key.
        path: of its result.
        result: its content.
        predictions: in the order of their samples.
    """

    run_id: str
    path: Path
    result: dict[str, Any]
    predictions: StoredRun


@dataclass(frozen=True)
class StoredRuns:
    """The runs of a checkpoint on a task with one protocol.

    Args:
        label: as the user typed the checkpoint, or its name in the results.
        name: of the checkpoint in the results.
        protocol: their common protocol.
        runs: one for each seed or fold.
    """

    label: str
    name: str
    protocol: str
    runs: tuple[KnownRun, ...]


Loaded = Sequence[tuple[Path, dict[str, Any]]]


def of_task(store: ResultStore, options: CompareOptions) -> list[tuple[Path, dict[str, Any]]]:
    """The finished runs of the task in a store, of the chosen protocol and with all training images.

    Args:
        store: of results.
        options: name the task, and may name a protocol.
    """
    loaded = [(path, result) for path, result in store.all() if result["status"] == "ok"]
    places = match_tasks([result for _, result in loaded], {options.task: options.task}).places
    chosen = [one for one, place in zip(loaded, places, strict=True) if place]
    if options.runs_of is not None:
        chosen = [one for one in chosen if one[1]["identity"]["protocol"]["id"] == options.runs_of]
    return [one for one in chosen if one[1]["identity"]["protocol"]["label_fraction"] == 1]


def runs_of_checkpoint(store: ResultStore, label: str, options: CompareOptions) -> StoredRuns:
    """The stored runs of a checkpoint on the task.

    Args:
        store: of results.
        label: the checkpoint as the user typed it; a run folder means its run alone.
        options: of the comparison.

    Raises:
        NotApplicableError: if there are none, or of several protocols.
    """
    loaded = of_task(store, options)
    places = match_checkpoints([result for _, result in loaded], [label], options.hub).places
    return _one_protocol(label, [one for one, place in zip(loaded, places, strict=True) if place])


def runs_of_task(store: ResultStore, options: CompareOptions) -> tuple[StoredRuns, ...]:
    """All stored runs of the task, by checkpoint.

    Args:
        store: of results.
        options: of the comparison.

    Raises:
        NotApplicableError: if there are none.
    """
    loaded = of_task(store, options)
    names = sorted({result["identity"]["checkpoint"]["id"] for _, result in loaded})
    if not names:
        raise NotApplicableError(f"{store.root} has no run of {options.task}.", code="no-runs-of-task")
    return tuple(
        _one_protocol(name, [one for one in loaded if one[1]["identity"]["checkpoint"]["id"] == name]) for name in names
    )


def _one_protocol(label: str, loaded: Loaded) -> StoredRuns:
    if not loaded:
        raise NotApplicableError(
            f"There is no stored run of {label} on the task. Run recipes/finetune.py first, or give --results.",
            code="no-runs-of-checkpoint",
        )
    protocols = sorted({result["identity"]["protocol"]["id"] for _, result in loaded})
    if len(protocols) > 1:
        raise NotApplicableError(
            f"{label} has runs of the protocols {listed(protocols)}; choose one with --runs-of.",
            code="several-protocols",
        )
    runs = tuple(KnownRun(result["run_id"], path, result, read_run(path, result)) for path, result in loaded)
    return StoredRuns(label, loaded[0][1]["identity"]["checkpoint"]["id"], protocols[0], runs)
