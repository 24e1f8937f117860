"""One named checkpoint on one named task: the single implementation behind the recipes, the table and the demo."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench import metrics, results
from medzoo.errors import DivergedError, UsageError
from medzoo.training.options import SharedOptions, open_task, option, slug, task_identity, trained_name
from medzoo.training.protocol import Mode, Protocol, load_protocol
from medzoo.training.runs import is_main_process

if TYPE_CHECKING:
    import numpy as np
    import torch

    from medzoo.data.cache import Decoded
    from medzoo.data.task import Task
    from medzoo.training.runs import RunFolder


@dataclass(kw_only=True)
class CellOptions(SharedOptions):
    """Options of putting one checkpoint to one task with one seed."""

    checkpoint: str = option("name (`medzoo list`), hf-hub:org/name, org/name, or a folder", "")
    protocol: str = option("protocol by name, or a TOML file", "medzoo")
    out: str | None = option("folder of the run (default: runs/TASK/CHECKPOINT/ID)")
    results: str = option("store of results", "results")
    keep_weights: bool = option("leave the fine-tuned net in the run folder's checkpoint/", True)
    license: str = option("licence of the fine-tuned folder (an SPDX id); needed before it may be pushed", "unknown")

    def check(self) -> None:
        """Refuse what cannot run, before anything is loaded."""
        super().check()
        if not self.checkpoint:
            raise UsageError("--checkpoint is missing: a name (`medzoo list`), hf-hub:org/name, or a folder.")


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Args:
        result: the result, as stored.
        path: its file in the store of results.
        run: the run folder.
        cached: whether the store had it already.
    """

    result: dict[str, Any]
    path: Path
    run: Path | None
    cached: bool

    def __str__(self) -> str:
        value = "diverged" if self.headline is None else f"{self.headline:.4f}"
        where = "already in the store" if self.cached else f"run folder {self.run}"
        return f"{self.result['metric']} {value}  ({where}; result {self.path})"

    @property
    def headline(self) -> float | None:
        """The task's primary metric on the test split."""
        return results.headline_value(self.result)

    def raise_if_diverged(self) -> None:
        """Turn a run without a value into an error, for a shell's exit code.

        Raises:
            DivergedError: with the reason that the result holds.
        """
        if self.result["status"] != "ok":
            raise DivergedError(f"{self.result['train'].get('reason')} The result is stored: {self.path}")


