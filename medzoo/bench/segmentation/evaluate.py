"""The scores of a test split with masks: at the size of the stored rows, and at the size of the masks."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.metrics.masks.distances import measured_distances
from medzoo.bench.metrics.masks.rows import Distances, MaskRows, mask_scores
from medzoo.bench.results.record import mask_predictions
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.task import Task

if TYPE_CHECKING:
    import torch

    from medzoo.training.segmentation.tune import Segmented

FIELD = "fov"  # the column with the mask of the field of view, where a task has one
Spacings = list[tuple[float, ...]]


class MaskPredictor(typing.Protocol):
    """A fitted segmentation: a fine-tuned network or a dense probe."""

    def segment(self, data: Decoded) -> Iterator[Segmented]:
        """The logits of a split, some images at a time."""


def evaluate_masks(task: Task, data: Decoded, tuner: MaskPredictor) -> tuple[list[dict[str, Any]], Any]:
    """The metrics of the test split and the table of its rows.

    Args:
        task: of segmentation.
        data: the decoded test split.
        tuner: a fine-tuned network or a dense probe.

    Returns:
        Rows of metrics, and an Arrow table.
    """
    from medzoo.training.segmentation.counts import pixel_counts
    from medzoo.training.segmentation.losses import NOT_ANNOTATED
    from medzoo.training.segmentation.masks import classes_of
    from medzoo.training.segmentation.tune import check_masks

    check_masks(data, list(task.classes), "test")
    fields = field_masks(task, "test", data.images[:1].shape[1]) if len(task.classes) == 1 else None
    spacings = spacings_of(task, "test")
    structures = list(task.info.structures.values())
    counts: list[np.ndarray] = []
    areas: list[float | None] = []
    pixels: list[int] = []
    at_masks: list[tuple[np.ndarray, int, list[list[float]]]] = []
    for part in tuner.segment(data):
        counts.append(pixel_counts(classes_of(part.logits), part.masks, structures))
        pixels += (part.masks != NOT_ANNOTATED).sum((1, 2)).tolist()
        for k, row in enumerate(part.rows):
            if fields is not None:
                areas.append(_pixel_auroc(part.masks[k], part.logits[k, 0], fields[row]))
            spacing = None if spacings is None else spacings[row]
            at_masks.append(_at_mask(part.logits[k], task.read_mask("test", row), structures, spacing))
    original, annotated, distances = zip(*at_masks, strict=True)
    rows = MaskRows(
        tuple(task.info.structures),
        np.concatenate(counts),
        np.array(pixels),
        tuple(data.groups),
        tuple(areas) if areas else None,
        (np.concatenate(original), np.array(annotated)),
        Distances(np.array(distances), "pixels" if spacings is None else "mm"),
    )
    return mask_scores(rows), mask_predictions(rows, data.ids)


def spacings_of(task: Task, split: str) -> Spacings | None:
    """The distances of the pixels of every image along its two axes, mm; None if an image has none.

    Args:
        task: with images that may know it (DICOM, NIfTI).
        split: of the images.

    >>> from medzoo.data.task_registry import load_task
    >>> spacings_of(load_task("phantom_oct"), "test") is None
    True
    """
    found: Spacings = []
    for row in range(task.tables[split].num_rows):
        spacing = task.read(split, row)[0].spacing_mm
        if spacing is None or not np.isfinite(spacing[-2:]).all() or min(spacing[-2:]) <= 0:
            return None  # most formats have none: the first image is the only one that is read
        found.append(tuple(spacing[-2:]))
    return found


def field_masks(task: Task, split: str, side: int) -> np.ndarray | None:
    """The field of view of every image at the side of the stored rows: (N, side, side) bool; None where the task has none.

    Args:
        task: with a column `fov` of mask files.
        split: of the images.
        side: pixels.
    """
    from medzoo.data.decode_cache.rows import to_mask_row

    if FIELD not in task.tables[split].column_names:
        return None
    return np.stack([to_mask_row(task.reader.read_mask(key), side) for key in task.column(split, FIELD)]).astype(bool)


def _at_mask(
    logits: torch.Tensor, mask: np.ndarray, structures: list[tuple[int, ...]], spacing: tuple[float, ...] | None
) -> tuple[np.ndarray, int, list[list[float]]]:
    """Counts (1, structures, 3), annotated pixels and distances of one image whose logits are resized to its mask."""
    import torch

    from medzoo.training.segmentation.counts import is_one_of, pixel_counts
    from medzoo.training.segmentation.losses import NOT_ANNOTATED
    from medzoo.training.segmentation.masks import classes_at

    truth = torch.from_numpy(np.array(mask))
    predicted, known = classes_at(logits.float().cpu(), mask.shape[:2]), truth != NOT_ANNOTATED
    sides = spacing or (1.0, 1.0)
    distances = []
    for values in structures:
        found, true = ((is_one_of(one, values) & known).numpy() for one in (predicted, truth))
        distances.append(measured_distances(found, true, sides))
    return pixel_counts(predicted[None], truth[None], structures), int(known.sum()), distances


def _pixel_auroc(mask: torch.Tensor, logits: torch.Tensor, field: np.ndarray) -> float | None:
    """The AUROC of the pixels of one image inside its field of view; None if they have one class."""
    from medzoo.training.segmentation.losses import NOT_ANNOTATED

    truth = mask.cpu().numpy()
    inside = field & (truth != NOT_ANNOTATED)
    labels = (truth[inside] == 1).astype(int)
    return metrics.auroc(labels, logits.cpu().numpy()[inside]) if 0 < labels.sum() < len(labels) else None
