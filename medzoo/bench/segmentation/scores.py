"""The metrics of masks, from the true positive, false positive and false negative pixels of each image and class.

An image that has no pixel of a class, and in which none is predicted, has a Dice and an IoU of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.bench.metrics.overlap import dice_of_counts, iou_of_counts

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
PARTS = ("tp", "fp", "fn")


def mask_columns(names: list[str]) -> list[str]:
    """The columns that a table of predictions of a segmentation should have, for the classes that its names contain.

    Args:
        names: of the columns of a table.

    >>> mask_columns(["sample", "tp:liver", "pixels"])
    ['sample', 'patient', 'pixels', 'tp:liver', 'fp:liver', 'fn:liver']
    """
    classes = [name.removeprefix("tp:") for name in names if name.startswith("tp:")]
    counts = [f"{part}:{name}" for name in classes for part in PARTS]
    return ["sample", "patient", "pixels", *counts, *(["pixel_auroc"] if "pixel_auroc" in names else [])]


@dataclass(frozen=True)
class MaskRows:
    """The pixels of the images of a split.

    Args:
        classes: names, without the background.
        counts: (N, classes, 3) int64: true positives, false positives, false negatives.
        pixels: (N,) annotated pixels of each image.
        groups: the case of each image: images of one patient or volume are one case.
        areas: the AUROC of the pixels of each image inside its field of view, None where undefined; None without such fields.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    pixels: np.ndarray
    groups: tuple[str, ...]
    areas: tuple[float | None, ...] | None = None

    @classmethod
    def from_table(cls, table: pa.Table) -> MaskRows:
        """The rows of a table of predictions.

        Args:
            table: from `results.record.mask_predictions`.
        """
        classes = tuple(name.removeprefix("tp:") for name in table.column_names if name.startswith("tp:"))
        columns = [[table[f"{part}:{name}"].to_numpy() for part in PARTS] for name in classes]
        areas = tuple(table["pixel_auroc"].to_pylist()) if "pixel_auroc" in table.column_names else None
        counts = np.array(columns, dtype=np.int64).transpose(2, 0, 1)
        return cls(classes, counts, table["pixels"].to_numpy(), tuple(table["patient"].to_pylist()), areas)


def mask_scores(rows: MaskRows) -> list[Row]:
    """All metrics of a split.

    Args:
        rows: of the split.

    Returns:
        Rows as those of `metrics.compute`. "dice" and "iou" are means over images; "dice_case" is the mean over cases, whose images
        are counted together, where a case has several images; "dice_pooled" counts all images together; "pixel_auroc" is the
        mean over images. The value of the task is the mean over its classes.

    >>> counts = np.array([[[2, 0, 0]], [[0, 0, 2]]])
    >>> [(row["name"], row["value"]) for row in mask_scores(MaskRows(("lesion",), counts, np.array([4, 4]), ("a", "b")))]
    [('dice', 0.5), ('dice_pooled', 0.6666666666666666), ('iou', 0.5)]
    """
    cases = np.unique(np.asarray(rows.groups), return_inverse=True)[1]
    hits, wrong, missed = np.moveaxis(rows.counts, -1, 0)
    counts = np.stack([hits, hits + wrong, hits + missed], axis=-1)  # of both masks, of the prediction, of the truth
    by_case = np.zeros((int(cases.max()) + 1, *counts.shape[1:]), np.int64)
    np.add.at(by_case, cases, counts)
    values = {"dice": dice_of_counts(counts)}
    if len(by_case) < len(counts):
        values["dice_case"] = dice_of_counts(by_case)
    values |= {"dice_pooled": dice_of_counts(counts.sum(axis=0, keepdims=True)), "iou": iou_of_counts(counts)}
    several = len(rows.classes) > 1
    present = (counts[..., 2] > 0).sum(axis=0)
    facts = {"undefined": None, "n": len(counts), "n_patients": len(by_case)}
    result: list[Row] = []
    for name, table in values.items():
        means = table.mean(axis=0)
        result.append(
            {"name": name, "label": None, "value": float(means.mean()), **facts, "n_pos": None if several else int(present[0]),
             "n_labels": len(means) if several else None}
        )  # fmt: skip
        if several:
            result += [
                {"name": name, "label": label, "value": float(mean), **facts, "n_pos": int(positive), "n_labels": None}
                for label, mean, positive in zip(rows.classes, means, present, strict=True)
            ]
    return [*result, *_areas(rows, facts)]


def _areas(rows: MaskRows, facts: Row) -> list[Row]:
    if rows.areas is None:
        return []
    known = [value for value in rows.areas if value is not None]
    mean = float(np.mean(known)) if known else None
    undefined = "no image has pixels of both kinds" if mean is None else None
    row = {"name": "pixel_auroc", "label": None, "value": mean, **facts, "undefined": undefined}
    return [{**row, "n_pos": len(known), "n_labels": None}]
