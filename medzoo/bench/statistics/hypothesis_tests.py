"""Tests over a few numbers: Holm's correction, folds of a cross-validation, and the tests that the studies used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from medzoo.bench.statistics.crossed import t_quantile, t_tail
from medzoo.errors import ResultError


@dataclass(frozen=True)
class TTest:
    """A mean or difference with a t test.

    Args:
        mean: or difference of means.
        low: lower end of the interval.
        high: upper end.
        p: two-sided.
        df: degrees of freedom.
        name: of the test.
    """

    mean: float
    low: float
    high: float
    p: float
    df: float
    name: str


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: compared with 0.05, they keep the chance of any false finding of the family below 5 %.

    Args:
        p_values: of all comparisons that are printed together.

    Source: Holm 1979 (https://www.jstor.org/stable/4615733).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def nadeau_bengio(values: Sequence[float], test_per_train: float, level: float = 0.95) -> TTest:
    """The corrected t test over folds, whose training images overlap.

    Args:
        values: of each fold and repetition, or their differences between two checkpoints.
        test_per_train: test images per training image: 1 / (K - 1) for K folds.
        level: of the interval.

    Raises:
        ResultError: for fewer than two values.

    Source: Nadeau and Bengio 2003 (doi:10.1023/A:1024068626366).

    >>> found = nadeau_bengio([0.01, 0.03, 0.02, 0.02, 0.03], test_per_train=1 / 4)
    >>> round(found.mean, 3), round(found.p, 4)
    (0.022, 0.0173)
    """
    _at_least(values, 2)
    array = np.asarray(values, dtype=np.float64)
    variance = (1 / len(array) + test_per_train) * float(array.var(ddof=1))
    return _made(float(array.mean()), sqrt(variance), len(array) - 1, level, "Nadeau-Bengio")


def welch(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> TTest:
    """Welch's t test of the seeds of two checkpoints; it ignores that both have the same patients.

    Args:
        first: values of the seeds.
        second: values of the control's seeds.
        level: of the interval.

    Raises:
        ResultError: for fewer than two values.

    Source: Welch 1947 (doi:10.2307/2332510); used by Hosseinzadeh Taher et al. 2021, https://arxiv.org/abs/2108.05930.

    >>> round(welch([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]).p, 4)
    0.2209
    """
    _at_least(first, 2)
    _at_least(second, 2)
    one, two = ((float(np.mean(values)), float(np.std(values, ddof=1)), len(values)) for values in (first, second))
    return welch_of_summaries(one, two, level)


def welch_of_summaries(first: tuple[float, float, int], second: tuple[float, float, int], level: float = 0.95) -> TTest:
    """Welch's t test from published means and standard deviations.

    Args:
        first: mean, sample standard deviation (n - 1) and number of the runs.
        second: of the control's runs.
        level: of the interval.

    Raises:
        ResultError: for fewer than two runs.

    Source: Welch 1947 (doi:10.2307/2332510).

    >>> round(welch_of_summaries((2.0, 1.0, 3), (4.0, 2.0, 3)).p, 4)
    0.2209
    """
    for *_, count in (first, second):
        if count < 2:
            raise ResultError(f"A t test needs 2 runs or more, not {count}.", code="too-few-values")
    parts = [sd**2 / count for _, sd, count in (first, second)]
    spread = sum(part**2 / (count - 1) for part, (*_, count) in zip(parts, (first, second), strict=True))
    df = sum(parts) ** 2 / spread if spread else first[2] + second[2] - 2
    return _made(first[0] - second[0], sqrt(sum(parts)), df, level, "Welch's t test over seeds")


def two_sample_t(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> TTest:
    """Student's t test of the seeds of two checkpoints; it ignores that both have the same patients.

    Args:
        first: values of the seeds.
        second: values of the control's seeds.
        level: of the interval.

    Raises:
        ResultError: for fewer than two values.

    Source: Student 1908 (doi:10.2307/2331554).

    >>> round(two_sample_t([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]).p, 4)
    0.1963
    """
    _at_least(first, 2)
    _at_least(second, 2)
    df = len(first) + len(second) - 2
    pooled = sum(float(np.var(values)) * len(values) for values in (first, second)) / df
    se = sqrt(pooled * (1 / len(first) + 1 / len(second)))
    return _made(float(np.mean(first) - np.mean(second)), se, df, level, "two-sample t test over seeds")


def population_sd(values: Sequence[float]) -> float:
    """The standard deviation with n instead of n - 1, which is smaller; studies that call numpy's `std` print it.

    Args:
        values: of the seeds.

    >>> round(population_sd([1.0, 2.0, 3.0]), 3)
    0.816
    """
    return float(np.std(values))


def _made(mean: float, se: float, df: float, level: float, name: str) -> TTest:
    reach = t_quantile(level, df) * se
    p = min(1.0, 2 * t_tail(abs(mean) / se, df)) if se else float(mean == 0)
    return TTest(mean, mean - reach, mean + reach, p, df, name)


def _at_least(values: Sequence[float], count: int) -> None:
    if len(values) < count:
        raise ResultError(f"A t test needs {count} values or more, not {len(values)}.", code="too-few-values")
