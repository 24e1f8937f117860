"""The options of one run of a table: a checkpoint, a task, a protocol, a seed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from medzoo.data.task_registry import task_info
from medzoo.errors import MedzooError, UsageError
from medzoo.precision import PrecisionChoice, checked
from medzoo.training import compute
from medzoo.training.options.fields import flag, option, worded
from medzoo.training.options.protocol import chosen_precision, load_protocol, parse_overrides
from medzoo.training.options.protocol_options import PROBES, Mode, Protocol
from medzoo.training.options.shared import DEVICE, OUTPUT, RUN, SharedOptions, check_place, check_terms
from medzoo.training.options.trainer import TrainerOptions
from medzoo.training.run_state.tracker import check_tracker

# Options that a probe on frozen features does not use, and why.
NOT_IN_A_PROBE = {
    "epochs": 'a probe has no epochs; heads that are trained have --set "steps=N"',
    "learning_rate": 'a probe tries all learning rates of its protocol; --set "learning_rates=[...]" changes them',
    "data_on_device": "a probe reads every image once",
    "num_workers": "a probe makes no training batches",
    "micro_batch_size": "a probe computes no gradients of the network",
    "compile": "a probe runs the network once",
    "deterministic": "a probe always uses them",
    "tracker": "a probe has no steps to log",
    "replay": "a probe has no steps that could be repeated",
    "keep_weights": "a probe does not change the network",
    "license": "a probe writes no weights that would need a licence",
}
IN_A_PROBE_ONLY = {"token_gb": "a fine-tuning stores no tokens"}
RESOLVABLE = {one.name for one in fields(Protocol)} - {"name", "mode"}
FROM_PROTOCOL = ("epochs", "size", "batch_size", "learning_rate", "precision")
# Options of a protocol that are not options of their own: all checkpoints of a table share them.
PROTOCOL_ONLY = {
    name: f'the protocol sets it; give --set "{name}=VALUE", or your own protocol file with --protocol FILE.toml'
    for name in sorted(RESOLVABLE - set(FROM_PROTOCOL))
}


@dataclass(kw_only=True)
class CellOptions(SharedOptions, TrainerOptions):
    """Options of one run: a checkpoint on a task with one seed."""

    checkpoint: str = option(
        "a name (`medzoo list`), hf-hub:org/name, org/name, or a folder", "", section=RUN, metavar="NAME", required=True
    )
    protocol: str = option("protocol by name, or a TOML file", "medzoo", section=RUN, metavar="NAME")
    set: str = option(
        'other options of the protocol, such as "schedule=plateau, patience=10"',
        "",
        section=RUN,
        metavar='"KEY=VALUE, ..."',
    )
    micro_batch_size: int | None = option(
        "images of one forward pass; the gradients of a batch are added up",
        section=DEVICE,
        metavar="N",
        shown="the whole batch; halved if the memory is too small",
        least=1,
        most=1_000_000,
    )
    token_gb: float = option(
        "largest file of tokens that a probe may write for a split, 10^9 bytes",
        50.0,
        section=DEVICE,
        metavar="GB",
        above=0,
    )
    replay: bool = option("repeat the step at which this run diverged, and report every layer", False, section=RUN)
    out: str | None = option("folder of the run", section=OUTPUT, metavar="DIR", shown="runs/TASK/CHECKPOINT/ID")
    results: str = option("store of results", "results", section=OUTPUT, metavar="DIR")
    keep_weights: bool = option("save the fine-tuned network in the run folder's checkpoint/", True, section=OUTPUT)
    license: str = option(
        "licence of the fine-tuned folder (an SPDX id); needed before it may be pushed",
        "unknown",
        section=OUTPUT,
        metavar="ID",
    )
    # protocol options as an earlier run resolved them: the keys protocol_* of its options.toml
    resolved: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def check(self) -> None:
        """Refuse options that cannot run, before anything is loaded."""
        super().check()
        if not self.checkpoint:
            raise UsageError(
                "--checkpoint is missing. Give a name (`medzoo list`), hf-hub:org/name, or a folder.",
                code="checkpoint-missing",
            )
        for name in ("out", "results"):
            place = getattr(self, name)
            if place is not None:
                check_place(place, f"--{name}")
        check_terms(self.license)
        check_tracker(self.tracker)


@dataclass(kw_only=True)
class ProbeOptions:
    """Which head is fitted on the frozen network."""

    probe: Literal["linear", "knn", "ridge", "attentive", "head_grid", "dense", "dense_knn"] = option(
        "linear: logistic regression; knn: vote of the nearest neighbours; ridge: ridge regression, also for numbers; attentive: "
        "learned pooling of tokens; head_grid: DINOv2's grid of linear heads; dense, dense_knn: masks from patch tokens",
        "linear",
        section=RUN,
    )


def probe_named(name: str | None) -> Mode:
    """The mode of a probe; linear if there is none of this name."""
    return next((mode for mode in PROBES if mode == name), "linear")


def used_options(options: CellOptions, mode: Mode) -> CellOptions:
    """Reset the options that a mode does not use, so that they do not change the run. A warning names them.

    Args:
        options: as given.
        mode: "finetune" or "linear".
    """
    if mode == "finetune":
        return options
    plain = CellOptions()
    idle = [name for name in ("epochs", "learning_rate") if getattr(options, name) is not None]
    if idle:
        why = "; ".join(NOT_IN_A_PROBE[name] for name in idle)
        warnings.warn(f"Ignored options: {', '.join(idle)} ({why}).", UserWarning, stacklevel=3)
    used = replace(options, **{name: getattr(plain, name) for name in NOT_IN_A_PROBE})
    used.resolved = dict(options.resolved)
    return used


def precision_choice_of(options: CellOptions, mode: Mode, kind: str | None = None) -> PrecisionChoice:
    """The precision that an option, an earlier run or the protocol sets; it may be "auto".

    Args:
        options: of the run.
        mode: "finetune" or "linear".
        kind: of the task.
    """
    requested = _chosen_values(options, mode).get("precision")
    return chosen_precision(options.protocol, mode, kind=kind) if requested is None else checked(requested)


def _chosen_values(options: CellOptions, mode: Mode) -> dict[str, Any]:
    """The options of the protocol that an earlier run resolved, that --set gives, and that have an option of their own.

    A later one of these overrides an earlier one, but --set may not contradict an option of its own.
    """
    typed = {name: value for name in FROM_PROTOCOL if (value := getattr(options, name)) is not None}
    given = parse_overrides(options.set, mode)
    for name in given.keys() & typed.keys():
        if given[name] != typed[name]:
            raise UsageError(
                f"{flag(name)} is {typed[name]!r} and --set gives {name} = {given[name]!r}. Remove one of them.",
                code="set-contradiction",
            )
    return options.resolved | given | typed


def protocol_of(options: CellOptions, mode: Mode, kind: str | None = None) -> Protocol:
    """The protocol with the options applied; options that an earlier run resolved override the protocol's file.

    Args:
        options: of the run.
        mode: "finetune" or "linear".
        kind: of the task, which chooses the table of the protocol's file.
    """
    given = _chosen_values(options, mode)
    given["precision"] = precision_choice_of(options, mode, kind)
    name, stem = options.protocol, Path(options.protocol).stem
    if set(options.resolved) >= RESOLVABLE and name.endswith(".toml") and not Path(name).is_file():
        name = "medzoo"  # the earlier run resolved every value, so the file, which may have moved, is not needed
    began = compute.precision_to_keep(options.out, options.resume)
    protocol = load_protocol(name, mode, task=options.task, kind=kind, device=options.device, began=began, **given)
    if mode == "finetune":
        from medzoo.training.optimization.optimizer import check_optimizer

        check_optimizer(protocol.optimizer)
    return protocol if name == options.protocol else replace(protocol, name=stem)


def resolved_options(options: CellOptions, mode: Mode, protocol: Protocol) -> dict[str, Any]:
    """The content of a run's `options.toml`: the given options and the resolved protocol, which contains those of --set."""
    rows = {f"protocol_{key}": value for key, value in asdict(protocol).items() if key not in ("name", "mode")}
    given = {key: value for key, value in options.as_dict().items() if key not in ("set", "replay")}
    if mode != "finetune":
        given = {key: value for key, value in given.items() if key not in NOT_IN_A_PROBE}
    return {**given, "mode": mode, **rows}


def cell_defaults(mode: Mode, protocol: str | None, task: str | None = None) -> Mapping[str, str]:
    """The defaults that `--help` shows for the options that a protocol sets.

    Args:
        mode: "finetune" or "linear".
        protocol: the one on the command line, if any; a protocol that cannot be read shows no values.
        task: the one on the command line, if any.

    >>> cell_defaults("finetune", None)["learning_rate"]
    "the protocol's, 5e-4"
    """
    kind = _kind_by_name(task)
    try:
        chosen = load_protocol(protocol or "medzoo", mode, task=task, kind=kind)
    except UsageError:
        return dict.fromkeys(FROM_PROTOCOL, "the protocol's")
    defaults = {name: f"the protocol's, {worded(getattr(chosen, name))}" for name in FROM_PROTOCOL}
    defaults["precision"] = f"the protocol's, {chosen_precision(protocol or 'medzoo', mode, kind=kind)}"
    return defaults | ({} if chosen.size else {"size": "the checkpoint's"})


def _kind_by_name(task: str | None) -> str | None:
    """The kind of a task that has a name; None for a folder or table of the user, whose kind its content decides."""
    if not task or ":" in task:
        return None
    try:
        return task_info(task).kind
    except MedzooError:
        return None
