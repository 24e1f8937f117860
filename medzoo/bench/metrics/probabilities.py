"""Metrics of scores and probabilities: AUROC and average precision (exact with ties), Brier score, calibration error."""

from __future__ import annotations

import numpy as np

from medzoo.bench.metrics.facts import BINS
from medzoo.bench.metrics.inputs import both_present, class_numbers, one_label
from medzoo.bench.metrics.thresholds import operating_points
from medzoo.errors import ResultError


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve: how often a positive ranks above a negative; ties count one half.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) finite numbers, higher for positives; only their order counts.

    Returns:
        A number from 0 to 1; 0.5 for random scores.

    Raises:
        UndefinedMetricError: if one class is absent.
        ResultError: for other labels, scores or shapes.

    Source: Mann and Whitney 1947; average ranks make ties exact.

    >>> auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positive, scores = one_label(labels, scores)
    both_present(positive)
    n_pos = int(positive.sum())
    wins = midranks(scores)[positive].sum() - n_pos * (n_pos + 1) / 2.0
    return float(wins / (n_pos * (len(positive) - n_pos)))


def midranks(scores: np.ndarray) -> np.ndarray:
    """The rank of each score from 1; equal scores have the mean of their ranks.

    Args:
        scores: (N,) numbers.

    >>> midranks(np.array([0.3, 0.1, 0.3]))
    array([2.5, 1. , 2.5])
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return ranks


def auprc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision: the precision at each distinct score, weighted by the recall it adds.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) finite numbers, higher for positives; only their order counts.

    Returns:
        A number from 0 to 1. Random scores give the prevalence: compare with it.

    Raises:
        UndefinedMetricError: if one class is absent.
        ResultError: for other labels, scores or shapes.

    Source: no interpolation between points, as in Davis and Goadrich 2006 (doi:10.1145/1143844.1143874).

    >>> round(auprc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    positive, scores = one_label(labels, scores)
    both_present(positive)
    _, hits, false_alarms = operating_points(positive, scores)
    return float(np.sum(np.diff(hits, prepend=0) / hits[-1] * (hits / (hits + false_alarms))))


def prevalence(labels: np.ndarray) -> float:
    """The share of positives: the average precision that random scores reach.

    Args:
        labels: (N,) of 0 and 1.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other labels.

    >>> prevalence(np.array([0, 0, 0, 1]))
    0.25
    """
    labels = np.asarray(labels)
    positive, _ = one_label(labels, np.zeros(labels.shape))
    return float(positive.mean())


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The Brier score: the mean squared distance of the probabilities from the labels; lower is better.

    Args:
        labels: (N,) of 0 and 1, or class numbers.
        probabilities: (N,) of the positive class, or (N, K) of all classes; in [0, 1].

    Returns:
        From 0 to 1 for (N,); from 0 to 2 for (N, K), where the squares of the K classes are summed.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other labels, probabilities or shapes.

    Source: Brier 1950 (doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); (N,) is one half of his sum of two classes.

    >>> brier(np.array([0, 1]), np.array([0.5, 1.0])), brier(np.array([0, 1]), np.array([[0.5, 0.5], [0, 1]]))
    (0.125, 0.25)
    """
    probabilities = _probabilities(probabilities)
    if probabilities.ndim == 1:
        positive, scores = one_label(labels, probabilities)
        return float(np.mean((scores - positive) ** 2))
    truth, _ = class_numbers(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    return float(np.mean(np.sum((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2, axis=1)))


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, n_bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bins of a reliability diagram: each has about as many cases as every other one.

    Args:
        labels: (N,) of 0 and 1.
        probabilities: (N,) of the positive class, in [0, 1].
        n_bins: number of bins. Equal probabilities share a bin, so that the order of the cases does not matter; bins
            without cases are left out.

    Returns:
        For each bin its mean probability, its share of positives, and its number of cases.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other labels, probabilities or shapes.

    >>> reliability(np.array([0, 1, 1, 1]), np.array([0.1, 0.3, 0.8, 0.8]), 2)
    (array([0.2, 0.8]), array([0.5, 1. ]), array([2, 2]))
    """
    positive, scores = one_label(labels, _probabilities(probabilities))
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - count / 2.0)[place]  # the average place of equal probabilities, from 0 to N
    bins = np.minimum((middle * n_bins / len(scores)).astype(np.int64), n_bins - 1)
    sizes = np.bincount(bins, minlength=n_bins)
    full = sizes > 0
    means = np.bincount(bins, scores, n_bins)[full] / sizes[full]
    shares = np.bincount(bins, positive, n_bins)[full] / sizes[full]
    return means, shares, sizes[full]


def ece(labels: np.ndarray, probabilities: np.ndarray, n_bins: int = BINS) -> float:
    """The expected calibration error: the mean distance of probability and frequency over bins of equal mass.

    Args:
        labels: (N,) of 0 and 1, or class numbers.
        probabilities: (N,) of the positive class, or (N, K) of all classes; in [0, 1]. Of K classes the highest
            probability is compared with how often that class is right (top-label calibration).
        n_bins: number of bins, each with about N / n_bins cases. The value depends on it: name it.

    Returns:
        From 0 to 1; lower is better. It is biased upwards for few cases in a bin.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other labels, probabilities or shapes.

    Source: Guo et al. 2017 (arXiv:1706.04599) with bins of equal mass, as in Nguyen and O'Connor 2015
    (doi:10.18653/v1/D15-1182).

    >>> round(ece(np.array([0, 1, 1, 1]), np.array([0.1, 0.3, 0.8, 0.8]), n_bins=2), 4)
    0.25
    """
    probabilities = _probabilities(probabilities)
    if probabilities.ndim == 2:
        top = probabilities.argmax(axis=1)
        truth, top = class_numbers(labels, top, probabilities.shape[1])
        labels, probabilities = (truth == top).astype(np.int64), probabilities.max(axis=1)
    means, shares, sizes = reliability(labels, probabilities, n_bins)
    return float(np.sum(np.abs(means - shares) * sizes) / sizes.sum())


def _probabilities(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise ResultError(
            f"Probabilities should be (N,) or (N, K), not {values.shape}.", code="probabilities-shape-wrong"
        )
    if not np.isfinite(values).all():
        raise ResultError("Some probabilities are NaN or infinite.", code="predictions-not-finite")
    if values.size and (values.min() < -1e-6 or values.max() > 1 + 1e-6):
        span = f"from {values.min():.3g} to {values.max():.3g}"
        raise ResultError(
            f"Predictions range {span}; give probabilities, not logits.", code="probabilities-out-of-range"
        )
    return values
