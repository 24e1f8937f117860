"""The one maker of rows about masks, from counts and distances of each image; a stored table of a run gives the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medzoo.bench.metrics.facts import Row, row
from medzoo.bench.metrics.masks.distances import definitions
from medzoo.bench.metrics.masks.overlap import BOTH_EMPTY, dice_of_counts, iou_of_counts

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = ("tp", "fp", "fn")
ORIGINAL = "original_"  # before the names of columns about masks at their own size
MM = ("hd95", "hd95_pooled", "nsd")
PIXELS = tuple(f"{name}_pixels" for name in MM)
# columns that contain the mask of a case, or the area of one
CASE_COLUMNS = (*PARTS, *(ORIGINAL + part for part in PARTS), *MM, *PIXELS, "pixel_auroc")
NO_SPACING = "not every image has a pixel spacing"
ONE_EMPTY_ONLY = "a mask is empty in every image"


@dataclass(frozen=True)
class Distances:
    """HD95, pooled HD95 and NSD of each image and structure.

    Args:
        values: (N, structures, 3), NaN where undefined; None if an image has no pixel spacing.
        unit: "mm" or "pixels".
        texts: definition of each name; by default those of a run.
    """

    values: np.ndarray | None
    unit: str = "mm"
    texts: Mapping[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the three rows."""
        return MM if self.unit == "mm" else PIXELS


@dataclass(frozen=True)
class MaskRows:
    """The pixels of the images of a split.

    Args:
        structures: names of the scored structures: the classes, or the regions of the task.
        counts: (N, structures, 3) int64: true positives, false positives, false negatives, at the size of the stored rows.
        pixels: (N,) annotated pixels of each image.
        groups: the case of each image: images of one patient or volume are one case.
        areas: the AUROC of the pixels of each image inside its field of view, None where undefined; None without such fields.
        original: counts (N, structures, 3) at the size of the masks, and their annotated pixels (N,); None if not measured.
        distances: of each image; None if not measured.
    """

    structures: tuple[str, ...]
    counts: np.ndarray
    pixels: np.ndarray
    groups: tuple[str, ...]
    areas: tuple[float | None, ...] | None = None
    original: tuple[np.ndarray, np.ndarray] | None = None
    distances: Distances | None = None

    @classmethod
    def from_table(cls, table: pa.Table) -> MaskRows:
        """The rows of a table of predictions.

        Args:
            table: from `results.record.mask_predictions`.
        """
        names = set(table.column_names)
        structures = tuple(name.removeprefix("tp:") for name in table.column_names if name.startswith("tp:"))

        def columns(parts: Sequence[str]) -> np.ndarray:
            each = [[table[f"{part}:{name}"].to_numpy() for part in parts] for name in structures]
            return np.array(each).transpose(2, 0, 1)

        original, distances = None, None
        if f"{ORIGINAL}pixels" in names:
            counted = columns([ORIGINAL + part for part in PARTS]).astype(np.int64)
            original = counted, table[f"{ORIGINAL}pixels"].to_numpy()
            unit = "mm" if f"{MM[0]}:{structures[0]}" in names else "pixels"
            distances = Distances(columns(MM if unit == "mm" else PIXELS).astype(np.float64), unit)
        areas = tuple(table["pixel_auroc"].to_pylist()) if "pixel_auroc" in names else None
        counts, pixels = columns(PARTS).astype(np.int64), table["pixels"].to_numpy()
        return cls(structures, counts, pixels, tuple(table["patient"].to_pylist()), areas, original, distances)


def mask_columns(names: Sequence[str]) -> list[str]:
    """The columns that a table of predictions of a segmentation should have, for the structures that its names contain.

    Args:
        names: of the columns of a table.

    >>> mask_columns(["sample", "tp:liver", "pixels"])
    ['sample', 'patient', 'pixels', 'tp:liver', 'fp:liver', 'fn:liver']
    """
    structures = [name.removeprefix("tp:") for name in names if name.startswith("tp:")]
    parts = list(PARTS)
    columns = ["sample", "patient", "pixels"]
    if f"{ORIGINAL}pixels" in names:
        columns.append(f"{ORIGINAL}pixels")
        parts += [*(ORIGINAL + part for part in PARTS)]
        parts += MM if any(name.partition(":")[0] in MM for name in names) else PIXELS
    columns += [f"{part}:{name}" for name in structures for part in parts]
    return [*columns, *(["pixel_auroc"] if "pixel_auroc" in names else [])]


