"""Metrics of a segmented test set, added image by image: only counts and distances stay in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medzoo.bench.metrics.facts import Row
from medzoo.bench.metrics.masks.distances import definitions, measured_distances
from medzoo.bench.metrics.masks.overlap import (
    EMPTY,
    check_rule,
    dice_of_counts,
    iou_of_counts,
    mask_pair,
    overlap_counts,
)
from medzoo.bench.metrics.masks.rows import MM, Distances, MaskRows, mask_scores
from medzoo.bench.metrics.masks.surface_distance import (
    ONE_EMPTY,
    TOLERANCE_MM,
    check_spacing,
    check_tolerance,
)
from medzoo.errors import ResultError


@dataclass(frozen=True)
class _Image:
    """What stays of an image: counts (S, 3) and distances (S, 3) of its structures; NaN is "no value"."""

    case: str
    counts: np.ndarray
    pixels: int
    distances: np.ndarray | None  # None without spacing


class SegmentationMetrics:
    """Dice, IoU, HD95 and NSD of a test set that does not fit into memory.

    Rows of a structure (`label`; None for a single structure):

    - `dice`, `iou`: mean over images; `dice_per_case`, `iou_per_case`: the slices of a case are summed first, then the mean
      over cases; `dice_pooled`, `iou_pooled`: all pixels of the test set as one array.
    - `hd95` (larger directed percentile), `hd95_pooled`, `nsd`: mean over images, in the definitions of
      `medzoo.bench.metrics.masks.surface_distance`. They have no value if the spacing of an image is not known.

    With several structures, the rows without label are means over structures. `n` counts the images with a value (cases for
    `_per_case`), `n_pos` the images that show the structure, `n_patients` the cases.

    Args:
        structures: names of the structures.
        empty: of images without the structure in both masks: "one" counts them as right, "skip" leaves them out.
        one_empty: HD95 of images with one empty mask: "diagonal" of the image, or "skip".
        tolerance_mm: of NSD.
        distances: whether to compute HD95 and NSD.

    Raises:
        ResultError: for an unknown rule, a wrong tolerance, or structures that are empty or repeated.

    >>> metrics = SegmentationMetrics(distances=False)
    >>> metrics.add(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]), case="a")
    >>> metrics.add(np.array([[0, 0, 0]]), np.array([[0, 0, 0]]), case="a")
    >>> [(row["name"], round(row["value"], 3)) for row in metrics.rows()][:3]
    [('dice', 0.833), ('dice_per_case', 0.667), ('dice_pooled', 0.667)]
    """

    def __init__(
        self,
        structures: Sequence[str] = ("foreground",),
        *,
        empty: str = "one",
        one_empty: str = "diagonal",
        tolerance_mm: float = TOLERANCE_MM,
        distances: bool = True,
    ) -> None:
        check_rule(empty, EMPTY, "two empty masks")
        check_rule(one_empty, ONE_EMPTY, "one empty mask")
        check_tolerance(tolerance_mm)
        self.structures = tuple(structures)
        if not self.structures or len(set(self.structures)) < len(self.structures):
            raise ResultError("Give each structure one name.", code="structures-wrong")
        self.empty, self.one_empty = empty, one_empty
        self.tolerance_mm, self.distances = float(tolerance_mm), distances
        self._images: list[_Image] = []

    def add(
        self,
        prediction: np.ndarray,
        truth: np.ndarray,
        case: str | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        """Add an image.

        Args:
            prediction: of one structure, a mask (H, W) or (D, H, W) of 0 and 1 or booleans. Of several structures,
                either integers, where 0 is background and k is the k-th structure, or booleans with the structures as
                first axis (they may overlap).
            truth: in the same form.
            case: the patient or volume that the image belongs to; None for a case of its own.
            spacing: mm between two pixels, for each axis of the image; None if it is not known.

        Raises:
            MissingExtraError: without scipy, if distances are computed.
            ResultError: for other shapes or values, or a wrong spacing.
        """
        pairs = [mask_pair(*pair) for pair in zip(self._masks(prediction), self._masks(truth), strict=True)]
        counts = np.array([overlap_counts(*pair) for pair in pairs])
        measured = None
        if self.distances and spacing is not None:
            sides = check_spacing(spacing, pairs[0][0].ndim)
            measured = np.array(
                [
                    measured_distances(one, two, sides, self.tolerance_mm, empty=self.empty, one_empty=self.one_empty)
                    for one, two in pairs
                ]
            )
        name = f"image {len(self._images)}" if case is None else str(case)
        self._images.append(_Image(name, counts, pairs[0][1].size, measured))

    def rows(self) -> list[Row]:
        """The result rows of all images, from `mask_scores`, which also makes those of a run.

        Raises:
            ResultError: if no image was added.
        """
        if not self._images:
            raise ResultError("The split is empty: there are no images to evaluate.", code="split-empty")
        both = np.stack([image.counts for image in self._images])
        counts = np.stack([both[..., 0], both[..., 1] - both[..., 0], both[..., 2] - both[..., 0]], axis=-1)
        distances = None
        if self.distances:
            measured = [image.distances for image in self._images if image.distances is not None]
            values = np.stack(measured) if len(measured) == len(self._images) else None
            distances = Distances(values, "mm", self.describe())
        cases = tuple(image.case for image in self._images)
        pixels = np.array([image.pixels for image in self._images])
        return mask_scores(MaskRows(self.structures, counts, pixels, cases, distances=distances), self.empty)

    def per_image(self) -> list[dict[str, str | float | None]]:
        """One row for each image and structure, for confidence intervals over cases; None where undefined."""
        found = []
        for image in self._images:
            for k, name in enumerate(self.structures):
                values = {
                    "dice": dice_of_counts(image.counts[k], self.empty),
                    "iou": iou_of_counts(image.counts[k], self.empty),
                    **({} if image.distances is None else dict(zip(MM, image.distances[k], strict=True))),
                }
                numbers = {key: None if np.isnan(value) else float(value) for key, value in values.items()}
                found.append({"case": image.case, "structure": name, **numbers})
        return found

    def describe(self) -> dict[str, str]:
        """The definitions behind the rows, to be stored with them.

        >>> SegmentationMetrics(tolerance_mm=1).describe()["two empty masks"]
        'Dice, IoU, NSD 1, HD95 0'
        """
        both = "Dice, IoU, NSD 1, HD95 0" if self.empty == "one" else "left out"
        return {
            "boundary": "foreground pixels removed by one erosion (4 neighbours in 2-D, 6 in 3-D)",
            **definitions(tolerance=self.tolerance_mm, empty=self.empty, one_empty=self.one_empty),
            "two empty masks": both,
        }

    def _masks(self, values: np.ndarray) -> list[np.ndarray]:
        """One mask for each structure."""
        values, count = np.asarray(values), len(self.structures)
        if count == 1:
            return [values]
        if values.dtype == bool:
            if not values.ndim or len(values) != count:
                text = f"Masks of {count} structures should have {count} as first axis, not the shape {values.shape}."
                raise ResultError(text, code="mask-shapes-differ")
            return list(values)
        if not np.isin(values, np.arange(count + 1)).all():
            text = f"A label map of {count} structures should have whole numbers from 0 to {count}."
            raise ResultError(text, code="mask-values-wrong")
        return [values == k + 1 for k in range(count)]
