"""Run one checkpoint on one task. The recipes, the table and the demo all use this code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medzoo.bench import metrics
from medzoo.bench.cell_options import CellOptions, precision_choice_of, protocol_of, resolved_options, used_options
from medzoo.bench.identity import FINISHED, KINDS, identity_of, loaded_weights
from medzoo.bench.label_checks import check_labels
from medzoo.bench.plot_predictions import draw_predictions
from medzoo.bench.probing.checks import check_probe
from medzoo.bench.probing.steps import train_probe
from medzoo.bench.results.completeness import missing_parts, refuse_difference
from medzoo.bench.results.folds import draw_facts, fold_facts
from medzoo.bench.results.known_task import recorded_labels_stay
from medzoo.bench.results.outcome import Outcome
from medzoo.bench.results.store import ResultStore, environment, make_result, predictions, run_id, write_copy
from medzoo.bench.run_steps import check_finite, decoded_split, load_network, replay_step, train_network
from medzoo.bench.segmentation.draw_masks import draw_masks
from medzoo.bench.segmentation.evaluate import evaluate_masks
from medzoo.bench.suite import short_task
from medzoo.bench.trained_folder import calibrate_on_validation, save_checkpoint
from medzoo.data.task import Task
from medzoo.errors import DivergedError, UsageError
from medzoo.progress import is_brief, is_main_process, say, warn
from medzoo.training import compute
from medzoo.training.options.names import slug
from medzoo.training.options.protocol_options import Mode, Protocol
from medzoo.training.options.shared import open_task, task_identity
from medzoo.training.segmentation.protocol_checks import check_protocol


class CellRun:
    """One checkpoint on one task, step by step: open, load, train, evaluate, store.

    `run_cell` does all steps in order; `recipes/finetune.py` and `recipes/probe.py` do them one by one.

    Args:
        options: checkpoint, task, protocol, seed, ...
        mode: "finetune" (all layers), or the name of a probe (the network stays frozen).

    Raises:
        UsageError: for options that cannot work, before anything is loaded.
        ResultError: if the metric is undefined on the validation labels, before anything is loaded.
    """

    outcome: Outcome
    model: Any  # a timm network, or a segmentation network

    def __init__(self, options: CellOptions, mode: Mode = "finetune") -> None:
        options.check()
        self.mode, self.options = mode, used_options(options, mode)
        self.task: Task = open_task(self.options)
        self.protocol: Protocol = protocol_of(self.options, mode, self.task.kind)
        if self.task.kind not in KINDS:
            raise UsageError(
                f"Task {self.task.name} is {self.task.kind}, but the recipes train classification and segmentation only. "
                "For your own loop, load_task reads the images and labels.",
                code="task-kind-not-supported",
            )
        if self.protocol.is_probe:
            check_probe(self.task, self.protocol)
        elif self.task.kind == "segmentation":
            check_protocol(self.protocol, self.task.classes)
        self._label_warnings = check_labels(self.task, selects=self.protocol.uses_metric)

    def load(self) -> None:
        """Load the checkpoint. Its weights determine the identity of the run and its folder.

        Raises:
            MedzooError: as `medzoo.load` does.
            RunFolderError: if the run folder cannot be read.
        """
        from medzoo.training.inputs.evaluation_views import stored_side
        from medzoo.training.run_state.run_folder import RunFolder
        from medzoo.training.run_state.tracker import Tracker

        options, task = self.options, self.task
        self.model, self.size = load_network(options, self.mode, self.protocol, task)
        self.side = stored_side(self.size, self.protocol.crop_share)
        weights = loaded_weights(self.model, self.size)
        self.identity = identity_of(options, self.mode, self.protocol, task, weights)
        self._kept_precision = precision_choice_of(options, self.mode, task.kind) == "auto"
        if options.out is None and self._kept_precision and options.resume != "never":
            self.protocol = _as_begun(self.protocol, task, self.identity)
        self.results = ResultStore(Path(options.results))
        self.run = RunFolder(
            Path(options.out or _default_out(task, self.identity)).expanduser(),
            self.mode,
            {**self.identity, "data": task_identity(task, options, self.size), **options.last_bits()},
            resolved_options(options, self.mode, self.protocol),
            options.resume,
            f"{short_task(weights.name)} on {short_task(task.name)}",
        )
        self.run.tracker = Tracker(options.tracker, self.run.path, self.run.title, self.run.options)
        self._known = self.results.get(self.identity)

    def stored(self, *, is_enough: bool = False) -> Outcome | None:
        """The stored outcome of this run, if it has finished before and all its files are there.

        Args:
            is_enough: whether the stored result is sufficient, as for a table; else the run folder and the trained
                checkpoint must be there too.
        """
        if self._known is None or self._known["status"] not in FINISHED:
            return None
        missing = "" if is_enough else missing_parts(self.run, self._known, self.options, self.mode)
        path = self.results.path(self.identity)
        if missing:
            say(f"The result is in the store ({path}), but the run is repeated: {missing}.")
            return None
        self.outcome = Outcome(self._known, path, None if is_enough else self.run.path, cached=True)
        return self.outcome

    @contextmanager
    def running(self) -> Iterator[None]:
        """Lock the run folder while the steps run. After a signal, the state is saved and the run can be resumed.

        A run that diverges leaves the block and is stored as a result: tables show it, but it is not part of a mean.

        Raises:
            RunFolderError: if the folder contains another run or is in use.
            ResultError: if the number of this run differs from the one in the store; both are kept.
        """
        self.run.check()
        self.site = self._settled()
        self._announce()
        for split in self.task.splits:  # find an unreadable image before the training
            decoded_split(self.task, split, self.side)
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        claimed = self.results.claim(self.identity) if is_main_process() else nullcontext()
        try:
            with claimed, self.run.open(), self.site.applied(self.run):
                try:
                    yield
                except DivergedError as error:
                    self._put("diverged", {}, {"reason": str(error)}, [], None)
                    raise
        except DivergedError:
            pass
        refuse_difference(self.outcome, self._known)

    def _settled(self) -> compute.Compute:
        """The device, precision and threads of this run; those of a stopped run stay."""
        own = self.options
        return compute.settle(self.run, self.protocol.precision, own.device, deterministic=own.deterministic)

    def replay(self) -> str:
        """Repeat the step at which this run diverged, and report where its numbers stop being finite; call it after `load`.

        Raises:
            ResumeError: if the run folder holds no diverged run, or one with other options.
        """
        with self._settled().applied():  # the same algorithms and threads, so the same bits
            return replay_step(self.options, self.protocol, self.task, self.model, self.size, self.run)

    def train(self) -> None:
        """Fine-tune, or fit the probe; select the epoch or the penalty on validation."""
        given = self.options, self.protocol, self.task, self.model, self.size
        self.trained = train_network(*given, self.run) if self.mode == "finetune" else train_probe(*given)

    def evaluate(self) -> None:
        """Choose temperature and thresholds on validation; then predict on the test split, once, and compute the metrics."""
        self.calibration = calibrate_on_validation(self.task, self.trained, self.side)
        task, test = self.task, decoded_split(self.task, "test", self.side)
        if task.kind == "segmentation":
            self.metrics, self.predictions = evaluate_masks(task, test, self.trained.tuner)
            if is_main_process() and not is_brief():
                draw_masks(self.run.path, test, self.trained.tuner, self.run.title)
            return
        predicted = self.trained.predict(test)
        check_finite(predicted, "test")
        given = task.kind, task.classes, test.labels, predicted, test.groups, task.info.scored
        self.metrics = metrics.compute(*given)
        if self.calibration is not None:
            self.metrics += metrics.calibrated_rows(*given, self.calibration.temperature, self.calibration.thresholds)
        if is_main_process() and not is_brief():
            draw_predictions(self.run.path, task.kind, task.classes, test.labels, predicted, self.run.title)
        self.predictions = predictions(task.classes, task.kind, test.ids, test.groups, test.labels, predicted)

    def store(self) -> Outcome:
        """Write the trained checkpoint, and then the result with its predictions."""
        if self.mode == "finetune" and self.options.keep_weights and is_main_process():
            parts = self.model, self.size, self.run, self.metrics, self.calibration
            save_checkpoint(self.options, self.protocol, self.task, *parts)
        selection = dict(self.trained.selection)
        if self.calibration is not None:
            chosen = self.calibration.to_dict()
            selection |= {key: chosen[key] for key in ("temperature", "thresholds")}
        return self._put("ok", selection, self.trained.facts, self.metrics, self.predictions)

    def _announce(self) -> None:
        """Print the first lines of a run: its settings and all warnings."""
        compute.announce(
            self.run,
            self.site,
            checkpoint=compute.checkpoint_label(self.model.load_receipt),
            counts=compute.counts_of(self.task),
            notes=self.task.notes,
            how=f"protocol {self.protocol.name} {self.mode} {self.protocol.hash()[:8]} ({_settings(self.protocol, self.size)})",
        )
        own = [] if is_brief() else self._label_warnings  # a suite prints these once, before its first run
        others = compute.precision_warnings(self.site, kept=self._kept_precision)
        for sentence in (*own, *others, compute.other_unfinished_run(self.run.path, self.run.identity)):
            if sentence:
                warn(sentence)

    def _put(
        self,
        status: str,
        selection: dict[str, Any],
        facts: dict[str, Any],
        rows: list[dict[str, Any]],
        table: Any,  # noqa: ANN401 - an Arrow table
    ) -> Outcome:
        result = make_result(
            self.identity,
            status=status,
            metric=self.task.metric,
            selection=selection,
            metrics=rows,
            predictions=table,
            train={**facts, **fold_facts(self.task, self.options), **draw_facts(self.task, self.options)},
            environment=environment(self.protocol.precision, kind=self.site.device),
            labels_stay=recorded_labels_stay(self.task.info),
        )
        result["train"]["wall_s"] = round(time.monotonic() - self._clock, 1)
        result["provenance"] |= {"started": self._started.isoformat(), "finished": datetime.now(UTC).isoformat()}
        path = self.results.path(self.identity)
        if is_main_process():  # all processes of a launch have the same numbers
            path = self.results.put(result, table)
            write_copy(self.run.path / "result.json", result)
        self.outcome = Outcome(result, path, self.run.path, cached=False)
        return self.outcome


def run_cell(options: CellOptions, mode: Mode = "finetune", *, stored_is_enough: bool = False) -> Outcome:
    """Fine-tune or probe a checkpoint on a task, test once, and store the result with its predictions.

    Args:
        options: checkpoint, task, protocol, seed, ...
        mode: "finetune" (all layers), or the name of a probe (the network stays frozen).
        stored_is_enough: whether a result in the store is sufficient, as for a table. Otherwise the run is repeated if its
            run folder or its trained checkpoint is missing.

    Returns:
        The outcome, from the store if it is there. A run whose loss was not finite has status "diverged" and no value.

    Raises:
        UsageError: before anything is loaded.
        ResultError: before anything is loaded, if the metric is undefined on the validation labels; after the run, if its number
            differs from the one in the store (both are kept).
        Interrupted: after a signal; call again to continue.
    """
    cell = CellRun(options, mode)
    cell.load()
    if (outcome := cell.stored(is_enough=stored_is_enough)) is not None:
        return outcome
    with cell.running():
        cell.train()
        cell.evaluate()
        cell.store()
    return cell.outcome


def _default_out(task: Task, identity: dict[str, Any]) -> Path:
    return Path("runs") / slug(task.name) / slug(identity["checkpoint"]["id"]) / run_id(identity)[:16]


def _as_begun(protocol: Protocol, task: Task, identity: dict[str, Any]) -> Protocol:
    """The protocol in the precision of an unfinished run, which may have started on another machine; updates `identity`."""
    other = replace(protocol, precision="fp32" if protocol.precision == "bf16" else "bf16")
    other_identity = {**identity, "protocol": {**identity["protocol"], "hash": other.hash()}}
    if compute.unfinished(_default_out(task, identity)) or not compute.unfinished(_default_out(task, other_identity)):
        return protocol
    identity.update(other_identity)
    return other


def _settings(protocol: Protocol, size: int) -> str:
    epochs = f"{protocol.epochs} epoch{'s' * (protocol.epochs != 1)}, " if protocol.mode == "finetune" else ""
    return f"{epochs}batch {protocol.batch_size}, {size} px"
