"""A suite as options: where its runs lie, and the options of each pre-training and each run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medzoo.bench.cell_options import NOT_IN_A_PROBE, CellOptions
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import Precision
from medzoo.training.options.protocol import chosen_precision
from medzoo.training.pretrain_options import PretrainOptions


@dataclass(frozen=True)
class Places:
    """Where a suite's runs, results and own checkpoints lie, and what all its runs share.

    Args:
        runs: folder of run folders.
        results: store of results.
        hub: directory hub of the suite's own checkpoints.
        user_hub: directory hub for all other names; None is MEDZOO_HUB.
        common: options shared by all runs, such as device.
        precision: that the suite settled on; None leaves it to the protocols.
    """

    runs: Path
    results: Path
    hub: Path
    user_hub: str | None = None
    common: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision | None = None


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

    if step.get("precision") == "auto":  # what that is for this machine was settled for the whole suite
        step = {key: value for key, value in step.items() if key != "precision"}
    name = str(step["name"])
    module = method(str(step.get("method", "")))
    ours = {one.name for one in dataclasses.fields(PretrainOptions)}
    theirs = {one.name for one in dataclasses.fields(module.Options)}
    for key in step:
        if key not in ours | theirs:
            raise UnknownNameError("pretrain option", key, ours | theirs, f"It stands in step {name!r}.")
    given = {key: value for key, value in step.items() if key in ours}
    settled = {} if places.precision is None else {"precision": places.precision}
    options = PretrainOptions(**{"out": str(places.runs / "pretrain" / name), **places.common, **settled, **given})
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


def cell_options(suite: Suite, cell: SuiteCell, places: Places) -> CellOptions:
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
    # a protocol that states its precision keeps it, unless the suite states one itself
    settled = suite.precision is not None or chosen_precision(cell.protocol, cell.mode) == "auto"
    return CellOptions(
        **{
            "keep_weights": False,  # a table of thousands of runs would fill a disk
            **places.common, **({"precision": places.precision} if settled else {}),
            "task": cell.task, "protocol": cell.protocol, "seed": cell.seed, "results": str(places.results),
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
    from medzoo.training.options.fields import check_values

    for step in suite.pretrain:
        options, own = pretrain_options(suite, step, places)
        later = options.hub == str(places.hub)  # it is made when the first step is done
        dataclasses.replace(options, hub=None if later else options.hub).check()
        check_values(own)
    for cell in suite.cells():  # data and weights that are not here fail a run, and not the others
        check_values(cell_options(suite, cell, places))
