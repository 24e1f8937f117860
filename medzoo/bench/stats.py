"""Intervals of a cell and paired tests of two cells: runs are readers, patients are cases.

    from medzoo.bench import stats
    stats.interval(labels, scores, patients)                  # a cell: scores (runs, images)
    stats.compare(labels, a, b, patients, margin=0.01)        # a checkpoint and its control, on the same images

An interval includes both sources of chance: other patients, and other runs (seeds). It is computed in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medzoo.bench.statistics.bootstrap import combine_runs, draw_values
from medzoo.bench.statistics.closed_form import CLOSED_FORM, contributions
from medzoo.bench.statistics.comparison import Comparison, Verdict, compare_cells
from medzoo.bench.statistics.intervals import Interval, bootstrap_interval, check_level, interval_of

__all__ = ["CLOSED_FORM", "Comparison", "Interval", "Verdict", "bootstrap", "compare", "interval"]


def interval(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[object] | np.ndarray,
    metric: str = "auroc",
    level: float = 0.95,
) -> Interval:
    """The mean over runs of a metric, and the interval that other patients and other runs would give.

    Args:
        labels: (N,) of 0 and 1, or class numbers; (N, C) of 0, 1 and NaN for several labels.
        scores: (S, N) of S runs on the same images, or (S, N, K) or (S, N, C).
        patients: (N,) the patient of each image.
        metric: "auroc", "accuracy", "balanced_accuracy", "brier", "mae", or "mean" of scores that are values of images (Dice).
        level: of the interval.

    Returns:
        The interval. AUROC and accuracy use the logit scale, so that they stay within 0 and 1. AUROC and balanced accuracy have an
        interval only if each class has 10 patients; a label with fewer is not in a mean over labels. Values without any variance
        have no interval.

    Raises:
        ResultError: for another metric, level or shape, or scores that are not finite.

    Source: the closed form for readers and cases: Gallas 2006 (doi:10.1016/j.acra.2005.11.030); Obuchowski 1997
    (doi:10.2307/2533958).

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(200) % 2
    >>> scores = labels + rng.normal(size=(3, 200))                     # three runs
    >>> found = interval(labels, scores, patients=np.arange(200) // 2)  # two images of each patient
    >>> round(found.mean, 2), round(found.low, 2), round(found.high, 2), found.runs, found.patients
    (0.79, 0.71, 0.85, 3, 100)
    """
    check_level(level)
    return interval_of(contributions(labels, scores, patients, metric), metric, level)


def compare(
    labels: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    patients: Sequence[object] | np.ndarray,
    metric: str = "auroc",
    margin: float | None = None,
    level: float = 0.95,
) -> Comparison:
    """The difference of two checkpoints on the same images, and whether one is better or both are equivalent.

    Args:
        labels: as for `interval`.
        a: scores of the first, (S, N) or (S, N, C).
        b: scores of the second, the control. With equally many runs, run i of both has the same seed.
        patients: (N,) the patient of each image.
        metric: as for `interval`.
        margin: the largest difference that does not matter, chosen before the runs; None for no test of equivalence.
        level: of the interval; 1 - level is the level of the tests.

    Returns:
        The difference, its interval, the p-value and the verdict. "equivalent" needs both one-sided tests against the margin.
        A difference that is not significant is "undecided", and never called equal.

    Raises:
        ResultError: as `interval`, and for a margin that is not positive.

    Source: as `interval`; TOST: Schuirmann 1987 (doi:10.1007/BF01068419).

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(400) % 2
    >>> good, poor = (labels + rng.normal(0, sd, size=(3, 400)) for sd in (0.8, 2.0))
    >>> compare(labels, good, poor, np.arange(400)).verdict
    'better'
    """
    check_level(level)
    return compare_cells(
        contributions(labels, a, patients, metric), contributions(labels, b, patients, metric), metric, margin, level
    )


def bootstrap(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[object] | np.ndarray,
    metric: str = "auroc",
    level: float = 0.95,
    *,
    control: np.ndarray | None = None,
    draws: int = 2000,
    seed: int = 0,
    threshold: float = 0.5,
) -> Interval:
    """The interval of any metric by drawing patients and runs; slower than `interval`, and a check of it.

    With few runs it is a little too narrow: the variance of S drawn runs is (S - 1) / S of that of the seeds.

    Args:
        labels: as for `interval`.
        scores: as for `interval`.
        patients: as for `interval`.
        metric: those of `interval`, and "auprc", "f1", "kappa", "quadratic_kappa", "sensitivity", "specificity", "rmse", "r2",
            "pearson".
        level: of the interval.
        control: scores of a second checkpoint with as many runs; the interval is then that of the difference.
        draws: number of draws.
        seed: of the draws.
        threshold: of decisions on one label.

    Raises:
        ResultError: as `interval`.

    Source: patients with all their images: Field and Welsh 2007 (doi:10.1111/j.1467-9868.2007.00593.x).

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(200) % 2
    >>> found = bootstrap(labels, labels + rng.normal(size=(3, 200)), np.arange(200) // 2, draws=500)
    >>> round(found.mean, 2), round(found.low, 2), round(found.high, 2)
    (0.79, 0.75, 0.84)
    """
    check_level(level)
    values = draw_values(labels, scores, patients, metric, draws=draws, seed=seed, threshold=threshold)
    if control is not None:
        values = values - draw_values(labels, control, patients, metric, draws=draws, seed=seed, threshold=threshold)
    return bootstrap_interval(combine_runs(values, seed), len(values), len(np.unique(np.asarray(patients))), level)
