"""The interval of a cell: what other patients and other runs would give."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np

from medzoo.bench.statistics.crossed import Estimate, estimate, t_quantile
from medzoo.bench.statistics.influence import LOGIT, ROUNDING, Contributions
from medzoo.errors import ResultError

ONE_RUN = "1 run: without the variance of seeds"
NO_VARIANCE = "all runs and patients have the same value"
MOST_DEGENERATE = 0.05  # of the draws of a bootstrap may have no value


@dataclass(frozen=True)
class Interval:
    """The mean over the runs of a cell, with its interval.

    Args:
        mean: over the runs.
        low: lower end; None if there is no interval.
        high: upper end; None if there is no interval.
        df: degrees of freedom.
        runs: number of runs.
        patients: number of patients.
        note: why there is no interval, or what it does not include.
        se: standard error of the mean.
        run_sd: standard deviation of one run that is not from the patients.
        labels: number of labels in the mean.
        left_out: positions of labels that are not in the mean, because they have too few patients.
    """

    mean: float
    low: float | None
    high: float | None
    df: float
    runs: int
    patients: int
    note: str = ""
    se: float = 0.0
    run_sd: float = 0.0
    labels: int = 1
    left_out: tuple[int, ...] = ()

    def __str__(self) -> str:
        """The mean with its interval, as a table shows it.

        >>> print(Interval(0.7787, 0.7255, 0.8240, 78.0, 1, 134, note="1 run: without the variance of seeds"))
        0.779 [0.726, 0.824], 134 patients, 1 run (1 run: without the variance of seeds)
        """
        ends = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        sizes = f"{self.patients} patients, {self.runs} run{'s' * (self.runs != 1)}"
        return f"{self.mean:.3f}{ends}, {sizes}" + (f" ({self.note})" if self.note else "")


def interval_of(cell: Contributions, metric: str, level: float = 0.95) -> Interval:
    """The interval of a cell whose contributions are computed.

    Args:
        cell: of `contributions`.
        metric: its name, which decides the scale.
        level: of the interval.
    """
    found, runs = estimate(cell.values, cell.vectors, cell.cases_df), len(cell.values)
    note = cell.lacking or ("fewer than 2 patients" if cell.patients < 2 else "")
    low = high = None
    if not note and metric in LOGIT and not 0 < found.mean < 1:
        low, high, note = _one_sided(found, cell, level)
    elif not note and found.se <= ROUNDING:
        note = NO_VARIANCE
    elif not note:
        low, high = ends(found, level, metric in LOGIT)
        note = ONE_RUN if runs == 1 else ""
    return Interval(
        found.mean, low, high, found.df, runs, cell.patients, note, found.se, found.run_variance**0.5, cell.labels,
        cell.left_out,
    )  # fmt: skip


def bootstrap_interval(drawn: np.ndarray, runs: int, patients: int, level: float = 0.95) -> Interval:
    """The percentile interval of a bootstrap.

    Args:
        drawn: (D,) values; the first is that of the data.
        runs: number of runs.
        patients: number of patients.
        level: of the interval.

    >>> bootstrap_interval(np.linspace(0.4, 0.6, 101), 1, 50).high
    0.59505
    """
    defined = drawn[1:][~np.isnan(drawn[1:])]
    missing = 1 - len(defined) / max(len(drawn) - 1, 1)
    if np.isnan(drawn[0]) or missing > MOST_DEGENERATE:
        note = "undefined" if np.isnan(drawn[0]) else f"{missing:.0%} of the draws have only one class"
        return Interval(float(drawn[0]), None, None, 0.0, runs, patients, note)
    low, high = (float(np.quantile(defined, share)) for share in ((1 - level) / 2, (1 + level) / 2))
    note = ONE_RUN if runs == 1 else ""
    return Interval(float(drawn[0]), low, high, 0.0, runs, patients, note, float(defined.std(ddof=1)))


def ends(found: Estimate, level: float, logit: bool) -> tuple[float, float]:
    """The two ends of an interval.

    Args:
        found: mean and standard error.
        level: of the interval.
        logit: whether the interval is symmetric on the logit scale.
    """
    reach = t_quantile(level, found.df) * found.se
    if not logit:
        return found.mean - reach, found.mean + reach
    middle, step = log(found.mean / (1 - found.mean)), reach / (found.mean * (1 - found.mean))
    return 1 / (1 + exp(-(middle - step))), 1 / (1 + exp(-(middle + step)))


def _one_sided(found: Estimate, cell: Contributions, level: float) -> tuple[None, None, str]:
    """No interval of a mean of exactly 0 or 1; the bound of the rule of three on the smaller class."""
    share = unseen_share(cell, level)
    side = f"above {1 - share:.3f}" if found.mean == 1 else f"below {share:.3f}"
    return None, None, f"all runs are exactly {found.mean:g}; with {level:.0%} confidence {side} (one-sided)"


def unseen_share(cell: Contributions, level: float) -> float:
    """The share of other patients that may have another value, if all patients of a cell have the same one (rule of three).

    Args:
        cell: without variance.
        level: of the bound.

    >>> round(unseen_share(Contributions(np.ones(1), np.zeros((1, 30)), 29.0), 0.95), 3)
    0.095
    """
    return float(1 - (1 - level) ** (1 / (cell.cases_df + 1)))


def check_level(level: float) -> None:
    """Refuse a level that is not a share.

    Args:
        level: of an interval.

    Raises:
        ResultError: unless it is between 0 and 1.
    """
    if not 0 < level < 1:
        raise ResultError(f"level is {level}; it should be between 0 and 1, such as 0.95.", code="level-out-of-range")
