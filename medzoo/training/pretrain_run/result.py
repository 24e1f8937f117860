"""The checkpoint folder that a pre-training leaves, with its card and its lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medzoo.progress import warn
from medzoo.training.pretrain_run.health import is_collapsed
from medzoo.zoo.folder.facts import COLLAPSED, COLLAPSED_NOTE, NO_WINDOW


def save_checkpoint(
    model: Any,  # noqa: ANN401 - a timm model with its receipt
    folder: Path,
    *,
    name: str,
    license: str,
    size: int,
    step: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    classes: Sequence[str] = (),
    kind: str = "",
    measured: Mapping[str, float] | None = None,
) -> Path:
    """Write a trained network as a folder that `medzoo.load` reads.

    Args:
        model: a timm model from `medzoo.load`, after training.
        folder: where to write.
        name: of the checkpoint.
        license: SPDX id.
        size: side of the training images, pixels.
        step: this training as a step of the lineage: method, data, images, epochs.
        hyperparameters: every resolved option.
        classes: labels of the head; none without a head.
        kind: of the task.
        measured: the last values of the features, by which a collapsed network is marked.
    """
    from medzoo.zoo.folder.read_write import save

    lineage = [*model.load_receipt.lineage, dict(step)]
    card: dict[str, Any] = {
        "name": name,
        "license": license,
        "data": [str(row["data"]) for row in lineage],
        "method": step["method"],
        "lineage": lineage,
        "hyperparameters": dict(hyperparameters),
        "input": {"size": size, "crop_pct": 1.0, "interpolation": "bilinear"},
        "evaluation": {"window": NO_WINDOW},  # not that of an earlier fine-tuning
    }
    if is_collapsed(measured or {}):
        card["hyperparameters"][COLLAPSED] = True
        card["note"] = COLLAPSED_NOTE
        warn(f"{name}: {COLLAPSED_NOTE} Another learning rate, batch size or method may prevent it.")
    if classes:
        card["labels"] = list(classes)
        if kind == "multilabel":
            card["problem_type"] = "multi_label_classification"
    return save(model.cpu().eval(), folder, card=card)
