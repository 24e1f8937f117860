"""Engines that fill a table: the missing runs of a suite, here and now, one after another in this process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import cores, progress
from medzoo.bench.label_checks import check_labels
from medzoo.bench.run import CellOptions, Outcome, run_cell
from medzoo.bench.suite import Cell, Suite
from medzoo.bench.suite_precision import settle_precision
from medzoo.errors import MedzooError, UnknownNameError
from medzoo.precision import Precision, device_kind, emulated
from medzoo.training.options import open_task
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.protocol import load_protocol, wished_precision

if TYPE_CHECKING:
    from medzoo.bench.table import Table


def pretrain_options(step: Mapping[str, Any], *, out: Path, common: dict[str, Any]) -> tuple[PretrainOptions, Any]:
    """A suite's [[pretrain]] step as the options of `pretrain` and of its method.

    Raises:
        UnknownNameError: for an option that neither has.
    """
    from medzoo.training.objectives import method

    if step.get("precision") == "auto":  # what that is for this machine was settled for the whole suite
        step = {key: value for key, value in step.items() if key != "precision"}
    own = method(str(step.get("method", ""))).Options
    ours = {field.name for field in dataclasses.fields(PretrainOptions)}
    theirs = {field.name for field in dataclasses.fields(own)}
    for key in step:
        if key not in ours | theirs:
            raise UnknownNameError("pretrain option", key, ours | theirs, f"It stands in step {step.get('name')!r}.")
    options = PretrainOptions(**{"out": str(out), **common, **{k: v for k, v in step.items() if k in ours}})
    return options, own(**{k: v for k, v in step.items() if k in theirs})


def run_pretraining(suite: Suite, *, runs: Path, hub: Path, common: dict[str, Any]) -> list[str]:
    """Run the suite's pre-training steps that are not done, and lay their folders into the directory hub.

    Args:
        suite: its [[pretrain]] steps run in order, so that a later one may continue an earlier one.
        runs: folder of run folders.
        hub: directory hub; a step named NAME is loaded as NAME there.
        common: options shared by all steps, such as device.

    Returns:
        The names that can be loaded from `hub`.
    """
    from medzoo.zoo.publish import push

    names = []
    for number, step in enumerate(suite.pretrain, start=1):
        name = str(step["name"])
        options, own = pretrain_options(step, out=runs / "pretrain" / name, common={**common, "hub": str(hub)})
        if options.checkpoint in names:
            options.checkpoint = hub_name(suite, str(options.checkpoint))
        with progress.brief(f"pre-training {number} of {len(suite.pretrain)}: {name}"):
            folder = pretrain(options, own)
        push(folder / "checkpoint", hub_name(suite, name), hub=hub)
        names.append(name)
    return names


def hub_name(suite: Suite, name: str) -> str:
    """Where a suite's own checkpoint lies in its directory hub: the suite's name is the organisation."""
    return f"{suite.name}/{name}"


def cell_options(
    suite: Suite, cell: Cell, own: Sequence[str], *, runs: Path, results: Path, hub: Path, common: dict[str, Any]
) -> CellOptions:
    """A cell with one seed as the options of `run_cell`.

    Raises:
        UnknownNameError: for an option that no cell has.
    """
    known = {field.name for field in dataclasses.fields(CellOptions)}
    for key in cell.options:
        if key not in known:
            raise UnknownNameError(
                "task option", key, known, f"It stands with task {cell.task!r} of suite {suite.name!r}."
            )
    mine = cell.checkpoint in own
    return CellOptions(
        **{
            "keep_weights": False,  # a table of thousands of runs would fill a disk
            **common, "task": cell.task, "protocol": cell.protocol, "seed": cell.seed, "results": str(results),
            "checkpoint": hub_name(suite, cell.checkpoint) if mine else cell.checkpoint, "hub": str(hub) if mine else None,
            "out": str(runs / cell.folder), **cell.options,
        }
    )  # fmt: skip


def fill(
    suite: Suite, *, runs: Path, results: Path, hub: Path, common: dict[str, Any] | None = None
) -> tuple[list[Outcome], list[str]]:
    """Run what is missing of a suite: pre-training first, then every cell and seed that has no result.

    Args:
        suite: what the table holds.
        runs: folder of run folders.
        results: store of results.
        hub: directory hub for the suite's own checkpoints.
        common: options shared by all runs, such as device.

    Returns:
        The outcomes, and one line for each run that failed; a failed run does not stop the others.
    """
    common = dict(common or {})
    precision, begun = settle_precision(suite, runs, common)
    cells = suite.cells()
    _say_first(suite, runs, common, precision, begun, len(cells))
    folders = {"runs": runs, "results": results, "hub": hub}
    for problem in foreseen(suite, folders, common):
        progress.warn(problem)
    of_all = {**common, **({} if precision is None else {"precision": precision})}
    own = run_pretraining(suite, runs=runs, hub=hub, common=of_all)
    return _fill_cells(suite, cells, own, folders, common, precision)


def foreseen(suite: Suite, folders: Mapping[str, Path], common: dict[str, Any]) -> list[str]:
    """What can be said of a suite's tasks before anything is trained: data that are missing, labels that cannot be measured.

    Args:
        suite: what the table holds.
        folders: of runs, results and the directory hub.
        common: options of all runs.
    """
    said = []
    for task in suite.tasks:
        cell = next(cell for cell in suite.cells() if cell.task == task["name"] and cell.title == task["title"])
        try:
            opened = open_task(cell_options(suite, cell, (), **folders, common=common))
            selects = suite.mode == "linear" or load_protocol(cell.protocol, cell.mode).selection == "best"
            said += check_labels(opened, selects=selects)
        except MedzooError as error:
            said.append(f"The runs on {cell.title} will fail: {type(error).__name__}: {error}")
    return said


def _say_first(
    suite: Suite, runs: Path, common: Mapping[str, Any], precision: Precision | None, begun: bool, count: int
) -> None:
    """The first line of a suite."""
    threads, device = cores.choose_threads(), str(common.get("device", "auto"))
    words = (
        precision
        or f"{', '.join(sorted({wished_precision(name, suite.mode) for name in suite.protocols}))} by protocol"
    )
    counted = progress.counted
    of = " x ".join(
        (
            counted(len(suite.checkpoints), "checkpoint"),
            counted(len(suite.tasks), "task"),
            counted(len(suite.seeds), "seed"),
        )
    )
    progress.say(
        f"suite {suite.name}: folder {runs.parent}; device {device_kind(device)}, precision {words}{' (as it began)' * begun}, "
        f"{counted(threads.count, 'thread')} ({threads.why}); {counted(len(suite.pretrain), 'pre-training')}, "
        f"{counted(count, 'run')}: {of}"
    )
    if precision is not None and (sentence := emulated(precision, device_kind(device), kept=begun)):
        progress.warn(sentence)


def _fill_cells(
    suite: Suite, cells: Sequence[Cell], own: Sequence[str], folders: Mapping[str, Path], common: dict[str, Any],
    precision: Precision | None,
) -> tuple[list[Outcome], list[str]]:  # fmt: skip
    outcomes, failures = [], []
    with progress.Steps(suite.name, len(cells), "run") as steps:
        for number, cell in enumerate(cells, start=1):
            place, started = f"run {number} of {len(cells)}", time.monotonic()
            named = f"{cell.label} on {cell.title}, seed {cell.seed}"
            steps.beside(named)
            # a protocol that states its precision keeps it, unless the suite states one itself
            settled = suite.precision is not None or wished_precision(cell.protocol, cell.mode) == "auto"
            theirs = {"precision": precision} if settled else {}
            try:
                options = cell_options(suite, cell, own, **folders, common={**common, **theirs})
                with progress.brief(f"{place}: {named}"):
                    outcomes.append(run_cell(options, cell.mode))
                said = f"{outcomes[-1].result['metric']} {outcomes[-1].worded}{' (in the store)' * outcomes[-1].cached}"
                outcomes[-1].raise_if_diverged()
            except MedzooError as error:
                said = f"{type(error).__name__}: {error}"
                failures.append(f"{named}: {said}")
            steps.update()
            steps.line(f"{place}: {named}: {said}, {progress.duration(time.monotonic() - started)}{steps.ends()}")
    return outcomes, failures


@dataclasses.dataclass(frozen=True)
class Filled:
    """A filled suite: its table, the files it was written to, the outcomes, and a line for each run that failed."""

    table: Table
    files: dict[str, Path]
    outcomes: list[Outcome]
    failures: list[str]


def fill_table(suite: Suite, out: Path, *, device: str = "auto") -> Filled:
    """Fill a suite below `out` (runs/, results/, hub/) and write its table there.

    Args:
        suite: what the table holds.
        out: folder of everything.
        device: "auto" or "cpu".
    """
    from medzoo.bench.table import table

    results = Path(suite.results) if suite.results else out / "results"
    outcomes, failures = fill(suite, runs=out / "runs", results=results, hub=out / "hub", common={"device": device})
    made = table(
        [outcome.path for outcome in outcomes], title=suite.title, checkpoints=suite.labels(), tasks=suite.titles(),
        metric=suite.metrics(),
    )  # fmt: skip
    return Filled(made, made.write(out), outcomes, failures)