def run_cell(options: CellOptions, mode: Mode = "finetune") -> Outcome:
    """Fine-tune or probe a checkpoint on a task, test once, and store the result with its predictions.

    Args:
        options: checkpoint, task, protocol, seed, ...
        mode: "finetune" (all layers) or "linear" (a probe on frozen features).

    Returns:
        The outcome; one that the store already holds is returned at once. A run whose loss was not finite is an
        outcome too, with status "diverged" and without a value.

    Raises:
        UsageError: before anything is loaded.
        Interrupted: after a signal; the same call goes on.
    """
    options.check()
    protocol = load_protocol(
        options.protocol, mode, epochs=options.epochs, size=options.size, batch_size=options.batch_size,
        learning_rate=options.learning_rate, precision=options.precision,
    )  # fmt: skip
    task = open_task(options)
    if task.kind not in ("binary", "multiclass", "multilabel"):
        raise UsageError(f"Task {task.name} is {task.kind}; run_cell does classification.")

    from medzoo.training.features import weights_hash
    from medzoo.training.inputs import load_at_size
    from medzoo.training.runs import RunFolder

    classes = len(task.classes) if mode == "finetune" else 0
    model, size = load_at_size(
        options.checkpoint, num_classes=classes, size=protocol.size or None, seed=options.seed, hub=options.hub,
        accept_license=options.accept_license,
    )  # fmt: skip
    receipt: Any = model.load_receipt
    data = task_identity(task, options, size)
    identity = {
        "task": {"id": task.name, "version": task.version},
        "dataset": {
            "fingerprint": task.fingerprint, "split_hash": task.split_hash, "label_policy": options.label_policy,
            "preprocess_hash": _preprocess_hash(task, size, model),
        },
        "checkpoint": {
            "id": receipt.name, "weights_sha256": receipt.sha256 or None, "arch": receipt.architecture,
            "init": "stored" if receipt.sha256 else "random",
        },
        "protocol": {
            "id": protocol.name, "hash": protocol.hash(), "label_fraction": options.fraction, "mode": mode, "size": size,
        },
        "seed": options.seed, "fold": options.fold,
    }  # fmt: skip
    store = results.ResultStore(Path(options.results))
    if (known := store.get(identity)) is not None and known.get("status") in ("ok", "diverged"):
        return Outcome(known, store.path(identity), None, cached=True)
    run_id = results.run_id(identity)
    out = Path(options.out or Path("runs") / slug(task.name) / slug(receipt.name) / run_id[:16])
    run = RunFolder(
        out,
        mode,
        {**identity, "data": data},
        {**options.as_dict(), "mode": mode, **_resolved(protocol)},
        options.resume,
    )
    started, clock = datetime.now(UTC), time.monotonic()

    main = is_main_process()

    def put(result: dict[str, Any], table: Any) -> Outcome:  # noqa: ANN401 - an Arrow table
        result["train"]["wall_s"] = round(time.monotonic() - clock, 1)
        result["provenance"] |= {"started": started.isoformat(), "finished": datetime.now(UTC).isoformat()}
        if not main:  # the other processes of a launch have the same numbers; one of them writes
            return Outcome(result, store.path(identity), run.path, cached=False)
        path = store.put(result, table)
        results.write_copy(run.path / "result.json", result)
        return Outcome(result, path, run.path, cached=False)

    cell = _Cell(options, protocol, task, model, size, run, identity)
    for split in task.splits:  # decoding looks at no label; an unreadable image is found before hours of training
        cell.decoded(split)
    diverged: list[Outcome] = []
    try:
        with store.claim(identity) if main else nullcontext(), run.open():
            try:
                return put(*(cell.finetune() if mode == "finetune" else cell.probe(weights_hash(model))))
            except DivergedError as error:  # a result like any other: kept and shown, never averaged away
                diverged.append(put(cell.result("diverged", {}, [], None, {"reason": str(error)}), None))
                raise
    except DivergedError:
        return diverged[0]


def _resolved(protocol: Protocol) -> dict[str, Any]:
    return {f"protocol_{key}": value for key, value in asdict(protocol).items() if key not in ("name", "mode")}


def _trained_by(protocol: Protocol) -> dict[str, Any]:
    options = {key: value for key, value in asdict(protocol).items() if key != "regularisation"}
    return {("protocol" if key == "name" else key): value for key, value in options.items()}


def _preprocess_hash(task: Task, size: int, model: torch.nn.Module) -> str:
    from medzoo import store
    from medzoo.data.cache import DECODER_VERSION
    from medzoo.training.inputs import convention_of

    return store.sha256_of({"decoder": DECODER_VERSION, "size": size, "input": repr(convention_of(model))})


