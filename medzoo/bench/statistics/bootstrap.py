"""The two-level bootstrap: draws of patients and of runs, for any metric; it also checks the closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from medzoo.bench.statistics.influence import checked
from medzoo.bench.statistics.weighted import DECISIONS, RankSums, confusion, regression
from medzoo.errors import ResultError, listed

REGRESSION = ("mae", "rmse", "r2", "pearson")
MEANS = ("mean", "brier")
RANKS = ("auroc", "auprc")
METRICS = (*RANKS, *DECISIONS, *MEANS, *REGRESSION)
WHOLE = (
    "accuracy",
    "balanced_accuracy",
    "kappa",
    "quadratic_kappa",
)  # of all exclusive classes together, not one by one
Part = Callable[[np.ndarray], np.ndarray]  # values of draws from the counts of patients
CHUNK = 250  # draws at a time, so that the counts stay in the cache


def draw_values(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[object] | np.ndarray,
    metric: str,
    *,
    draws: int = 2000,
    seed: int = 0,
    threshold: float = 0.5,
) -> np.ndarray:
    """The metric of each run in each draw of patients; row 0 of the draws is the data itself.

    All runs get the same draws, so that differences of runs and of checkpoints are paired.

    Args:
        labels: as for `stats.interval`.
        scores: (S, N) or (S, N, C).
        patients: (N,) the patient of each image.
        metric: a name in `METRICS`.
        draws: number of draws.
        seed: of the draws.
        threshold: of the decisions on one label.

    Returns:
        (S, draws + 1); NaN where a draw has only one class of one of the labels.

    Raises:
        ResultError: for an unknown metric or other shapes.
    """
    parts, count = prepared_parts(labels, scores, patients, metric, threshold)
    return np.concatenate([values_of(parts, weights) for weights in _draws(count, draws, seed)], axis=1)


def prepared_parts(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[object] | np.ndarray,
    metric: str,
    threshold: float = 0.5,
) -> tuple[list[list[Part]], int]:
    """The functions of each run whose mean is the metric, and the number of patients.

    Args:
        labels: as for `draw_values`.
        scores: as for `draw_values`.
        patients: as for `draw_values`.
        metric: as for `draw_values`.
        threshold: as for `draw_values`.

    Raises:
        ResultError: for an unknown metric or other shapes.
    """
    if metric not in METRICS:
        raise ResultError(f"{metric!r} has no bootstrap. Metrics with one: {listed(METRICS)}.", code="metric-unknown")
    truth, runs, codes = checked(labels, scores, patients, metric)
    count = int(codes.max()) + 1
    return [_defined(_parts(truth, run, metric, codes, threshold), count) for run in runs], count


def _defined(parts: Iterable[Part], patients: int) -> list[Part]:
    """The parts that have a value in the data: a label with one class is not in the mean."""
    each_once = np.ones((patients, 1), dtype=np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        return [part for part in parts if not np.isnan(part(each_once)).any()]


def values_of(parts: Sequence[Sequence[Part]], weights: np.ndarray) -> np.ndarray:
    """The metric of each run in each draw, (S, D); NaN where a draw has only one class of one of the labels.

    Args:
        parts: of `prepared_parts`.
        weights: (P, D) float32, how often each patient occurs.
    """
    values = np.empty((len(parts), weights.shape[1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        for run, some in enumerate(parts):
            found = [part(weights) for part in some] or [np.full(weights.shape[1], np.nan)]
            values[run] = np.mean(found, axis=0)
    return values


def combine_runs(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """The means over runs that are drawn with replacement, one for each draw of patients; the first is the data itself.

    Args:
        values: (S, D) of `draw_values`.
        seed: of the draws of runs.
    """
    runs, draws = values.shape
    counts = np.random.default_rng([seed, 1]).multinomial(runs, [1 / runs] * runs, size=draws)
    counts[0] = 1
    mean: np.ndarray = (counts.T * values).sum(axis=0) / runs
    return mean


def _draws(patients: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each patient occurs in each draw, (P, chunk); the first draw has each patient once."""
    rng = np.random.default_rng(seed)
    done = 0
    while done <= draws:
        size = min(CHUNK, draws + 1 - done)
        picked = rng.integers(0, patients, size=(size, patients)) + patients * np.arange(size)[:, None]
        counts = np.bincount(picked.ravel(), minlength=size * patients).reshape(size, patients)
        if not done:
            counts[0] = 1
        yield np.ascontiguousarray(counts.T, dtype=np.float32)
        done += size


def _parts(truth: np.ndarray, run: np.ndarray, metric: str, codes: np.ndarray, threshold: float) -> Iterator[Part]:
    """The functions of draws whose mean is the metric: one, or one for each label or class."""
    count = int(codes.max()) + 1
    exclusive = truth.ndim == 1 and run.ndim == 2
    if metric in REGRESSION:
        yield partial(regression, metric, truth, run.reshape(-1), codes)
        return
    if metric in MEANS:
        cases = run if metric == "mean" else _squares(truth, run)
        if cases.ndim == 1:
            yield partial(_mean, cases, codes)
            return
        for k in range(cases.shape[1]):
            rows = np.flatnonzero(~np.isnan(cases[:, k]))
            yield partial(_mean, cases[rows, k], codes[rows])
        return
    if exclusive and metric in WHOLE:
        width, decided = run.shape[1], run.argmax(axis=1)
        yield partial(_decision, metric, truth, decided, codes, width=width)
        return

    # one label, each label, or each class against the others
    columns = run[:, None] if run.ndim == 1 else run
    for k in range(columns.shape[1]):
        known = np.ones(len(run), bool) if truth.ndim == 1 else ~np.isnan(truth[:, k])
        positive = (truth == k) if exclusive else (truth == 1) if truth.ndim == 1 else truth[known, k] == 1
        score, of = columns[known, k], codes[known]
        if metric in RANKS:
            if positive.any() and not positive.all():
                yield getattr(RankSums(positive, score, of, count), metric)
            continue
        # as in `medzoo.bench.metrics`: at the threshold itself, several labels are positive and a single one is not
        above = run.argmax(axis=1) == k if exclusive else score >= threshold if truth.ndim == 2 else score > threshold
        yield partial(_decision, metric, positive, above, of)


def _decision(
    metric: str, truth: np.ndarray, decided: np.ndarray, codes: np.ndarray, weights: np.ndarray, *, width: int = 2
) -> np.ndarray:
    return DECISIONS[metric](confusion(truth, decided, codes, weights, width))


def _squares(truth: np.ndarray, run: np.ndarray) -> np.ndarray:
    if truth.ndim == 1 and run.ndim == 2:
        return ((run - np.eye(run.shape[1])[truth.astype(np.int64)]) ** 2).sum(axis=1)
    return (run - truth) ** 2


def _mean(cases: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    sums = np.bincount(codes, weights=cases, minlength=len(weights)), np.bincount(codes, minlength=len(weights))
    total, count = np.stack(sums) @ weights
    mean: np.ndarray = total / count
    return mean
