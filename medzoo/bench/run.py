"""Run one checkpoint on one task. The recipes, the table and the demo all use this code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench import metrics
from medzoo.bench.cell_options import CellOptions, precision_choice_of, protocol_of, resolved_options, used_options
from medzoo.bench.identity import FINISHED, KINDS, identity_of, loaded_weights
from medzoo.bench.label_checks import check_labels
from medzoo.bench.results import store as results
from medzoo.bench.results.completeness import disagreement, missing_parts
from medzoo.bench.run_steps import Trial
from medzoo.bench.suite import short_task
from medzoo.errors import DivergedError, ResultError, UsageError
from medzoo.progress import is_brief, is_main_process, say, warn
from medzoo.training import compute
from medzoo.training.options.protocol import Mode, Protocol
from medzoo.training.options.shared import open_task, slug, task_identity

if TYPE_CHECKING:
    from medzoo.data.task import Task

__all__ = ["CellOptions", "Outcome", "run_cell"]


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Args:
        result: the stored result.
        path: its file in the store of results.
        run: the run folder.
        cached: whether the store already had it.
    """

    result: dict[str, Any]
    path: Path
    run: Path | None
    cached: bool

    def __str__(self) -> str:
        folder = "" if self.run is None else f"run folder {self.run}"
        where = ", ".join(filter(None, ["already in the store" if self.cached else "", folder]))
        return f"{self.result['metric']} {self.worded}  ({where}; result {self.path})"

    @property
    def worded(self) -> str:
        """The value of the primary metric; "undefined" with the reason if the labels do not define it; else the status."""
        if self.headline is not None:
            return f"{self.headline:.4f}"
        if self.result["status"] != "ok":
            return str(self.result["status"])
        return f"undefined: {metrics.headline(self.result['metrics'], self.result['metric'])['undefined']}"

    @property
    def headline(self) -> float | None:
        """The task's primary metric on the test split."""
        return results.headline_value(self.result)

    def raise_if_diverged(self) -> None:
        """Raise an error if the run has no value, so that the shell gets an exit code.

        Raises:
            DivergedError: with the reason in the result.
        """
        if self.result["status"] != "ok":
            raise DivergedError(
                f"{self.result['train'].get('reason')} The result is stored: {self.path}", code="run-diverged"
            )


