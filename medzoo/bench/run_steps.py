"""The steps of a run: fine-tune or fit a linear probe, check the predictions, and save the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo import progress
from medzoo.bench import metrics
from medzoo.bench.cell_options import CellOptions
from medzoo.bench.label_checks import undefined_on
from medzoo.bench.segmentation.steps import saved_parts
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.split_counts import data_counts
from medzoo.data.task import Task
from medzoo.errors import DivergedError
from medzoo.progress import counted
from medzoo.training.options.protocol_options import Protocol
from medzoo.training.options.shared import slug, trained_name

if TYPE_CHECKING:
    import torch

    from medzoo.training.run_state.run_folder import RunFolder


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    Args:
        predict: decoded images → probabilities (N, classes).
        selection: how the epoch or the penalty was selected on validation; goes into the result.
        facts: of the training; go into the result.
        tuner: of a fine-tuning; a segmentation predicts with it.
    """

    predict: Callable[[Decoded], np.ndarray]
    selection: dict[str, Any]
    facts: dict[str, Any]
    tuner: Any = None


def decoded_split(task: Task, split: str, size: int) -> Decoded:
    """The decoded images of a split.

    Args:
        task: the data.
        split: "train", "validation" or "test".
        size: side of the images, pixels.
    """
    from medzoo.data.decode_cache.cache import decoded

    return decoded(task, split, size=size)


def check_finite(probabilities: np.ndarray, split: str) -> None:
    """Report a run as diverged if its predictions overflow; its loss may have been finite.

    Raises:
        DivergedError: with the number of images.
    """
    broken = int((~np.isfinite(probabilities).all(axis=1)).sum())
    if broken:
        raise DivergedError(
            f"Predictions are NaN or infinite for {broken} of {len(probabilities)} {split} images. Try a lower --learning-rate, or "
            "--precision fp32.",
            code="predictions-not-finite",
        )


def validation_score(task: Task) -> Callable[[np.ndarray, np.ndarray], float]:
    """The score that selects an epoch or a penalty; higher is better for every metric."""

    def score(labels: np.ndarray, probabilities: np.ndarray) -> float:
        check_finite(probabilities, "validation")
        return metrics.validation_score(task.kind, task.classes, labels, probabilities, task.metric, task.info.scored)

    return score


def score_text(task: Task, score: float) -> str:
    """A validation score for the log, such as "AUROC 0.9123"."""
    metric = metrics.metric(task.metric)
    return f"{metric.title} {score if metric.higher_is_better else -score:.4f}"


def train_network(
    options: CellOptions, protocol: Protocol, task: Task, model: torch.nn.Module, size: int, run: RunFolder
) -> Trained:
    """Fine-tune, select on validation, and draw the curves; a stopped run continues from its last state.

    Args:
        options: of the run.
        protocol: with every option resolved.
        task: the data; its test split is not read here.
        model: the loaded checkpoint.
        size: side of the images, pixels.
        run: the open run folder.

    Raises:
        Interrupted: after a signal.
        DivergedError: if the loss or the predictions are not finite.
    """
    from medzoo.training.finetune import FineTuner
    from medzoo.training.inputs.evaluation_views import stored_side
    from medzoo.training.run_state.plot_curves import draw_curves
    from medzoo.training.segmentation.tune import SegmentationTuner

    places: dict[str, Any] = {"size": size, "device": options.device, "data_on_device": options.data_on_device}
    if task.kind == "segmentation":
        tuner: FineTuner = SegmentationTuner(model, list(task.classes), protocol, **places)  # type: ignore[arg-type]
        scored = False  # the tuner computes the Dice itself
    else:
        tuner = FineTuner(model, task.kind, list(task.classes), protocol, **places)
        # If the metric does not select the epoch, it may be undefined on the validation split.
        scored = protocol.uses_metric or undefined_on(task, "validation") is None
    side = stored_side(size, protocol.crop_share)
    fitted = tuner.fit(
        decoded_split(task, "train", side), decoded_split(task, "validation", side), run, seed=options.seed,
        num_workers=options.num_workers, score=validation_score(task) if scored else None,
        worded=lambda score: score_text(task, score),
    )  # fmt: skip
    if progress.is_main_process():
        draw_curves(run)
    by_loss = protocol.monitor == "loss"
    values = fitted.history.losses if by_loss else fitted.scores
    selection = {
        "split": "validation", "metric": "loss" if by_loss else task.metric, "n_candidates": len(values),
        "test_evaluations": 1, "value": None if fitted.best_epoch is None else values[fitted.best_epoch],
    }  # fmt: skip
    facts = {"steps": fitted.steps, "best_step": fitted.best_step, "resumes": fitted.resumes}
    if fitted.history.stops:
        facts["stopped_early"] = True
    if fitted.micro_batch_size:
        facts["micro_batch_size"] = fitted.micro_batch_size
    return Trained(tuner.predict, selection, {**facts, "counts": data_counts(task)}, tuner)


