"""The standard error of a mean over all combinations of runs of several checkpoints that read the same patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medzoo.bench.statistics.crossed import Estimate, estimate
from medzoo.bench.statistics.hypothesis_tests import nadeau_bengio
from medzoo.bench.statistics.intervals import ends

LEVEL = 0.95
SMALLEST = 1e-12  # standard error; below it, all values are equal but for rounding


@dataclass(frozen=True)
class Readers:
    """What each run of one checkpoint gives, averaged over the runs of the other checkpoints.

    Args:
        values: (S,) of its S runs; their mean is the value of all combinations.
        vectors: (S, P) the influence of each patient on them.
    """

    values: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class MeasuredValue:
    """A value with its interval.

    Args:
        value: None if it is not defined.
        low: lower end of the 95 % interval; None without one.
        high: upper end.
        reason: why there is no value or no interval, or what the interval does not include.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def crossed_estimate(readers: Sequence[Readers]) -> Estimate:
    """The mean over all combinations of one run of each checkpoint, with its standard error.

    The variance has one part from the patients, which all combinations share, and one part from the runs of each checkpoint.
    The part of a checkpoint is the variance between its runs beyond what the patients explain (`crossed.estimate`), divided by
    the number of its runs. What two runs have only in combination is in the part of both, so that the sum is slightly too large.

    Args:
        readers: of each checkpoint, on the same patients.

    Source: Gallas et al. 2009 (doi:10.1080/03610920802610084), for several crossed random factors.

    >>> one = Readers(np.array([0.6, 0.8]), np.array([[0.1, -0.1], [0.1, -0.1]]))
    >>> found = crossed_estimate([one, Readers(np.array([0.7]), np.array([[0.1, -0.1]]))])
    >>> round(found.mean, 3), round(found.se, 3), round(found.run_variance, 4)
    (0.7, 0.224, 0.01)
    """
    parts = [estimate(one.values, one.vectors, one.vectors.shape[1] - 1.0) for one in readers]
    patients = readers[0].vectors.shape[1]
    grand = readers[0].vectors.mean(axis=0)
    common = float(grand @ grand) * patients / max(patients - 1, 1)
    seeds = [
        (part.run_variance / len(one.values), len(one.values) - 1) for part, one in zip(parts, readers, strict=True)
    ]
    variance = common + sum(part for part, _ in seeds)
    cases_df = max(patients - 1.0, 1.0)
    spread = common**2 / cases_df + sum(part**2 / max(count, 1) for part, count in seeds)
    df = variance**2 / spread if spread else cases_df
    return Estimate(
        float(readers[0].values.mean()), variance**0.5, max(df, 1.0), sum(part for part, _ in seeds), common, common
    )


def pseudo_readers(values: np.ndarray, vectors: np.ndarray) -> Readers:
    """Runs that are paired with each other, as readers: the pseudo-value of each run.

    The mean over all pairs of different runs is a U-statistic; the pseudo-value of a run is S times the mean over all pairs
    minus (S - 1) times the mean over the pairs without this run. The mean of the pseudo-values is the mean over all pairs.

    Args:
        values: (S, S) symmetric, of each pair; the diagonal is ignored. S is at least 3.
        vectors: (S, S, P) influences of the patients.

    Source: Arvesen 1969 (doi:10.1214/aoms/1177697287), the jackknife of U-statistics.

    >>> pairs = np.array([[0, 0.5, 0.7], [0.5, 0, 0.9], [0.7, 0.9, 0]])
    >>> made = pseudo_readers(pairs, np.zeros((3, 3, 4)))
    >>> made.values.round(2), round(float(made.values.mean()), 3)
    (array([0.3, 0.7, 1.1]), 0.7)
    """
    runs = len(values)
    off = ~np.eye(runs, dtype=bool)
    sums = np.where(off, values, 0).sum(axis=1), np.where(off[..., None], vectors, 0).sum(axis=1)

    def pseudo(of_run: np.ndarray) -> np.ndarray:
        total = of_run.sum(axis=0) / 2  # each pair is in the sums of both its runs
        whole, without = total / (runs * (runs - 1) / 2), (total - of_run) / ((runs - 1) * (runs - 2) / 2)
        found: np.ndarray = runs * whole - (runs - 1) * without
        return found

    return Readers(pseudo(sums[0]), pseudo(sums[1]))


def with_interval(
    found: Estimate, patients: int, *, share: bool, note: str = "", level: float = LEVEL
) -> MeasuredValue:
    """A value between -1 and 1 with its 95 % interval.

    Args:
        found: its estimate.
        patients: number of patients.
        share: whether it is a share, whose interval stays within 0 and 1 (logit scale).
        note: what the interval does not include.
        level: of the interval.
    """
    if patients < 2:
        return MeasuredValue(found.mean, reason="fewer than 2 patients")
    if share and not 1e-12 < found.mean < 1 - 1e-12:
        return MeasuredValue(found.mean, reason=f"the share is exactly {round(found.mean)} in all runs: no interval")
    if found.se < SMALLEST:
        return MeasuredValue(round(found.mean, 12), reason="the same in all runs and patients: no interval")
    low, high = ends(found, level, share)
    return MeasuredValue(found.mean, max(low, -1.0), min(high, 1.0), note)


def over_folds(values: Sequence[MeasuredValue], level: float = LEVEL) -> MeasuredValue:
    """The mean over the folds of a cross-validation; the folds are the units, because their training images overlap.

    Args:
        values: of each fold; one value is returned as it is.
        level: of the interval.

    Source: Nadeau and Bengio 2003 (doi:10.1023/A:1024068626366).

    >>> over_folds([MeasuredValue(0.6), MeasuredValue(0.8)]).value
    0.7
    """
    if len(values) == 1:
        return values[0]
    known = [one.value for one in values if one.value is not None]
    if len(known) < len(values):
        return MeasuredValue(None, reason=next(one.reason for one in values if one.value is None))
    found = nadeau_bengio(known, 1 / (len(known) - 1), level)
    return MeasuredValue(found.mean, found.low, found.high, f"interval over {len(known)} folds (Nadeau-Bengio)")
