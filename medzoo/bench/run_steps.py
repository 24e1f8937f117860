"""The steps of one run: train or probe, select on validation, test once, and save."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo import progress
from medzoo.bench import metrics
from medzoo.bench.label_checks import undefined_on
from medzoo.bench.results import store as results
from medzoo.bench.results.folds import fold_facts
from medzoo.data.split_counts import data_counts
from medzoo.errors import DivergedError
from medzoo.progress import counted
from medzoo.training.options.protocol import Protocol
from medzoo.training.options.shared import slug, trained_name

if TYPE_CHECKING:
    import torch

    from medzoo.bench.cell_options import CellOptions
    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.data.task import Task
    from medzoo.training.run_state.run_folder import RunFolder


def _trained_by(protocol: Protocol) -> dict[str, Any]:
    options = {key: value for key, value in asdict(protocol).items() if key != "regularisation"}
    return {("protocol" if key == "name" else key): value for key, value in options.items()}


def _check_finite(probabilities: np.ndarray, split: str) -> None:
    """Report a run as diverged if its predictions overflow; the loss may have been finite."""
    broken = int((~np.isfinite(probabilities).all(axis=1)).sum())
    if broken:
        raise DivergedError(
            f"Predictions are NaN or infinite for {broken} of {len(probabilities)} {split} images. Try a lower --learning-rate, or "
            "--precision fp32.",
            code="predictions-not-finite",
        )


class Trial:
    """The steps of one run, from the open run folder to the stored result."""

    def __init__(
        self, options: CellOptions, protocol: Protocol, task: Task, model: torch.nn.Module, size: int, run: RunFolder,
        identity: dict[str, Any],
    ) -> None:  # fmt: skip
        self.options, self.protocol, self.task, self.model, self.size = options, protocol, task, model, size
        self.run, self.identity = run, identity

    def decoded(self, split: str) -> Decoded:
        """The rows of a split at the run's size."""
        from medzoo.data.decode_cache.cache import decoded

        return decoded(self.task, split, size=self.size)

    def _score(self, labels: np.ndarray, probabilities: np.ndarray) -> float:
        task = self.task
        _check_finite(probabilities, "validation")
        return metrics.validation_score(task.kind, task.classes, labels, probabilities, task.metric, task.info.scored)

    def _worded(self, score: float) -> str:
        metric = metrics.metric(self.task.metric)
        return f"{metric.title} {score if metric.higher_is_better else -score:.4f}"

    def finetune(self) -> tuple[dict[str, Any], Any]:
        """Train, select on validation, evaluate the test split once, and save the folder."""
        from medzoo.training.finetune import FineTuner
        from medzoo.training.run_state.plot_curves import draw_curves

        tuner = FineTuner(
            self.model, self.task.kind, self.protocol, size=self.size, device=self.options.device,
            data_on_device=self.options.data_on_device,
        )  # fmt: skip
        # if the last epoch is kept, the metric may be undefined on the validation split
        scored = self.protocol.selection == "best" or undefined_on(self.task, "validation") is None
        fitted = tuner.fit(
            self.decoded("train"), self.decoded("validation"), self.run, seed=self.options.seed,
            num_workers=self.options.num_workers, score=self._score if scored else None, worded=self._worded,
        )  # fmt: skip
        if tuner.accelerator.is_main_process:
            draw_curves(self.run)

        # the test split is used once, after the selection
        test = self.decoded("test")
        predicted = tuner.predict(test)
        _check_finite(predicted, "test")
        selection = {
            "split": "validation", "metric": self.task.metric, "n_candidates": len(fitted.scores), "test_evaluations": 1,
            "value": None if fitted.best_epoch is None else fitted.scores[fitted.best_epoch],
        }  # fmt: skip
        train: dict[str, Any] = {"steps": fitted.steps, "best_step": fitted.best_step, "resumes": fitted.resumes}
        train["counts"] = data_counts(self.task)
        outcome = self._finish(test, predicted, selection, train)
        if self.options.keep_weights and tuner.accelerator.is_main_process:
            self._save_folder(outcome[0])
        return outcome

    def probe(self, weights: str) -> tuple[dict[str, Any], Any]:
        """Extract features, fit a logistic regression, choose its penalty on validation, and test once."""
        from medzoo.training.features import embed
        from medzoo.training.loop import make_accelerator
        from medzoo.training.probe import fit_probe

        accelerator = make_accelerator(self.protocol.precision, self.options.device)

        def features(split: str) -> tuple[np.ndarray, np.ndarray]:
            with accelerator.autocast():
                rows = embed(
                    self.model, self.decoded(split), size=self.size, batch_size=self.protocol.batch_size,
                    device=accelerator.device,
                )  # fmt: skip
            return rows.array, rows.labels

        train_rows, validation_rows, started = features("train"), features("validation"), time.monotonic()
        probe = fit_probe(
            train_rows, validation_rows, kind=self.task.kind, classes=len(self.task.classes),
            regularisation=self.protocol.regularisation, score=self._score,
        )  # fmt: skip
        progress.say_part(
            f"{counted(probe.candidates, 'penalty', 'penalties')} fitted on {len(train_rows[0]):,} x {train_rows[0].shape[1]:,} "
            f"features: C = {probe.regularisation:g}, {self._worded(probe.score)} on validation, "
            f"{progress.duration(time.monotonic() - started)}"
        )
        selection = {
            "split": "validation", "metric": self.task.metric, "n_candidates": probe.candidates, "test_evaluations": 1,
            "value": probe.score, "regularisation": probe.regularisation,
        }  # fmt: skip
        train = {"converged": probe.converged, "state_sha256": weights}
        train["counts"] = data_counts(self.task)
        return self._finish(self.decoded("test"), probe.predict(features("test")[0]), selection, train)

    def _finish(
        self, test: Decoded, predicted: np.ndarray, selection: dict[str, Any], train: dict[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        rows = metrics.compute(
            self.task.kind, self.task.classes, test.labels, predicted, test.groups, self.task.info.scored
        )  # fmt: skip
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
        """The result of this run."""
        return results.make_result(
            self.identity, status=status, metric=self.task.metric, selection=selection, metrics=rows, predictions=table,
            train={**train, **fold_facts(self.task, self.options)}, environment=results.environment(self.protocol.precision),
        )  # fmt: skip

    def _save_folder(self, result: dict[str, Any]) -> None:
        from medzoo.zoo.folder.read_write import save

        # the lineage of the fine-tuned network is that of its checkpoint and this training
        receipt: Any = self.model.load_receipt
        methods = [str(step["method"]) for step in receipt.lineage if step.get("method")]
        data = slug(self.task.name)
        step = {
            "method": "supervised", "data": data, "images": len(self.task.splits["train"]), "epochs": self.protocol.epochs,
        }  # fmt: skip
        lineage = [*receipt.lineage, step]

        # the facts of the model card
        card: dict[str, Any] = {
            "name": trained_name(receipt.name, methods, "supervised", data),
            "license": self.options.license,
            "data": [str(row["data"]) for row in lineage],
            "method": "supervised",
            "lineage": lineage,
            "labels": list(self.task.classes),
            "hyperparameters": {**_trained_by(self.protocol), "seed": self.options.seed},
            "input": {"size": self.size, "crop_pct": 1.0, "interpolation": "bilinear"},
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
