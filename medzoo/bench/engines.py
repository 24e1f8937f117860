"""Engines that fill a table: the missing runs of a suite, here and now, one after another in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from medzoo.bench.cell_options import NOT_IN_A_PROBE
from medzoo.bench.run import CellOptions, Outcome, run_cell
from medzoo.bench.suite import Cell, Suite
from medzoo.errors import MedzooError, UnknownNameError, UsageError, listed
from medzoo.training.pretrain import PretrainOptions, pretrain

if TYPE_CHECKING:
    from medzoo.bench.table import Table


@dataclass(frozen=True)
class Places:
    """Where a suite's runs, results and own checkpoints lie, and what all its runs share.

    Args:
        runs: folder of run folders.
        results: store of results.
        hub: directory hub of the suite's own checkpoints.
        user_hub: directory hub for all other names; None is MEDZOO_HUB.
        common: options shared by all runs, such as device.
    """

    runs: Path
    results: Path
    hub: Path
    user_hub: str | None = None
    common: Mapping[str, Any] = field(default_factory=dict)


def places_of(suite: Suite, out: Path, *, device: str = "auto", hub: str | None = None) -> Places:
    """The places of a suite below a folder: runs/, hub/, and results/ unless the suite names a store.

    Args:
        suite: what the table holds.
        out: folder of everything.
        device: "auto" or "cpu".
        hub: directory hub for names that are not the suite's own.
    """
    results = Path(suite.results) if suite.results else out / "results"
    return Places(out / "runs", results, out / "hub", hub, {"device": device})


def pretrain_options(suite: Suite, step: Mapping[str, Any], places: Places) -> tuple[PretrainOptions, Any]:
    """A suite's [[pretrain]] step as the options of `pretrain` and of its method.

    Args:
        suite: whose steps may continue one another.
        step: one of its steps.
        places: where everything lies.

    Raises:
        UnknownNameError: for an option that neither has.
    """
    from medzoo.training.objectives import method

    name = str(step["name"])
    module = method(str(step.get("method", "")))
    ours = {one.name for one in dataclasses.fields(PretrainOptions)}
    theirs = {one.name for one in dataclasses.fields(module.Options)}
    for key in step:
        if key not in ours | theirs:
            raise UnknownNameError("pretrain option", key, ours | theirs, f"It stands in step {name!r}.")
    given = {key: value for key, value in step.items() if key in ours}
    options = PretrainOptions(**{"out": str(places.runs / "pretrain" / name), **places.common, **given})
    if options.checkpoint is not None and "hub" not in step:
        options.hub = places.user_hub
        if options.checkpoint in own_names(suite):
            options.checkpoint, options.hub = hub_name(suite, options.checkpoint), str(places.hub)
    return options, module.Options(**{key: value for key, value in step.items() if key in theirs})


def own_names(suite: Suite) -> list[str]:
    """The checkpoints that a suite pre-trains itself."""
    return [str(step["name"]) for step in suite.pretrain]


def hub_name(suite: Suite, name: str) -> str:
    """Where a suite's own checkpoint lies in its directory hub: the suite's name is the organisation."""
    return f"{suite.name}/{name}"


def cell_options(suite: Suite, cell: Cell, places: Places) -> CellOptions:
    """A run of a table as the options of `run_cell`.

    Args:
        suite: that holds the cell.
        cell: the run.
        places: where everything lies.

    Raises:
        UsageError: for an option that no run has, or that does nothing in the suite's mode.
    """
    known = {one.name for one in dataclasses.fields(CellOptions)}
    where = f"It stands with task {cell.task!r} of suite {suite.name!r}."
    for key in cell.options:
        if key not in known:
            raise UnknownNameError("task option", key, known, where)
        if cell.mode == "linear" and key in NOT_IN_A_PROBE:
            raise UsageError(
                f"The suite probes (mode = 'linear'), and {key} does nothing: {NOT_IN_A_PROBE[key]}. {where}"
            )
    mine = cell.checkpoint in own_names(suite)
    return CellOptions(
        **{
            "keep_weights": False,  # a table of thousands of runs would fill a disk
            **places.common, "task": cell.task, "protocol": cell.protocol, "seed": cell.seed, "results": str(places.results),
            "checkpoint": hub_name(suite, cell.checkpoint) if mine else cell.checkpoint,
            "hub": str(places.hub) if mine else places.user_hub,
            "out": str(places.runs / cell.folder), **cell.options,
        }
    )  # fmt: skip


def check_suite(suite: Suite, places: Places) -> None:
    """Refuse a suite with options that no run could use, before the first pre-training.

    Args:
        suite: what the table holds.
        places: where everything will lie.

    Raises:
        UsageError: naming the option.
    """
    from medzoo.training.fields import check_values

    for step in suite.pretrain:
        options, own = pretrain_options(suite, step, places)
        later = options.hub == str(places.hub)  # it is made when the first step is done
        dataclasses.replace(options, hub=None if later else options.hub).check()
        check_values(own)
    for cell in suite.cells():  # data and weights that are not here fail a run, and not the others
        check_values(cell_options(suite, cell, places))


def run_pretraining(suite: Suite, places: Places) -> None:
    """Run the suite's pre-training steps that are not done, and lay their folders into the directory hub.

    Args:
        suite: its [[pretrain]] steps run in order, so that a later one may continue an earlier one.
        places: where everything lies; a step named NAME is loaded as SUITE/NAME from the hub.
    """
    from medzoo.zoo.publish import push

    for step in suite.pretrain:
        folder = pretrain(*pretrain_options(suite, step, places))
        push(folder / "checkpoint", hub_name(suite, str(step["name"])), hub=places.hub)


def fill(suite: Suite, places: Places) -> tuple[list[tuple[Cell, Outcome]], list[str]]:
    """Run what is missing of a suite: pre-training first, then every cell and seed that has no result.

    Args:
        suite: what the table holds.
        places: where everything lies.

    Returns:
        Each run with its outcome, and one line for each reason for which runs failed, with the runs; a failed run does not stop
        the others.
    """
    check_suite(suite, places)
    run_pretraining(suite, places)
    outcomes: list[tuple[Cell, Outcome]] = []
    failed: dict[str, list[Cell]] = {}
    with tqdm(suite.cells(), desc=suite.name, unit="run", disable=None) as bar:
        for cell in bar:
            bar.set_postfix_str(str(cell))
            try:
                outcome = run_cell(cell_options(suite, cell, places), cell.mode, stored_is_enough=True)
                outcomes.append((cell, outcome))
                outcome.raise_if_diverged()
            except MedzooError as error:
                failed.setdefault(f"{type(error).__name__}: {error}", []).append(cell)
    return outcomes, [f"{_named(cells)}: {why}" for why, cells in failed.items()]


def _named(cells: Sequence[Cell]) -> str:
    """Runs that failed for one reason, by name; of many the first ones."""
    names = listed(cells, 3)
    return names if len(cells) == 1 else f"{len(cells)} runs ({names})"


@dataclass(frozen=True)
class Filled:
    """A filled suite: its table, the files it was written to, the outcomes, and a line for each reason for which runs failed."""

    table: Table
    files: dict[str, Path]
    outcomes: list[Outcome]
    failures: list[str]


def fill_table(suite: Suite, out: Path, *, device: str = "auto", hub: str | None = None) -> Filled:
    """Fill a suite below `out` (runs/, results/, hub/) and write its table there.

    Args:
        suite: what the table holds.
        out: folder of everything.
        device: "auto" or "cpu".
        hub: directory hub for names that are not the suite's own; by default MEDZOO_HUB.
    """
    from medzoo.bench.table import suite_table

    filled, failures = fill(suite, places_of(suite, out, device=device, hub=hub))
    made = suite_table(suite, [(cell, outcome.path, outcome.result) for cell, outcome in filled])
    return Filled(made, made.write(out), [outcome for _, outcome in filled], failures)
