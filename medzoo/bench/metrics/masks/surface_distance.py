"""Distances of the boundaries of two masks: HD95 and NSD, in mm.

Tools differ in what a boundary is, in which percentile they take, and in what an empty mask means; a number without them
cannot be compared (arXiv:2410.02630). Here:

- Boundary: the foreground pixels that one erosion removes, with a neighbourhood of 4 pixels in 2-D and 6 in 3-D. Outside of
  the image there is background, so that foreground at its edge is boundary. Distances are between centres of pixels.
- HD95: "max_of_directed" is the larger of the two directed 95th percentiles (as in MONAI); "pooled" is the 95th percentile
  of the distances of both directions together (as in medpy). Percentiles are interpolated linearly.
- NSD: the share of the pixels of both boundaries whose distance to the other boundary is at most the tolerance. Pixels are
  counted (as in MONAI), not weighted by surface area (as in DeepMind's surface-distance).
- Both masks empty: "one" gives HD95 0 and NSD 1, "skip" gives no value.
- One mask empty: NSD is 0. HD95 is the diagonal of the image ("diagonal"), or has no value ("skip").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medzoo.bench.metrics.masks.overlap import BOTH_EMPTY, EMPTY, check_rule, mask_pair
from medzoo.errors import MissingExtraError, ResultError, UndefinedMetricError

DEFINITIONS = ("max_of_directed", "pooled")
ONE_EMPTY = ("diagonal", "skip")
TOLERANCE_MM = 2.0
_ROUNDING_MM = 1e-6  # added to the tolerance: 3 steps of 0.1 mm are not more than 0.3 mm


def boundary(mask: np.ndarray) -> np.ndarray:
    """The foreground pixels that one erosion removes.

    Args:
        mask: (H, W) or (D, H, W); booleans, or 0 and 1.

    Returns:
        A boolean mask of the same shape.

    Raises:
        MissingExtraError: without scipy.
        ResultError: for other values.

    >>> boundary(np.ones((3, 3), bool)).astype(int)
    array([[1, 1, 1],
           [1, 0, 1],
           [1, 1, 1]])
    """
    inside, _ = mask_pair(mask, mask)
    return inside & ~_ndimage().binary_erosion(inside)


def surface_distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each boundary pixel of a mask to the nearest boundary pixel of the other one.

    Args:
        prediction: (H, W) or (D, H, W); booleans, or 0 and 1.
        truth: of the same shape.
        spacing: mm between two pixels, for each axis of the array.

    Returns:
        Distances in mm from the prediction to the truth, and from the truth to the prediction. They are infinite if the
        other mask is empty.

    Raises:
        MissingExtraError: without scipy.
        ResultError: for other shapes or values, or a wrong spacing.

    >>> surface_distances([[1, 0, 0]], [[0, 0, 1]], (1.0, 0.5))
    (array([1.]), array([1.]))
    """
    prediction, truth = mask_pair(prediction, truth)
    sampling = check_spacing(spacing, prediction.ndim)
    # all pixels outside of the box of both masks are background: leave them out, but for a margin of one pixel
    used = prediction | truth
    for axis in range(used.ndim):
        places = np.flatnonzero(used.any(axis=tuple(other for other in range(used.ndim) if other != axis)))
        if len(places):
            part = (slice(None),) * axis + (slice(max(places[0] - 1, 0), places[-1] + 2),)
            used, prediction, truth = used[part], prediction[part], truth[part]
    first, second = boundary(prediction), boundary(truth)
    return _distances(first, second, sampling), _distances(second, first, sampling)


def hd95(
    prediction: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float],
    *,
    definition: str = "max_of_directed",
    empty: str = "one",
    one_empty: str = "diagonal",
) -> float:
    """The 95th percentile of the Hausdorff distance, in mm; lower is better.

    Args:
        prediction: (H, W) or (D, H, W); booleans, or 0 and 1.
        truth: of the same shape.
        spacing: mm between two pixels, for each axis of the array.
        definition: "max_of_directed" or "pooled"; see the module.
        empty: if both masks are empty, "one" gives 0 and "skip" gives no value.
        one_empty: if one mask is empty, "diagonal" gives the length of the image's diagonal, and "skip" no value.

    Returns:
        A distance in mm.

    Raises:
        UndefinedMetricError: for empty masks, with "skip".
        MissingExtraError: without scipy.
        ResultError: for other shapes or values, a wrong spacing, or an unknown rule.

    Source: Huttenlocher et al. 1993 (doi:10.1109/34.232073); definitions: arXiv:2410.02630.

    >>> hd95([[1, 0, 0, 0]], [[0, 0, 0, 1]], (1.0, 0.5))
    1.5
    """
    check_rule(definition, DEFINITIONS, "HD95")
    distances = surface_distances(prediction, truth, spacing)
    return hd95_of_distances(*distances, diagonal_of(np.shape(truth), spacing), definition, empty, one_empty)


