"""Engines that fill a table: the missing runs of a suite, here and now, one after another in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from medzoo.bench.run import CellOptions, Outcome, run_cell
from medzoo.bench.suite import Cell, Suite
from medzoo.errors import MedzooError, UnknownNameError
from medzoo.training.pretrain import PretrainOptions, pretrain

if TYPE_CHECKING:
    from medzoo.bench.table import Table


def pretrain_options(step: Mapping[str, Any], *, out: Path, common: dict[str, Any]) -> tuple[PretrainOptions, Any]:
    """A suite's [[pretrain]] step as the options of `pretrain` and of its method.

    Raises:
        UnknownNameError: for an option that neither has.
    """
    from medzoo.training.objectives import method

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
    for step in suite.pretrain:
        name = str(step["name"])
        options, own = pretrain_options(step, out=runs / "pretrain" / name, common={**common, "hub": str(hub)})
        if options.checkpoint in names:
            options.checkpoint = hub_name(suite, str(options.checkpoint))
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
    common = common or {}
    own = run_pretraining(suite, runs=runs, hub=hub, common=common)
    outcomes, failures = [], []
    cells = suite.cells()
    with tqdm(cells, desc=suite.name, unit="run", disable=None) as bar:
        for cell in bar:
            bar.set_postfix_str(f"{cell.label} on {cell.title}, seed {cell.seed}")
            try:
                options = cell_options(suite, cell, own, runs=runs, results=results, hub=hub, common=common)
                outcomes.append(run_cell(options, cell.mode))
                outcomes[-1].raise_if_diverged()
            except MedzooError as error:
                failures.append(f"{cell.label} on {cell.title}, seed {cell.seed}: {type(error).__name__}: {error}")
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
