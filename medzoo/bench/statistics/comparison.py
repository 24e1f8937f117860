"""The comparison of two cells on the same patients: difference, test, equivalence, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from medzoo.bench.metrics.facts import is_higher_better
from medzoo.bench.statistics.crossed import Estimate, estimate, t_tail
from medzoo.bench.statistics.influence import ROUNDING, Contributions
from medzoo.bench.statistics.intervals import NO_VARIANCE, ONE_RUN, ends, unseen_share
from medzoo.errors import ResultError

Verdict = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """The difference of two cells on the same patients, with its interval and test.

    Args:
        delta: first minus second.
        low: lower end of the interval; None if there is none.
        high: upper end; None if there is none.
        p: of the hypothesis that the difference is 0, two-sided; None if there is no test.
        verdict: "better" or "worse" (the first against the second), "equivalent" within the margin, or "undecided".
        df: degrees of freedom.
        se: standard error of the difference.
        runs: numbers of runs of both.
        patients: number of patients.
        note: why there is no test, or what it does not include.
    """

    delta: float
    low: float | None
    high: float | None
    p: float | None
    verdict: Verdict
    df: float = 0.0
    se: float = 0.0
    runs: tuple[int, int] = (1, 1)
    patients: int = 0
    note: str = ""


def compare_cells(
    first: Contributions, second: Contributions, metric: str, margin: float | None = None, level: float = 0.95
) -> Comparison:
    """The comparison of two cells on the same patients whose contributions are computed.

    Args:
        first: of the checkpoint.
        second: of the control, on the same patients.
        metric: its name, which decides which direction is better.
        margin: as for `compare`.
        level: as for `compare`.
    """
    if margin is not None and not 0 < margin < float("inf"):
        raise ResultError(f"margin is {margin}; it should be a positive number.", code="margin-not-positive")
    found, runs = difference(first, second), (len(first.values), len(second.values))
    note = first.lacking or second.lacking or ("fewer than 2 patients" if first.patients < 2 else "")
    if note:
        return Comparison(found.mean, None, None, None, "undecided", found.df, found.se, runs, first.patients, note)
    p = p_value(found)
    span: tuple[float | None, float | None] = ends(found, level, logit=False)
    note, unseen = _of_one_run(runs), 0.0
    if first.constant and second.constant:  # such as two AUROCs of 1: few patients do not show that they are equal
        unseen = unseen_share(min(first, second, key=lambda cell: cell.cases_df), level)
        if found.se <= ROUNDING:
            span, note = (None, None), NO_VARIANCE
    verdict: Verdict = "undecided"
    if margin is not None and _is_within(found, margin, 1 - level, unseen):
        verdict = "equivalent"
    elif p < 1 - level:
        verdict = "better" if (found.mean > 0) == is_higher_better(metric) else "worse"
    return Comparison(found.mean, *span, p, verdict, found.df, found.se, runs, first.patients, note)


def difference(first: Contributions, second: Contributions) -> Estimate:
    """The estimate of a difference: run by run if both have equally many runs, else of the two means.

    If one cell has a single run, the variance of the other cell's seeds stands for both.

    Args:
        first: of the checkpoint.
        second: of the control, on the same patients.
    """
    if first.vectors.shape[1] != second.vectors.shape[1]:
        raise ResultError("The two cells have different patients, so they cannot be compared.", code="patients-differ")
    df = min(first.cases_df, second.cases_df)
    if len(first.values) == len(second.values):
        return estimate(first.values - second.values, first.vectors - second.vectors, df)
    one, two = (estimate(cell.values, cell.vectors, cell.cases_df) for cell in (first, second))
    means = [cell.vectors.mean(axis=0) for cell in (first, second)]
    paired = estimate(np.array([one.mean - two.mean]), (means[0] - means[1])[None], df)
    runs = np.array([len(cell.values) for cell in (first, second)])
    if runs.min() == 1:  # one run says nothing about its seeds: those of the other cell stand for both
        own = max(one.run_variance, two.run_variance)
        seeds, known = np.array([own * (1 / runs).sum()]), np.array([runs.max() - 1])
    else:
        seeds, known = np.array([one.run_variance, two.run_variance]) / runs, runs - 1
    variance = paired.se**2 + float(seeds.sum())
    spread = paired.se**4 / max(df, 1.0) + float((seeds**2 / known).sum())
    joint = variance**2 / spread if spread else df
    # as if both had the smaller number of runs, for `resolution`
    of_one_run = float(seeds.sum()) * int(runs.min())
    return Estimate(paired.mean, variance**0.5, joint, of_one_run, paired.se**2, paired.se**2)


def p_value(found: Estimate) -> float:
    """The two-sided p-value of the hypothesis that the mean is 0.

    Args:
        found: of a difference.
    """
    if not found.se:
        return 1.0 if found.mean == 0 else 0.0
    return min(1.0, 2 * t_tail(abs(found.mean) / found.se, found.df))


def _of_one_run(runs: tuple[int, int]) -> str:
    if max(runs) == 1:
        return ONE_RUN
    return "1 run of one of them: the variance of the other's seeds stands for both" if min(runs) == 1 else ""


def _is_within(found: Estimate, margin: float, alpha: float, unseen: float) -> bool:
    """Two one-sided tests: the difference is above -margin and below margin; `unseen` is what other patients may add to it."""
    if unseen >= margin:
        return False
    if not found.se:
        return abs(found.mean) + unseen < margin
    return max(t_tail((margin + sign * found.mean) / found.se, found.df) for sign in (1, -1)) < alpha