def run_cell(options: CellOptions, mode: Mode = "finetune", *, stored_is_enough: bool = False) -> Outcome:
    """Fine-tune or probe a checkpoint on a task, test once, and store the result with its predictions.

    Args:
        options: checkpoint, task, protocol, seed, ...
        mode: "finetune" (all layers) or "linear" (a probe on frozen features).
        stored_is_enough: whether a result in the store is sufficient, as for a table. Otherwise the run is repeated if its
            run folder or its checkpoint is missing.

    Returns:
        The outcome. If the store already has the result and nothing is missing, it is returned at once. A run whose loss was
        not finite is also an outcome, with status "diverged" and without a value.

    Raises:
        UsageError: before anything is loaded.
        ResultError: before anything is loaded, if the metric is undefined on the validation labels.
        Interrupted: after a signal; call again to continue.
        ResultError: if the number of this run differs from the one in the store; both are kept.
    """
    # check everything that can be checked before weights are loaded
    options.check()
    options = used_options(options, mode)
    protocol = protocol_of(options, mode)
    task = open_task(options)
    if task.kind not in KINDS:
        raise UsageError(
            f"Task {task.name} is {task.kind}; the recipes support classification only. To write your own training loop, read "
            "its images and labels with load_task"
            + (", and build the network with medzoo.segmenter." if task.kind == "segmentation" else "."),
            code="task-kind-unsupported",
        )

    label_warnings = check_labels(task, selects=mode == "linear" or protocol.selection == "best")

    from medzoo.training.features import weights_hash
    from medzoo.training.inputs.input_transform import load_at_size
    from medzoo.training.run_state.run_folder import RunFolder

    # load the weights; with the options and the data they make the identity of the run
    classes = len(task.classes) if mode == "finetune" else 0
    model, size = load_at_size(
        options.checkpoint, num_classes=classes, size=protocol.size or None, seed=options.seed, hub=options.hub,
        accept_license=options.accept_license,
    )  # fmt: skip
    weights = loaded_weights(model, size)
    identity = identity_of(options, mode, protocol, task, weights)
    if options.out is None and precision_choice_of(options, mode) == "auto" and options.resume != "never":
        protocol = _as_begun(protocol, task, identity)

    # a result in the store is returned, unless a requested file of its run is missing
    store = results.ResultStore(Path(options.results))
    out = Path(options.out or _default_out(task, identity)).expanduser()
    run = RunFolder(
        out,
        mode,
        {**identity, "data": task_identity(task, options, size)},
        resolved_options(options, mode, protocol),
        options.resume,
    )
    run.title = f"{short_task(weights.name)} on {short_task(task.name)}"
    main = is_main_process()
    known = store.get(identity)
    if known is not None and known["status"] in FINISHED:
        missing = "" if stored_is_enough else missing_parts(run, known, options, mode)
        if not missing:
            return Outcome(known, store.path(identity), None if stored_is_enough else out, cached=True)
        say(f"The result is in the store ({store.path(identity)}), but the run is repeated: {missing}.")

    # announce the run and its warnings
    run.check()
    site = compute.settle(run, protocol.precision, options.device)
    compute.announce(
        run, site, checkpoint=compute.named(model.load_receipt), counts=compute.counts_of(task), notes=task.notes,
        how=f"protocol {protocol.name} {mode} {protocol.hash()[:8]} ({_resolved_words(protocol, size)})",
    )  # fmt: skip
    kept = precision_choice_of(options, mode) == "auto"
    if is_brief():  # the suite of this run has printed these warnings
        label_warnings = []
    for sentence in (*label_warnings, *compute.doubts(site, kept=kept), compute.begun_otherwise(out, run.identity)):
        if sentence:
            warn(sentence)
    started, clock = datetime.now(UTC), time.monotonic()

    def put(result: dict[str, Any], table: Any) -> Outcome:  # noqa: ANN401 - an Arrow table
        result["train"]["wall_s"] = round(time.monotonic() - clock, 1)
        result["provenance"] |= {"started": started.isoformat(), "finished": datetime.now(UTC).isoformat()}
        if not main:  # all processes of a launch have the same numbers; only the main one writes
            return Outcome(result, store.path(identity), run.path, cached=False)
        path = store.put(result, table)
        results.write_copy(run.path / "result.json", result)
        return Outcome(result, path, run.path, cached=False)

    # decode all splits first, so that an unreadable image is found before the training; this reads no labels
    trial = Trial(options, protocol, task, model, size, run, identity)
    for split in task.splits:
        trial.decoded(split)

    # train or probe, and store the result; a diverged run is stored too
    diverged: list[Outcome] = []
    try:
        with store.claim(identity) if main else nullcontext(), run.open(), site.applied(run):
            try:
                outcome = put(*(trial.finetune() if mode == "finetune" else trial.probe(weights_hash(model))))
            except DivergedError as error:
                diverged.append(put(trial.result("diverged", {}, [], None, {"reason": str(error)}), None))
                raise
    except DivergedError:
        outcome = diverged[0]
    return _compared(outcome, known)


def _compared(outcome: Outcome, known: Mapping[str, Any] | None) -> Outcome:
    """The outcome, if the store had no different number for this run before."""
    differs = "" if known is None or known["status"] not in FINISHED else disagreement(known, outcome.result)
    if differs:
        raise ResultError(
            f"The result of this run differs from its result in the store: {differs}. The store keeps the first result "
            f"({outcome.path}), and tables show it. The new result is in {outcome.run} and, as a replicate, in the store. "
            "Different hardware, different library versions or a changed file can cause this.",
            code="result-differs-from-store",
        )
    return outcome


def _default_out(task: Task, identity: dict[str, Any]) -> Path:
    return Path("runs") / slug(task.name) / slug(identity["checkpoint"]["id"]) / results.run_id(identity)[:16]


def _as_begun(protocol: Protocol, task: Task, identity: dict[str, Any]) -> Protocol:
    """The protocol in the precision of an unfinished run, which may have started on another machine; updates `identity`."""
    other = replace(protocol, precision="fp32" if protocol.precision == "bf16" else "bf16")
    other_identity = {**identity, "protocol": {**identity["protocol"], "hash": other.hash()}}
    if compute.unfinished(_default_out(task, identity)) or not compute.unfinished(_default_out(task, other_identity)):
        return protocol
    identity.update(other_identity)
    return other


def _resolved_words(protocol: Protocol, size: int) -> str:
    epochs = f"{protocol.epochs} epoch{'s' * (protocol.epochs != 1)}, " if protocol.mode == "finetune" else ""
    return f"{epochs}batch {protocol.batch_size}, {size} px"
