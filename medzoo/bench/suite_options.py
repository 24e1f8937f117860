"""The folders of a suite, and the options of each of its pre-trainings and runs."""

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
from medzoo.training.options.fields import check_values
from medzoo.training.options.pretrain_protocol import read_pretrain_protocol
from medzoo.training.options.protocol import chosen_precision
from medzoo.training.pretrain_options import PretrainOptions


@dataclass(frozen=True)
class Places:
    """The folders of a suite's runs, results and own checkpoints, and the options that all its runs share.

    Args:
        runs: folder of run folders.
        results: store of results.
        hub: directory hub of the suite's own checkpoints.
        user_hub: directory hub for all other names; None means MEDZOO_HUB.
        common: options shared by all runs, such as device.
        precision: of all runs; None leaves it to the protocols.
    """

    runs: Path
    results: Path
    hub: Path
    user_hub: str | None = None
    common: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision | None = None


def places_of(suite: Suite, out: Path, *, device: str = "auto", hub: str | None = None) -> Places:
    """The folders of a suite below one folder: runs/, hub/, and results/ unless the suite names a store.

    Args:
        suite: the suite.
        out: the parent folder.
        device: "auto" or "cpu".
        hub: directory hub for names that are not the suite's own.
    """
    results = Path(suite.results) if suite.results else out / "results"
    return Places(out / "runs", results, out / "hub", hub, {"device": device})


def pretrain_options(suite: Suite, step: Mapping[str, Any], places: Places) -> tuple[PretrainOptions, Any]:
    """A suite's [[pretrain]] step as the options of `pretrain` and of its method.

    Args:
        suite: the suite; a step may continue an earlier one.
        step: one of its steps.
        places: the folders of the suite.

    Raises:
        UnknownNameError: for an option that neither has.
    """
    from medzoo.training.objectives import method

    # "auto" was resolved once for the whole suite
    if step.get("precision") == "auto":
        step = {key: value for key, value in step.items() if key != "precision"}

    # the settings of a protocol, which the step's own options override
    if step.get("protocol") is not None:
        step = {**read_pretrain_protocol(str(step["protocol"])), **step}

    # each key is an option of pre-training, of the method, or of both
    name = str(step["name"])
    module = method(str(step.get("method", "")))
    ours = {one.name for one in dataclasses.fields(PretrainOptions)}
    theirs = {one.name for one in dataclasses.fields(module.Options)}
    for key in step:
        if key not in ours | theirs:
            raise UnknownNameError("pretrain option", key, ours | theirs, f"It is in step {name!r}.")
    given = {key: value for key, value in step.items() if key in ours}
    settled = {} if places.precision is None else {"precision": places.precision}
    options = PretrainOptions(**{"out": str(places.runs / "pretrain" / name), **places.common, **settled, **given})

    # a checkpoint that the suite trains itself is loaded from the suite's own hub
    if options.checkpoint is not None and "hub" not in step:
        options.hub = places.user_hub
        if options.checkpoint in own_names(suite):
            options.checkpoint, options.hub = hub_name(suite, options.checkpoint), str(places.hub)
    return options, module.Options(**{key: value for key, value in step.items() if key in theirs})


def own_names(suite: Suite) -> list[str]:
    """The checkpoints that a suite pre-trains itself."""
    return [str(step["name"]) for step in suite.pretrain]


def hub_name(suite: Suite, name: str) -> str:
    """The name of a suite's own checkpoint in its directory hub: the suite's name is the organisation."""
    return f"{suite.name}/{name}"


def cell_options(suite: Suite, cell: SuiteCell, places: Places) -> CellOptions:
    """A run of a table as the options of `run_cell`.

    Args:
        suite: the suite of the cell.
        cell: the run.
        places: the folders of the suite.

    Raises:
        UsageError: for an option that no run has, or that has no effect in the suite's mode.
    """
    known = {one.name for one in dataclasses.fields(CellOptions)}
    where = f"It is set for task {cell.task!r} of suite {suite.name!r}."
    for key in cell.options:
        if key not in known:
            raise UnknownNameError("task option", key, known, where)
        if cell.mode != "finetune" and key in NOT_IN_A_PROBE:
            raise UsageError(
                f"Option {key} has no effect with mode = {cell.mode!r}: {NOT_IN_A_PROBE[key]}. {where}",
                code="option-unused-in-probe",
            )
    mine = cell.checkpoint in own_names(suite)
    # a protocol that sets its precision keeps it, unless the suite sets one
    settled = suite.precision is not None or chosen_precision(cell.protocol, cell.mode) == "auto"
    return CellOptions(
        **{
            "keep_weights": False,  # a table of thousands of runs would fill a disk
            **places.common,
            **({"precision": places.precision} if settled else {}),
            "task": cell.task,
            "protocol": cell.protocol,
            "seed": cell.seed,
            "results": str(places.results),
            "checkpoint": hub_name(suite, cell.checkpoint) if mine else cell.checkpoint,
            "hub": str(places.hub) if mine else places.user_hub,
            "out": str(places.runs / cell.folder),
            **cell.options,
        }
    )


def check_suite(suite: Suite, places: Places) -> None:
    """Refuse a suite with options that no run could use, before the first pre-training.

    Args:
        suite: the suite.
        places: its folders.

    Raises:
        UsageError: naming the option.
    """
    for step in suite.pretrain:
        options, own = pretrain_options(suite, step, places)
        later = options.hub == str(places.hub)  # this hub is created when the first step is done
        dataclasses.replace(options, hub=None if later else options.hub).check()
        check_values(own)
    for cell in suite.cells():  # missing data or weights fail only the run that needs them
        check_values(cell_options(suite, cell, places))
