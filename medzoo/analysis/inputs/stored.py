"""The stored runs of a task: of one protocol on the same data, grouped by checkpoint; predictions are read on first use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medzoo.analysis.inputs.options import CompareOptions
from medzoo.analysis.inputs.run_result import result_of_folder
from medzoo.analysis.inputs.setting import RunSetting, names_of, setting_of, uses_all_training_images
from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.bench.statistics.stored import StoredRun, read_run
from medzoo.bench.table.matching import match_checkpoints, match_tasks
from medzoo.errors import NotApplicableError, ResultError, listed


@dataclass(frozen=True)
class KnownRun:
    """A stored run.

    Args:
        run_id: its key.
        path: of its result.
        result: its content.
    """

    run_id: str
    path: Path
    result: dict[str, Any]

    @property
    def fold(self) -> int | None:
        """Of a cross-validation; None without one."""
        fold: int | None = self.result["identity"]["fold"]
        return fold

    @property
    def setting(self) -> RunSetting:
        """Its protocol and data."""
        return setting_of(self.result)

    @cached_property
    def predictions(self) -> StoredRun:
        """Its predictions in the order of their samples, read on first use.

        Raises:
            NotApplicableError: if there are none, or they have no labels.
        """
        try:
            return read_run(self.path, self.result)
        except ResultError as error:
            if error.code not in ("predictions-missing", "predictions-no-labels"):
                raise
            missing = error.code == "predictions-missing"
            why = f"{predictions_path(self.path).name} does not exist" if missing else "they have no labels"
            raise NotApplicableError(
                f"The run {self.path} cannot be compared by its predictions: {why}. Copy them into the store, or repeat the run.",
                code="run-without-predictions",
            ) from error


@dataclass(frozen=True)
class StoredRuns:
    """The runs of a checkpoint on a task with one protocol and the same data.

    Args:
        label: as the user typed the checkpoint, or its name in the results.
        name: of the checkpoint in the results.
        protocol: their common protocol.
        runs: one for each seed or fold.
        left_out: which other runs of the checkpoint on the task are not in `runs`, and why.
    """

    label: str
    name: str
    protocol: str
    runs: tuple[KnownRun, ...]
    left_out: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """The label without folders; `checkpoint` of a run folder is named by the folder of the run."""
        parts = [part for part in self.label.rstrip("/").split("/") if part != "checkpoint"]
        return parts[-1] if parts else self.name


def runs_of_task(store: ResultStore, options: CompareOptions) -> tuple[KnownRun, ...]:
    """All stored runs of the task and its chosen fold: of every status, protocol and part of the training images.

    Args:
        store: of results.
        options: name the task, and may name a fold.

    Raises:
        NotApplicableError: if there are none.
    """
    loaded = store.all()
    places = match_tasks([result for _, result in loaded], {options.task: options.task}).places
    found = [
        KnownRun(result["run_id"], path, result)
        for (path, result), place in zip(loaded, places, strict=True)
        if place and options.fold in (None, result["identity"]["fold"])
    ]
    if not found:
        fold = "" if options.fold is None else f", fold {options.fold}"
        raise NotApplicableError(
            f"{store.root} has no run of {options.task}{fold}. Run recipes/finetune.py first, or give --results.",
            code="no-runs-of-task",
        )
    return tuple(found)


def compared_runs(
    store: ResultStore, options: CompareOptions, known: Sequence[KnownRun] | None = None
) -> tuple[StoredRuns, StoredRuns]:
    """The runs of the two compared checkpoints, of one protocol on the same data.

    A run folder means its run alone. A checkpoint means all its runs, found by its weights.

    Args:
        store: of results.
        options: of the comparison.
        known: of `runs_of_task`, if they were read before.

    Raises:
        NotApplicableError: if a checkpoint has no run, or they have no common protocol, or several.
    """
    known = runs_of_task(store, options) if known is None else known
    labels = list(options.checkpoints or ())
    found = [_runs_of_label(store, known, label, options) for label in labels]
    settings = [{run.setting for run in runs if not _unusable(run)} for runs in found]
    chosen = _common(settings, labels, options)
    first, second = (_of_setting(label, runs, chosen) for label, runs in zip(labels, found, strict=True))
    if {run.run_id for run in first.runs} & {run.run_id for run in second.runs}:
        raise NotApplicableError(
            f"{labels[0]} and {labels[1]} have runs in common: they are one checkpoint, or a checkpoint and its run.",
            code="runs-in-common",
        )
    return first, second


def runs_by_checkpoint(
    store: ResultStore, options: CompareOptions, known: Sequence[KnownRun] | None = None
) -> tuple[StoredRuns, ...]:
    """The runs of all checkpoints on the task, of one protocol on the same data.

    If the store has several protocols, it is the one of the two compared checkpoints.

    Args:
        store: of results.
        options: of the comparison.
        known: of `runs_of_task`, if they were read before.

    Raises:
        NotApplicableError: if there are none, or of several protocols.
    """
    known = runs_of_task(store, options) if known is None else known
    groups: dict[tuple[str, str | None], list[KnownRun]] = {}
    for run in known:
        checkpoint = run.result["identity"]["checkpoint"]
        groups.setdefault((checkpoint["id"], checkpoint["weights_sha256"]), []).append(run)
    usable = {run.setting for run in known if not _unusable(run) and _is_chosen(run, options)}
    if not usable:
        raise NotApplicableError(
            f"{store.root} has no finished run of {options.task} with all training images"
            f"{'' if options.runs_of is None else ' and the protocol ' + options.runs_of}.",
            code="no-runs-of-task",
        )
    if len(usable) == 1:
        chosen = usable.pop()
    elif options.checkpoints is None:
        raise NotApplicableError(
            f"{store.root} has runs of {listed(names_of(usable))} on {options.task}, or on several splits. Choose one with "
            "--runs-of.",
            code="several-protocols",
        )
    else:
        chosen = compared_runs(store, options, known)[0].runs[0].setting
    names = Counter(name for name, _ in groups)
    made = [
        _of_setting(name if names[name] == 1 else f"{name} @{(weights or 'drawn')[:8]}", runs, chosen)
        for (name, weights), runs in sorted(groups.items(), key=lambda one: (one[0][0], str(one[0][1])))
    ]
    return tuple(one for one in made if one.runs)


def _runs_of_label(
    store: ResultStore, known: Sequence[KnownRun], label: str, options: CompareOptions
) -> list[KnownRun]:
    """The runs of the task that a label means, of any setting."""
    own = result_of_folder(label)
    if own is not None:
        return [_run_of_folder(store, known, label, own)]
    places = match_checkpoints([run.result for run in known], [label], options.hub).places
    found = [run for run, place in zip(known, places, strict=True) if place]
    if not any(_unusable(run) == "" for run in found):
        why = _counted(_unusable(run) for run in found)
        raise NotApplicableError(
            f"{store.root} has no finished run of {label} on {options.task} with all training images"
            f"{' (only ' + listed(why) + ')' if why else ''}. Run recipes/finetune.py first, or give --results.",
            code="no-runs-of-checkpoint",
        )
    return found


def _run_of_folder(store: ResultStore, known: Sequence[KnownRun], label: str, own: dict[str, Any]) -> KnownRun:
    """The stored run of a run folder."""
    run = next((run for run in known if run.run_id == own["run_id"]), None)
    if run is None and (stored := store.get(own["run_id"])) is not None:
        identity = stored["identity"]
        fold = "" if identity["fold"] is None else f", fold {identity['fold']}"
        raise NotApplicableError(
            f"{label} is a run of {identity['task']['id']}{fold}, not of the compared task or fold. Change --task or --fold.",
            code="run-of-other-task",
        )
    if run is None:
        raise NotApplicableError(
            f"The run of {label} (run_id {own['run_id'][:16]}) is not in {store.root}. Give its store with --results.",
            code="run-not-in-store",
        )
    if why := _unusable(run):
        raise NotApplicableError(
            f"The run of {label} cannot be compared: it is {why.replace('runs', 'a run')}.", code="run-not-usable"
        )
    return run


def _unusable(run: KnownRun) -> str:
    """Why a run is never compared; empty if it can be."""
    if run.result["status"] != "ok":
        return f"runs with the status {run.result['status']}"
    return "" if uses_all_training_images(run.result) else "runs with a part of the training images"


def _is_chosen(run: KnownRun, options: CompareOptions) -> bool:
    return options.runs_of is None or run.setting.is_named(options.runs_of)


def _common(settings: Sequence[set[RunSetting]], labels: Sequence[str], options: CompareOptions) -> RunSetting:
    """The one setting that both checkpoints have."""
    if options.runs_of is not None:
        wanted = options.runs_of
        settings = [{one for one in some if one.is_named(wanted)} for some in settings]
    common = set.intersection(*settings)
    if len(common) == 1:
        return common.pop()
    each = "; ".join(
        f"{label}: {listed(names_of(some)) or 'none'}" for label, some in zip(labels, settings, strict=True)
    )
    if len(common) > 1 and len({one.data for one in common}) < len(common):
        raise NotApplicableError(
            f"Both checkpoints have runs of the protocols {listed(names_of(common))}. Choose one with --runs-of.",
            code="several-protocols",
        )
    if len(common) > 1:
        raise NotApplicableError(
            "Both checkpoints have runs on several versions or splits of the data. Keep the runs to compare in another "
            "store and give it with --results, or choose a fold with --fold.",
            code="several-splits",
        )
    if {(one.protocol, one.protocol_hash) for one in settings[0]} & {
        (one.protocol, one.protocol_hash) for one in settings[1]
    }:
        raise NotApplicableError(
            f"The runs of {labels[0]} and {labels[1]} have different data: another version, split, or label policy.",
            code="runs-of-different-data",
        )
    raise NotApplicableError(
        f"The two checkpoints have no runs of one protocol ({each}). A protocol with other options has "
        "another hash. Repeat the runs with one protocol.",
        code="no-common-protocol",
    )


def _of_setting(label: str, runs: Sequence[KnownRun], setting: RunSetting) -> StoredRuns:
    """The usable runs of a setting, and notes about the others."""

    def why(run: KnownRun) -> str:
        other = "runs of another protocol" if run.setting.protocol_hash != setting.protocol_hash else ""
        return _unusable(run) or other or ("" if run.setting == setting else "runs on other data")

    chosen = tuple(run for run in runs if not why(run))
    name = runs[0].result["identity"]["checkpoint"]["id"]
    return StoredRuns(label, name, setting.protocol, chosen, tuple(_counted(map(why, runs))))


def _counted(reasons: Iterable[str]) -> list[str]:
    """The number of runs with each reason.

    >>> _counted(["runs on other data", "", "runs on other data"])
    ['2 runs on other data']
    """
    return [f"{number} {reason}" for reason, number in Counter(filter(None, reasons)).items()]