def nsd(
    prediction: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float],
    tolerance_mm: float = TOLERANCE_MM,
    *,
    empty: str = "one",
) -> float:
    """The normalized surface distance (surface Dice): the share of both boundaries within a tolerance.

    Args:
        prediction: (H, W) or (D, H, W); booleans, or 0 and 1.
        truth: of the same shape.
        spacing: mm between two pixels, for each axis of the array.
        tolerance_mm: the distance that still counts as equal, such as that of two readers.
        empty: if both masks are empty, "one" gives 1 and "skip" gives no value. If one mask is empty, NSD is 0.

    Returns:
        From 0 to 1.

    Raises:
        UndefinedMetricError: if both masks are empty, with empty="skip".
        MissingExtraError: without scipy.
        ResultError: for other shapes or values, a wrong spacing, or a negative tolerance.

    Source: Nikolov et al. 2021 (arXiv:1809.04430), with pixels counted.

    >>> nsd([[1, 0, 0, 0]], [[0, 0, 0, 1]], (1.0, 0.5), 1.5), nsd([[1, 0, 0, 0]], [[0, 0, 0, 1]], (1.0, 0.5), 1.4)
    (1.0, 0.0)
    """
    return nsd_of_distances(*surface_distances(prediction, truth, spacing), tolerance_mm, empty)


def hd95_of_distances(
    to_truth: np.ndarray, to_prediction: np.ndarray, diagonal: float, definition: str, empty: str, one_empty: str
) -> float:
    """HD95 from the results of `surface_distances`.

    Args:
        to_truth: distances from the prediction, in mm.
        to_prediction: distances from the truth, in mm.
        diagonal: of the image, in mm.
        definition: as for `hd95`.
        empty: as for `hd95`.
        one_empty: as for `hd95`.

    Raises:
        UndefinedMetricError: for empty masks, with "skip".
        ResultError: for an unknown rule.

    >>> hd95_of_distances(np.array([0.0]), np.array([0.0, 2.0]), 9.0, "pooled", "one", "skip").__round__(3)
    1.8
    """
    check_rule(definition, DEFINITIONS, "HD95")
    check_rule(one_empty, ONE_EMPTY, "one empty mask")
    check_rule(empty, EMPTY, "two empty masks")
    if not len(to_truth) and not len(to_prediction):
        return _both_empty(0.0, empty)
    if not len(to_truth) or not len(to_prediction):
        if one_empty == "skip":
            raise UndefinedMetricError("one mask is empty", code="metric-undefined")
        return diagonal
    if definition == "pooled":
        return float(np.percentile(np.concatenate([to_truth, to_prediction]), 95))
    return float(max(np.percentile(to_truth, 95), np.percentile(to_prediction, 95)))


def nsd_of_distances(to_truth: np.ndarray, to_prediction: np.ndarray, tolerance_mm: float, empty: str) -> float:
    """NSD from the results of `surface_distances`.

    Args:
        to_truth: distances from the prediction, in mm.
        to_prediction: distances from the truth, in mm.
        tolerance_mm: as for `nsd`.
        empty: as for `nsd`.

    Raises:
        UndefinedMetricError: if both masks are empty, with empty="skip".
        ResultError: for an unknown rule, or a negative tolerance.

    >>> nsd_of_distances(np.array([0.0]), np.array([0.0, 2.0]), 1.0, "one").__round__(3)
    0.667
    """
    check_tolerance(tolerance_mm)
    check_rule(empty, EMPTY, "two empty masks")
    both = np.concatenate([to_truth, to_prediction])
    return float((both <= tolerance_mm + _ROUNDING_MM).mean()) if len(both) else _both_empty(1.0, empty)


def check_spacing(spacing: Sequence[float], axes: int) -> tuple[float, ...]:
    """The spacing as floats.

    Args:
        spacing: mm between two pixels, for each axis.
        axes: number of axes of the image.

    Raises:
        ResultError: unless it has one positive number for each axis.

    >>> check_spacing((1, 0.5), 2)
    (1.0, 0.5)
    """
    values = np.asarray(spacing, dtype=np.float64)
    if values.shape != (axes,) or not (np.isfinite(values) & (values > 0)).all():
        text = f"The spacing should be {axes} positive numbers (mm for each axis of the mask), not {spacing!r:.60}."
        raise ResultError(text, code="spacing-wrong")
    return tuple(values.tolist())


def check_tolerance(tolerance_mm: float) -> None:
    """Refuse a tolerance that is not a distance.

    Raises:
        ResultError: for a negative or infinite number.
    """
    if not 0 <= tolerance_mm < np.inf:
        raise ResultError(f"The tolerance should be a distance in mm, not {tolerance_mm}.", code="tolerance-wrong")


def diagonal_of(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """The length of the diagonal of an image.

    Args:
        shape: of the image.
        spacing: mm between two pixels, for each axis.

    >>> diagonal_of((3, 4), (1.0, 1.0))
    5.0
    """
    return float(np.linalg.norm(np.asarray(shape) * np.asarray(spacing)))


def _both_empty(value: float, empty: str) -> float:
    if empty == "skip":
        raise UndefinedMetricError(BOTH_EMPTY, code="metric-undefined")
    return value


def _distances(start: np.ndarray, goal: np.ndarray, sampling: tuple[float, ...]) -> np.ndarray:
    if not goal.any():
        return np.full(int(start.sum()), np.inf)
    return np.asarray(_ndimage().distance_transform_edt(~goal, sampling=sampling)[start])


def _ndimage() -> Any:  # noqa: ANN401 - a module
    try:
        from scipy import ndimage
    except ImportError:
        raise MissingExtraError("scipy", "recipes", "A surface distance") from None
    return ndimage
