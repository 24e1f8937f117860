"""The three distances of two masks at once, and their definitions in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from medzoo.bench.metrics.masks.surface_distance import (
    DEFINITIONS,
    TOLERANCE_MM,
    diagonal_of,
    hd95_of_distances,
    nsd_of_distances,
    surface_distances,
)
from medzoo.errors import UndefinedMetricError


def definitions(
    unit: str = "mm", *, tolerance: float = TOLERANCE_MM, empty: str = "one", one_empty: str = "diagonal"
) -> dict[str, str]:
    """The definition of each distance in words, to be stored with its value.

    Args:
        unit: "mm", or "pixels", whose names end in "_pixels".
        tolerance: of NSD, in the unit.
        empty: as for `hd95`.
        one_empty: as for `hd95`.

    >>> definitions(tolerance=1)["nsd"]
    'share of boundary pixels within 1 mm; one empty mask: 0; both empty: 1; boundary: pixels that one erosion removes'
    """
    far = "diagonal of the image" if one_empty == "diagonal" else "left out"
    edge = "boundary: pixels that one erosion removes"
    distance = f"{unit}; one empty mask: {far}; both empty: {'0' if empty == 'one' else 'left out'}; {edge}"
    end = "" if unit == "mm" else f"_{unit}"
    return {
        f"hd95{end}": f"larger of the two directed 95th percentiles, {distance}",
        f"hd95_pooled{end}": f"95th percentile of the distances of both directions, {distance}",
        f"nsd{end}": f"share of boundary pixels within {tolerance:g} {unit}; one empty mask: 0; "
        f"both empty: {'1' if empty == 'one' else 'left out'}; {edge}",
    }


def measured_distances(
    prediction: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float],
    tolerance_mm: float = TOLERANCE_MM,
    *,
    empty: str = "one",
    one_empty: str = "diagonal",
) -> list[float]:
    """HD95, pooled HD95 and NSD of two masks; NaN where undefined. The distances are computed once.

    Args:
        prediction: as for `hd95`.
        truth: as for `hd95`.
        spacing: as for `hd95`; ones give distances in pixels.
        tolerance_mm: as for `nsd`.
        empty: as for `hd95`.
        one_empty: as for `hd95`.

    >>> measured_distances([[1, 0, 0, 0]], [[0, 0, 0, 1]], (1.0, 0.5))
    [1.5, 1.5, 1.0]
    """
    found = surface_distances(prediction, truth, spacing)
    diagonal = diagonal_of(np.shape(truth), spacing)
    return [
        *(_or_nan(hd95_of_distances, *found, diagonal, name, empty, one_empty) for name in DEFINITIONS),
        _or_nan(nsd_of_distances, *found, tolerance_mm, empty),
    ]


def _or_nan(function: Callable[..., float], *arguments: object) -> float:
    try:
        return function(*arguments)
    except UndefinedMetricError:
        return float("nan")
