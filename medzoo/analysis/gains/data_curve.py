"""The score over the number of training images, and how many images one checkpoint needs for the score of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from medzoo.bench.statistics.crossed import Estimate, estimate, t_quantile
from medzoo.bench.statistics.influence import Contributions

LEVEL = 0.95
GRID = 401  # numbers of images at which the interval is looked for


@dataclass(frozen=True)
class CurvePoint:
    """The score of a checkpoint with a number of training images.

    Args:
        images: number of training images.
        cell: the runs' scores and the influences of the test patients.
    """

    images: float
    cell: Contributions

    @property
    def score(self) -> float:
        """The mean over the runs."""
        return float(self.cell.values.mean())

    @property
    def estimate(self) -> Estimate:
        """With its standard error."""
        return estimate(self.cell.values, self.cell.vectors, self.cell.cases_df)


@dataclass(frozen=True)
class NeededImages:
    """How many training images a checkpoint needs for a score.

    Args:
        images: None if its curve does not reach the score.
        low: lower end of the 95 % interval; None where the interval has no end within the curve.
        high: upper end.
        reason: why there is no value or no end.
    """

    images: float | None
    low: float | None
    high: float | None
    reason: str = ""


def needed_images(
    target: CurvePoint, curve: Sequence[CurvePoint], level: float = LEVEL, *, higher_is_better: bool = True
) -> NeededImages:
    """How many training images the curve needs for the score of another checkpoint.

    Between two points, the score is linear in the logarithm of the number of images. The value is the smallest number at which
    the curve reaches the score. The interval holds all numbers of images at which the difference between curve and score is not
    significant (the inversion of a test, as in Fieller's theorem), so that a flat curve gives a wide interval or none, not a wrong
    one. Outside of the measured numbers, only one end is known. All scores are of the same test patients, so that the test is
    paired; the runs of each point are independent. If a score has no interval, the number of images has none.

    Args:
        target: the score to reach.
        curve: of the other checkpoint, at least two numbers of images, on the same test patients.
        level: of the interval.
        higher_is_better: of the metric.

    Source: Fieller 1954 (https://www.jstor.org/stable/2984043).

    >>> flat = np.zeros((1, 20))
    >>> points = [CurvePoint(size, Contributions(np.array([score]), flat, 19.0)) for size, score in ((100, 0.6), (400, 0.8))]
    >>> found = needed_images(CurvePoint(100, Contributions(np.array([0.7]), flat, 19.0)), points)
    >>> round(found.images)
    200
    """
    ordered = sorted(curve, key=lambda point: point.images)
    sizes = np.log([point.images for point in ordered])
    scores = np.array([point.score for point in ordered])
    value = _first_reach(sizes, scores, target.score)
    images, reason = None if value is None else exp(value), ""
    if value is None:
        side = "below" if target.score < scores[0] else "above"
        reason = f"the score is {side} the curve, which has {ordered[0].images:g} to {ordered[-1].images:g} images"
    if lacking := _lacking([target, *ordered]):
        return NeededImages(images, None, None, f"{reason}; {lacking}" if reason else lacking)

    # the numbers of images whose difference from the target is not significant
    grid = np.linspace(sizes[0], sizes[-1], GRID)
    inside = _compatible(grid, sizes, ordered, target, level)
    low = high = None
    if inside.any():
        first, last = int(np.flatnonzero(inside)[0]), int(np.flatnonzero(inside)[-1])
        low = exp(grid[first]) if first else None
        high = exp(grid[last]) if last < GRID - 1 else None
        if low is None and high is None:
            reason = reason or "no end of the interval is within the curve"
        elif low is None or high is None:
            reason = reason or f"the interval has no {'lower' if low is None else 'upper'} end within the curve"
    elif value is None:  # significantly different from the whole curve
        better = (target.score > scores.max()) == higher_is_better
        low, high = (ordered[-1].images, None) if better else (None, ordered[0].images)
    return NeededImages(images, low, high, reason)


def _lacking(points: Sequence[CurvePoint]) -> str:
    """Why a score has no interval; empty if all have one."""
    why = [point.cell.lacking or ("fewer than 2 patients" if point.cell.patients < 2 else "") for point in points]
    return next(filter(None, why), "")


def _first_reach(sizes: np.ndarray, scores: np.ndarray, wanted: float) -> float | None:
    """The smallest logarithm of a size at which the curve has the score; None outside of it."""
    for place in range(len(sizes) - 1):
        one, two = scores[place], scores[place + 1]
        if min(one, two) <= wanted <= max(one, two):
            share = 0.0 if one == two else (wanted - one) / (two - one)
            return float(sizes[place] + share * (sizes[place + 1] - sizes[place]))
    return None


def _compatible(
    grid: np.ndarray, sizes: np.ndarray, points: Sequence[CurvePoint], target: CurvePoint, level: float
) -> np.ndarray:
    """At which sizes the curve is not significantly different from the target."""
    every = [*points, target]
    vectors = np.stack([point.cell.vectors.mean(axis=0) for point in every])
    patients = vectors.shape[1]
    covariance = vectors @ vectors.T * (patients / max(patients - 1, 1))  # of the scores, from the patients
    runs = np.array([len(point.cell.values) for point in every])
    seeds = np.array([point.estimate.run_variance for point in every]) / runs
    scores = np.array([point.score for point in every])
    cases_df = max(min(point.cell.cases_df for point in every), 1.0)

    # the curve at a size is a weighted mean of its two neighbours
    upper = np.clip(np.searchsorted(sizes, grid), 1, len(sizes) - 1)
    share = (grid - sizes[upper - 1]) / (sizes[upper] - sizes[upper - 1])
    weights = np.zeros((len(grid), len(every)))
    rows = np.arange(len(grid))
    weights[rows, upper - 1], weights[rows, upper], weights[:, -1] = 1 - share, share, -1.0
    parts = weights**2 * seeds
    common = np.einsum("gi,ij,gj->g", weights, covariance, weights).clip(0)
    variance = common + parts.sum(axis=1)
    spread = common**2 / cases_df + (parts**2 / np.maximum(runs - 1, 1)).sum(axis=1)
    reach = [
        t_quantile(level, max(one**2 / two, 1.0)) * one**0.5 if one > 0 else 1e-12
        for one, two in zip(variance, spread, strict=True)
    ]
    found: np.ndarray = np.abs(weights @ scores) <= reach
    return found


def images_ratio(needed: NeededImages, own: float) -> NeededImages:
    """Needed images as a multiple of the images of the other checkpoint.

    Args:
        needed: of `needed_images`.
        own: training images of the score to reach.

    >>> images_ratio(NeededImages(200.0, 100.0, None, "no upper end"), 100).images
    2.0
    """
    images, low, high = (None if one is None else one / own for one in (needed.images, needed.low, needed.high))
    return NeededImages(images, low, high, needed.reason)