def train_probe(options: CellOptions, protocol: Protocol, task: Task, model: torch.nn.Module, size: int) -> Trained:
    """Extract features, fit a logistic regression, and select its penalty on validation.

    Args:
        options: of the run.
        protocol: with every option resolved.
        task: the data; its test split is not read here.
        model: the loaded checkpoint, which stays frozen.
        size: side of the images, pixels.

    Raises:
        DivergedError: if the predictions are not finite.
    """
    from medzoo.training.features import embed, weights_hash
    from medzoo.training.loop import make_accelerator
    from medzoo.training.probe import fit_probe

    accelerator = make_accelerator(protocol.precision, options.device)

    def features(rows: Decoded) -> np.ndarray:
        with accelerator.autocast():
            return embed(model, rows, size=size, batch_size=protocol.batch_size, device=accelerator.device).array

    # Features are cached on the disk, so that another seed or fraction of the task does not compute them again.
    train, validation = (decoded_split(task, split, size) for split in ("train", "validation"))
    train_rows, validation_rows = (features(train), train.labels), (features(validation), validation.labels)
    started = time.monotonic()
    probe = fit_probe(
        train_rows, validation_rows, kind=task.kind, classes=len(task.classes), regularisation=protocol.regularisation,
        score=validation_score(task),
    )  # fmt: skip
    progress.say_part(
        f"{counted(probe.candidates, 'penalty', 'penalties')} fitted on {len(train_rows[0]):,} x {train_rows[0].shape[1]:,} "
        f"features: C = {probe.regularisation:g}, {score_text(task, probe.score)} on validation, "
        f"{progress.duration(time.monotonic() - started)}"
    )
    selection = {
        "split": "validation", "metric": task.metric, "n_candidates": probe.candidates, "test_evaluations": 1,
        "value": probe.score, "regularisation": probe.regularisation,
    }  # fmt: skip
    facts = {"converged": probe.converged, "state_sha256": weights_hash(model), "counts": data_counts(task)}
    return Trained(lambda rows: probe.predict(features(rows)), selection, facts)


def save_checkpoint(
    options: CellOptions,
    protocol: Protocol,
    task: Task,
    model: torch.nn.Module,
    size: int,
    run: RunFolder,
    rows: list[dict[str, Any]],
) -> None:
    """Save the fine-tuned network as a folder for `medzoo.load`, with its lineage and test metrics in the card.

    Args:
        options: of the run.
        protocol: with every option resolved.
        task: the data of the training.
        model: the trained network.
        size: side of the images, pixels.
        run: the open run folder.
        rows: the test metrics.
    """
    from medzoo.zoo.folder.read_write import save

    # the lineage of the network is that of its checkpoint and this training
    receipt: Any = model.load_receipt
    methods = [str(step["method"]) for step in receipt.lineage if step.get("method")]
    data = slug(task.name)
    step = {"method": "supervised", "data": data, "images": len(task.splits["train"]), "epochs": protocol.epochs}
    lineage = [*receipt.lineage, step]
    settings = {key: value for key, value in asdict(protocol).items() if key != "regularisation"}

    # the facts of the model card
    card: dict[str, Any] = {
        "name": trained_name(receipt.name, methods, "supervised", data),
        "license": options.license,
        "data": [str(row["data"]) for row in lineage],
        "method": "supervised",
        "lineage": lineage,
        "labels": list(task.classes),
        "hyperparameters": {"protocol": settings.pop("name"), **settings, "seed": options.seed},
        "input": {"size": size, "crop_pct": 1.0, "interpolation": "bilinear"},
        "results": [
            {"task": task.name, "metric": row["name"], "label": row["label"], "value": row["value"], "n": row["n"]}
            for row in rows
            if row["label"] is None and row["value"] is not None
        ],
    }
    if task.kind == "multilabel":
        card["problem_type"] = "multi_label_classification"
    if task.kind == "segmentation":
        del card["labels"]  # the encoder has no head; the classes are those of the decoder
        encoder, decoder = saved_parts(options, model, task.classes, size)  # type: ignore[arg-type]
        save(encoder, run.checkpoint, card=card, decoder=decoder)
        return
    save(model.cpu().eval(), run.checkpoint, card=card)
