"""The comparison of two cells on the same patients: difference, test, equivalence, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from medzoo.bench.metrics import METRICS
from medzoo.bench.statistics.crossed import Estimate, estimate, t_tail
from medzoo.bench.statistics.influence import Contributions
from medzoo.bench.statistics.intervals import ONE_RUN, ends
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
    low, high = ends(found, level, logit=False)
    p = p_value(found)
    higher_is_better = metric not in METRICS or METRICS[metric].higher_is_better
    verdict: Verdict = "undecided"
    if margin is not None and _is_within(found, margin, 1 - level):
        verdict = "equivalent"
    elif p < 1 - level:
        verdict = "better" if (found.mean > 0) == higher_is_better else "worse"
    note = ONE_RUN if min(runs) == 1 else ""
    return Comparison(found.mean, low, high, p, verdict, found.df, found.se, runs, first.patients, note)


def difference(first: Contributions, second: Contributions) -> Estimate:
    """The estimate of a difference: run by run if both have equally many runs, else of the two means.

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
    seeds = [
        (part.run_variance / len(cell.values), len(cell.values) - 1) for part, cell in ((one, first), (two, second))
    ]
    variance = paired.se**2 + sum(part for part, _ in seeds)
    spread = paired.se**4 / max(df, 1.0) + sum(part**2 / max(count, 1) for part, count in seeds)
    joint = variance**2 / spread if spread else df
    return Estimate(paired.mean, variance**0.5, joint, sum(part for part, _ in seeds), paired.se**2, paired.se**2)


def p_value(found: Estimate) -> float:
    """The two-sided p-value of the hypothesis that the mean is 0.

    Args:
        found: of a difference.
    """
    if not found.se:
        return 1.0 if found.mean == 0 else 0.0
    return min(1.0, 2 * t_tail(abs(found.mean) / found.se, found.df))


def _is_within(found: Estimate, margin: float, alpha: float) -> bool:
    """Two one-sided tests: the difference is above -margin and below margin."""
    if not found.se:
        return abs(found.mean) < margin
    return max(t_tail((margin + sign * found.mean) / found.se, found.df) for sign in (1, -1)) < alpha
