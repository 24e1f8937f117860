"""A correlation over cells of several tasks, with an interval that knows that cells of one task are alike."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import atanh, tanh

import numpy as np

from medzoo.bench.statistics.crossed import t_quantile

LEAST_TASKS = 4  # with fewer, a jackknife over tasks has too few units
LEVEL = 0.95


def relative_gain(score: float, random_score: float, *, higher_is_better: bool = True) -> float:
    """How much better than random weights, as a share of the score of random weights; an improvement is positive.

    Args:
        score: after fine-tuning a checkpoint.
        random_score: of the same network trained from random weights; not 0. Its share is that of its absolute value.
        higher_is_better: of the metric.

    Source: Juodelyte et al. 2023 (https://arxiv.org/abs/2302.08272); src/simVSauc_plot.py in
        https://github.com/DovileDo/revisiting-transfer.

    >>> round(relative_gain(0.9, 0.6), 3)
    0.5
    >>> relative_gain(2.0, 4.0, higher_is_better=False)
    0.5
    """
    return (score - random_score if higher_is_better else random_score - score) / abs(random_score)


@dataclass(frozen=True)
class Line:
    """A correlation and a least-squares line over points of several tasks.

    Args:
        r: Pearson's correlation; None if it is not defined.
        r_low: lower end of the 95 % interval; None without one.
        r_high: upper end.
        slope: of the line.
        slope_low: lower end of its interval.
        slope_high: upper end.
        points: number of points.
        tasks: number of tasks.
        reason: why there is no value or no interval.
    """

    r: float | None
    r_low: float | None = None
    r_high: float | None = None
    slope: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    points: int = 0
    tasks: int = 0
    reason: str = ""


def correlation(x: Sequence[float], y: Sequence[float], tasks: Sequence[Hashable], level: float = LEVEL) -> Line:
    """Pearson's correlation and the slope, with intervals over tasks.

    The points of one task share its images and its difficulty, so that they are not independent: Fisher's interval of 35 points
    of 7 tasks is far too narrow. Here one task at a time is left out (a jackknife of clusters) on Fisher's scale atanh(r), and a
    t distribution has one degree of freedom less than there are tasks.

    Args:
        x: of the points.
        y: of the points.
        tasks: of the points.
        level: of the intervals.

    Source: Efron and Stein 1981 (doi:10.1214/aos/1176345462); Fisher 1915 for the scale.

    >>> line = correlation([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5.5], ["a", "a", "b", "b", "c", "d"])
    >>> round(line.r, 3), line.tasks, line.r_low < line.r < line.r_high
    (0.859, 4, True)
    """
    first, second, names = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), list(tasks)
    units = list(dict.fromkeys(names))
    if len(first) < 3 or not first.std() or not second.std():
        why = "fewer than 3 points" if len(first) < 3 else "all points have the same value"
        return Line(None, points=len(first), tasks=len(units), reason=f"undefined: {why}")
    r, slope = _of_points(first, second)
    if len(units) < LEAST_TASKS:
        why = f"no interval with fewer than {LEAST_TASKS} tasks"
        return Line(r, slope=slope, points=len(first), tasks=len(units), reason=why)
    kept = [np.array([name != unit for name in names]) for unit in units]
    if abs(r) > 1 - 1e-12 or any(not first[rows].std() or not second[rows].std() for rows in kept):
        why = "no interval: the points are on a line, or without one task all have the same value"
        return Line(r, slope=slope, points=len(first), tasks=len(units), reason=why)
    without = np.array([_of_points(first[rows], second[rows]) for rows in kept])
    without[:, 0] = np.arctanh(np.clip(without[:, 0], -1 + 1e-12, 1 - 1e-12))
    count = len(units)
    errors = np.sqrt((count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    reach = t_quantile(level, count - 1) * errors
    r_low, r_high = (tanh(atanh(r) + sign * float(reach[0])) for sign in (-1, 1))
    return Line(r, r_low, r_high, slope, slope - float(reach[1]), slope + float(reach[1]), len(first), count)


def _of_points(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Pearson's correlation and the slope of the least-squares line."""
    across, down = x - x.mean(), y - y.mean()
    product, square = float(across @ down), float(across @ across)
    return product / float(np.sqrt(square * (down @ down))), product / square
