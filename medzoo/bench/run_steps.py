"""The steps of a run: load the network, decode a split, fine-tune, repeat a diverged step, and check the predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo import progress
from medzoo.bench import metrics
from medzoo.bench.cell_options import CellOptions
from medzoo.bench.label_checks import undefined_on
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.split_counts import data_counts
from medzoo.data.task import Task
from medzoo.errors import DivergedError
from medzoo.training.options.protocol_options import Mode, Protocol

if TYPE_CHECKING:
    import torch

    from medzoo.training.finetune import FineTuner
    from medzoo.training.run_state.run_folder import RunFolder


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    Args:
        predict: decoded images → probabilities (N, classes).
        selection: how the epoch or the penalty was selected on validation; goes into the result.
        facts: of the training; go into the result.
        tuner: of a fine-tuning or a dense probe; a segmentation predicts with it.
    """

    predict: Callable[[Decoded], np.ndarray]
    selection: dict[str, Any]
    facts: dict[str, Any]
    tuner: Any = None


def outputs_of(task: Task) -> list[str]:
    """The names of the network's outputs: the classes, or the one number of a regression."""
    return ["value"] if task.kind == "regression" else list(task.classes)


def load_network(options: CellOptions, mode: Mode, protocol: Protocol, task: Task) -> tuple[Any, int]:
    """The checkpoint of a run as the network that its mode needs, and the side of its input in pixels.

    Args:
        options: of the run.
        mode: "finetune" gives a network with a fresh head, or for masks with a decoder; a probe gives one without a head.
        protocol: with every option resolved.
        task: gives the outputs.
    """
    if mode == "finetune" and task.kind == "segmentation":
        from medzoo.bench.segmentation.steps import load_network as load_segmenter

        return load_segmenter(options, protocol, task)
    from medzoo.training.inputs.input_transform import load_at_size

    return load_at_size(
        options.checkpoint,
        num_classes=len(outputs_of(task)) if mode == "finetune" else 0,
        size=protocol.size or None,
        seed=options.seed,
        hub=options.hub,
        accept_license=options.accept_license,
        drop_path=protocol.drop_path,
    )


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
    from medzoo.training.run_state.plot_curves import draw_curves

    tuner, given = _tuner(options, protocol, task, model, size)
    fitted = tuner.fit(tuner.loop(run=run, **given))
    if progress.is_main_process():
        draw_curves(run)
    by_loss = protocol.monitor == "loss"
    values = fitted.history.losses if by_loss else fitted.scores
    selection = {
        "split": "validation",
        "metric": "loss" if by_loss else task.metric,
        "n_candidates": len(values),
        "test_evaluations": 1,
        "value": None if fitted.best_epoch is None else values[fitted.best_epoch],
    }
    facts = {"steps": fitted.steps, "best_step": fitted.best_step, "resumes": fitted.resumes}
    if fitted.history.stops:
        facts["stopped_early"] = True
    facts |= options.compiled()
    if fitted.micro_batch_size:
        facts["micro_batch_size"] = fitted.micro_batch_size
    return Trained(tuner.predict, selection, {**facts, "counts": data_counts(task)}, tuner)


def replay_step(
    options: CellOptions, protocol: Protocol, task: Task, model: torch.nn.Module, size: int, run: RunFolder
) -> str:
    """Repeat the step at which a run diverged; returns a summary of the report, which is written into the run folder.

    Args: as for `train_network`.

    Raises:
        ResumeError: if the folder holds no diverged run, or a run with other options.
    """
    from medzoo.training.replay import REPORT, replay

    tuner, given = _tuner(options, protocol, task, model, size)
    report = replay(tuner.loop(run=run, **given))
    where = report["first_layer_not_finite"] or "none; the loss itself is not finite"
    again = "diverged again" if report["diverged_again"] else "did not diverge again"
    return (
        f"Step {report['step']} {again}. First layer with a value that is not finite: {where}. {run.path / REPORT} has the "
        "images of the batch, all layers and all gradients."
    )


def _tuner(
    options: CellOptions, protocol: Protocol, task: Task, model: torch.nn.Module, size: int
) -> tuple[FineTuner, dict[str, Any]]:
    """The fine-tuning of a task, and the arguments of its `loop`."""
    from medzoo.training.finetune import FineTuner
    from medzoo.training.inputs.evaluation_views import stored_side

    places: dict[str, Any] = {
        "size": size,
        "device": options.device,
        "data_on_device": options.data_on_device,
        "micro_batch_size": options.micro_batch_size or 0,
        "compiled": options.compile,
    }
    if task.kind == "segmentation":
        from medzoo.training.segmentation.tune import SegmentationTuner

        structures = list(task.info.structures.values())
        tuner: FineTuner = SegmentationTuner(
            model,  # type: ignore[arg-type]
            list(task.classes),
            protocol,
            structures=structures,
            **places,
        )
        scored = False  # the tuner computes the Dice itself
    else:
        tuner = FineTuner(model, task.kind, list(task.classes), protocol, **places)
        # If the metric does not select the epoch, it may be undefined on the validation split.
        scored = protocol.uses_metric or undefined_on(task, "validation") is None
    side = stored_side(size, protocol.crop_share)
    return tuner, {
        "train": decoded_split(task, "train", side),
        "validation": decoded_split(task, "validation", side),
        "seed": options.seed,
        "num_workers": options.num_workers,
        "score": validation_score(task) if scored else None,
        "worded": lambda score: score_text(task, score),
    }