class _Cell:
    """The parts of one run, between the open folder and the stored result."""

    def __init__(
        self, options: CellOptions, protocol: Protocol, task: Task, model: torch.nn.Module, size: int, run: RunFolder,
        identity: dict[str, Any],
    ) -> None:  # fmt: skip
        self.options, self.protocol, self.task, self.model, self.size = options, protocol, task, model, size
        self.run, self.identity = run, identity

    def decoded(self, split: str) -> Decoded:
        """The rows of a split at the run's size."""
        from medzoo.data.cache import decoded

        return decoded(self.task, split, size=self.size)

    def _score(self, labels: np.ndarray, probabilities: np.ndarray) -> float:
        return metrics.validation_score(self.task.kind, self.task.classes, labels, probabilities, self.task.metric)

    def finetune(self) -> tuple[dict[str, Any], Any]:
        """Train, select on validation, save the folder, then open the test split, once."""
        from medzoo.training.curves import draw_curves
        from medzoo.training.finetune import FineTuner

        tuner = FineTuner(self.model, self.task.kind, self.protocol, size=self.size, device=self.options.device)
        fitted = tuner.fit(
            self.decoded("train"), self.decoded("validation"), self.run, seed=self.options.seed,
            num_workers=self.options.num_workers, score=self._score,
        )  # fmt: skip
        if tuner.accelerator.is_main_process:
            draw_curves(self.run)
        test = self.decoded("test")
        predicted = tuner.predict(test)
        selection = {
            "split": "validation", "metric": self.task.metric, "n_candidates": len(fitted.scores), "test_evaluations": 1,
            "value": None if fitted.best_epoch is None else fitted.scores[fitted.best_epoch],
        }  # fmt: skip
        train: dict[str, Any] = {"steps": fitted.steps, "best_step": fitted.best_step, "resumes": fitted.resumes}
        train["counts"] = {name: len(split) for name, split in self.task.splits.items()}
        outcome = self._finish(test, predicted, selection, train)
        if self.options.keep_weights and tuner.accelerator.is_main_process:
            self._save_folder(outcome[0])
        return outcome

    def probe(self, weights: str) -> tuple[dict[str, Any], Any]:
        """Embed the splits, fit the logistic regression, choose its penalty on validation, test once."""
        from medzoo.training.features import embed
        from medzoo.training.loop import make_accelerator
        from medzoo.training.probe import fit_probe

        accelerator = make_accelerator(self.protocol.precision, self.options.device)

        def features(split: str) -> tuple[np.ndarray, np.ndarray]:
            with accelerator.autocast():
                rows = embed(
                    self.model, self.decoded(split), size=self.size, batch_size=self.protocol.batch_size,
                    device=accelerator.device, cache=self.protocol.precision == "fp32",
                )  # fmt: skip
            return rows.array, rows.labels

        probe = fit_probe(
            features("train"), features("validation"), kind=self.task.kind, classes=len(self.task.classes),
            regularisation=self.protocol.regularisation, score=self._score,
        )  # fmt: skip
        selection = {
            "split": "validation", "metric": self.task.metric, "n_candidates": probe.candidates, "test_evaluations": 1,
            "value": probe.score, "regularisation": probe.regularisation,
        }  # fmt: skip
        train = {"converged": probe.converged, "state_sha256": weights}
        train["counts"] = {name: len(split) for name, split in self.task.splits.items()}
        return self._finish(self.decoded("test"), probe.predict(features("test")[0]), selection, train)

    def _finish(
        self, test: Decoded, predicted: np.ndarray, selection: dict[str, Any], train: dict[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        rows = metrics.compute(self.task.kind, self.task.classes, test.labels, predicted, test.groups)
        table = results.predictions(self.task.classes, self.task.kind, test.ids, test.groups, test.labels, predicted)
        return self.result("ok", selection, rows, table, train), table

    def result(
        self,
        status: str,
        selection: dict[str, Any],
        rows: list[dict[str, Any]],
        table: Any,  # noqa: ANN401 - an Arrow table
        train: dict[str, Any],
    ) -> dict[str, Any]:
        """The result row of this run."""
        return results.make_result(
            self.identity, status=status, metric=self.task.metric, selection=selection, metrics=rows, predictions=table,
            train=train, environment=results.environment(self.protocol.precision),
        )  # fmt: skip

    def _save_folder(self, result: dict[str, Any]) -> None:
        from medzoo.zoo.folder import save

        receipt: Any = self.model.load_receipt
        methods = [str(step["method"]) for step in receipt.lineage if step.get("method")]
        data = slug(self.task.name)
        step = {
            "method": "supervised", "data": data, "images": len(self.task.splits["train"]), "epochs": self.protocol.epochs,
        }  # fmt: skip
        lineage = [*receipt.lineage, step]
        card: dict[str, Any] = {
            "name": trained_name(receipt.name, methods, "supervised", data),
            "license": self.options.license,
            "data": [str(row["data"]) for row in lineage],
            "method": "supervised",
            "lineage": lineage,
            "labels": list(self.task.classes),
            "hyperparameters": {**_trained_by(self.protocol), "seed": self.options.seed},
            "input": {"size": self.size},
            "results": [
                {
                    "task": self.task.name,
                    "metric": row["name"],
                    "label": row["label"],
                    "value": row["value"],
                    "n": row["n"],
                }
                for row in result["metrics"]
                if row["label"] is None and row["value"] is not None
            ],
        }
        if self.task.kind == "multilabel":
            card["problem_type"] = "multi_label_classification"
        save(self.model.cpu().eval(), self.run.checkpoint, card=card)
