"""What a run leaves for later use: temperature and thresholds, and the folder of the trained network with its card."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from medzoo import progress
from medzoo.bench import metrics
from medzoo.bench.cell_options import CellOptions
from medzoo.bench.run_steps import Trained, check_finite, decoded_split, outputs_of
from medzoo.bench.segmentation.steps import saved_parts
from medzoo.data.images.ct_windows import limits_of, window_text
from medzoo.data.images.window_rules import parse_rule
from medzoo.data.task import Task
from medzoo.errors import listed
from medzoo.training.options.names import slug, trained_name
from medzoo.training.options.protocol_options import Protocol
from medzoo.zoo.folder.facts import NO_WINDOW

if TYPE_CHECKING:
    import torch

    from medzoo.bench.metrics import Calibration
    from medzoo.training.run_state.run_folder import RunFolder

HALF = 0.5  # the threshold of a label that has none
PROBLEMS = {"multilabel": "multi_label_classification", "regression": "regression"}


def calibrate_on_validation(task: Task, trained: Trained, side: int) -> Calibration | None:
    """The temperature and the decision thresholds, chosen on validation; None for a regression or a segmentation.

    They are stored with the result and in the trained folder. The metrics and the stored predictions do not use them.

    Args:
        task: the data.
        trained: the outcome of the training.
        side: of the decoded images, pixels.
    """
    if task.kind in ("regression", "segmentation"):
        return None
    rows = decoded_split(task, "validation", side)
    probabilities = trained.predict(rows)
    check_finite(probabilities, "validation")
    return metrics.calibrate(task.kind, task.classes, rows.labels, probabilities)


def _folder_calibration(task: Task, calibration: Calibration) -> dict[str, Any]:
    """A calibration as a folder stores it: thresholds for all labels in their order, or none."""
    names = {"binary": task.classes[1:], "multilabel": task.classes}.get(task.kind, ())
    missing = [name for name in names if name not in calibration.thresholds]
    if missing:
        progress.warn(
            f"{listed(missing, 20)}: no threshold was chosen, because {calibration.chosen_on} has only one class of it. The folder "
            f"of the run uses {HALF}. Use a validation split with both classes."
        )
    # a folder without thresholds uses 0.5 for all labels
    chosen = len(missing) < len(names)
    thresholds = [calibration.thresholds.get(name, HALF) for name in names] if chosen else []
    facts = {"temperature": calibration.temperature, "rule": calibration.rule, "split": calibration.chosen_on}
    return {**facts, "thresholds": thresholds}


def _folder_evaluation(protocol: Protocol, task: Task) -> dict[str, Any]:
    """How the test looked at an image; the window of an earlier fine-tuning of the network does not count."""
    facts: dict[str, Any] = {
        "crop_share": protocol.crop_share,
        "views": protocol.augmented_test,
        "window": _window(task) or NO_WINDOW,
    }
    if task.kind == "segmentation":
        return {**facts, "window_overlap": protocol.window_overlap}
    return {**facts, "sigmoid": protocol.loss == "sigmoid" and task.kind in ("binary", "multiclass")}


def _window(task: Task) -> str | None:
    """The range to which the task's images are clipped, as a folder stores it: with its unit if that is HU.

    >>> from medzoo.data.task_registry import load_task
    >>> _window(load_task("phantom_ct,n=8,n_validation=4,n_test=4"))
    '-160:240 HU'
    """
    window = getattr(task.reader, "window", None) or task.info.window
    if window is None:
        return None
    if parse_rule(window) is not None:
        return window_text(window)
    split = next(iter(task.splits))
    unit = " HU" if isinstance(window, str) or task.read(split, 0)[0].unit == "HU" else ""
    return window_text(limits_of(window)) + unit


def save_checkpoint(
    options: CellOptions,
    protocol: Protocol,
    task: Task,
    model: torch.nn.Module,
    size: int,
    run: RunFolder,
    rows: list[dict[str, Any]],
    calibration: Calibration | None = None,
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
        calibration: chosen on validation.
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
        "labels": outputs_of(task),
        "hyperparameters": {"protocol": settings.pop("name"), **settings, "seed": options.seed},
        "input": {"size": size, "crop_pct": protocol.crop_share, "interpolation": "bilinear"},
        "evaluation": _folder_evaluation(protocol, task),
        "results": [
            {"task": task.name, "metric": row["name"], "label": row["label"], "value": row["value"], "n": row["n"]}
            for row in rows
            if row["label"] is None and row["value"] is not None
        ],
    }
    if calibration is not None:
        card["calibration"] = _folder_calibration(task, calibration)
    if task.kind in PROBLEMS:
        card["problem_type"] = PROBLEMS[task.kind]
    if task.kind == "segmentation":
        del card["labels"]  # the encoder has no head; the classes are those of the decoder
        card["input"]["crop_pct"] = 1.0  # windows cover the whole image
        encoder, decoder = saved_parts(options, model, task.classes, size)  # type: ignore[arg-type]
        save(encoder, run.checkpoint, card=card, decoder=decoder)
        return
    save(model.cpu().eval(), run.checkpoint, card=card)