def mask_scores(rows: MaskRows, empty: str = "one") -> list[Row]:
    """All metrics of the masks of a split.

    Args:
        rows: of the split.
        empty: of an image without a structure in both masks: "one" counts it as right, "skip" leaves it out.

    Returns:
        Rows as those of `metrics.compute`. "dice" and "iou" are means over images, "dice_per_case" over cases, whose images are
        counted together; "dice_pooled" counts all images together. These are at the size of the stored rows. "dice_original",
        HD95 and NSD are means over images at the size of their masks. "pixel_auroc" is the mean over images. With several
        structures, the rows without label are means over structures. `n` counts the images with a value (cases for
        "_per_case"), `n_pos` the images that show the structure, `n_patients` the cases.

    >>> counts = np.array([[[2, 0, 0]], [[0, 0, 2]]])
    >>> [(row["name"], row["value"]) for row in mask_scores(MaskRows(("lesion",), counts, np.array([4, 4]), ("a", "b")))][:3]
    [('dice', 0.5), ('dice_per_case', 0.5), ('dice_pooled', 0.6666666666666666)]
    """
    single = len(rows.structures) == 1
    names, case = np.unique(np.asarray(rows.groups), return_inverse=True)
    each = [
        made
        for k, name in enumerate(rows.structures)
        for made in _structure_rows(None if single else name, k, rows, case, len(names), empty)
    ]
    whole = each if single else [*_means(each, len(rows.counts), len(names)), *each]
    return [*whole, *_areas(rows, len(names))]


def counts_of_both(counts: np.ndarray) -> np.ndarray:
    """Pixels in both masks, in the prediction, and in the truth, as `overlap_counts`, from true and false positives and so on.

    Args:
        counts: (..., 3) true positives, false positives, false negatives.

    >>> counts_of_both(np.array([1, 1, 0])).tolist()
    [1, 2, 1]
    """
    hits, wrong, missed = np.moveaxis(np.asarray(counts), -1, 0)
    return np.stack([hits, hits + wrong, hits + missed], axis=-1)


def _structure_rows(
    label: str | None,
    k: int,
    rows: MaskRows,
    case: np.ndarray,
    n_cases: int,
    empty: str,
) -> list[Row]:
    counts = counts_of_both(rows.counts[:, k])
    sums = np.zeros((n_cases, 3), dtype=np.int64)
    np.add.at(sums, case, counts)
    n_pos = int((counts[:, 2] > 0).sum())

    def mean(name: str, values: np.ndarray, cases: np.ndarray, undefined: str, definition: str | None = None) -> Row:
        known = ~np.isnan(values)
        # an exact sum, so that the order of the cases, which salted names change, is of no importance
        value = math.fsum(values[known].tolist()) / int(known.sum()) if known.any() else None
        patients = len(np.unique(cases[known]))
        return row(
            name, label, value, n=int(known.sum()), n_patients=patients, n_pos=n_pos, undefined=undefined,
            definition=definition,
        )  # fmt: skip

    def everywhere(name: str, value: float | None, undefined: str) -> Row:
        return row(name, label, value, n=len(counts), n_patients=n_cases, n_pos=n_pos, undefined=undefined)

    made = []
    for name, function in (("dice", dice_of_counts), ("iou", iou_of_counts)):
        made.append(mean(name, function(counts, empty), case, BOTH_EMPTY))
        made.append(mean(f"{name}_per_case", function(sums, empty), np.arange(n_cases), BOTH_EMPTY))
        pooled = function(counts.sum(axis=0), empty)
        value = None if np.isnan(pooled) else float(pooled)
        made.append(everywhere(f"{name}_pooled", value, BOTH_EMPTY))
    if rows.original is not None:
        at_masks = dice_of_counts(counts_of_both(rows.original[0][:, k]), empty)
        made.append(mean("dice_original", at_masks, case, BOTH_EMPTY))
    if (found := rows.distances) is None:
        return made
    if found.values is None or found.unit != "mm":  # a distance in pixels is never shown as one in mm
        made += [everywhere(name, None, NO_SPACING) for name in MM]
    if found.values is not None:
        texts = definitions(found.unit) if found.texts is None else found.texts
        for place, name in enumerate(found.names):
            made.append(mean(name, found.values[:, k, place], case, ONE_EMPTY_ONLY, texts[name]))
    return made


def _means(each: Sequence[Row], n_images: int, n_cases: int) -> list[Row]:
    """Means over structures."""
    made = []
    for name in dict.fromkeys(one["name"] for one in each):
        of_name = [one for one in each if one["name"] == name]
        values = [one["value"] for one in of_name if one["value"] is not None]
        n = n_cases if name.endswith("_per_case") else n_images
        reason = of_name[0]["undefined"] if name in (*MM, *PIXELS) else "it is undefined for every structure"
        value = float(np.mean(values)) if values else None
        made.append(
            row(
                name, None, value, n=n, n_patients=n_cases, n_labels=len(values), undefined=reason,
                definition=of_name[0].get("definition"),
            )
        )  # fmt: skip
    return made


def _areas(rows: MaskRows, n_cases: int) -> list[Row]:
    if rows.areas is None:
        return []
    known = [value for value in rows.areas if value is not None]
    mean = float(np.mean(known)) if known else None
    undefined = "no image has pixels of both kinds"
    n, n_pos = len(rows.areas), len(known)
    return [row("pixel_auroc", None, mean, n=n, n_pos=n_pos, n_patients=n_cases, undefined=undefined)]
