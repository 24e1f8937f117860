"""Metrics of decided classes: accuracy, balanced accuracy, F1, kappa, sensitivity and specificity."""

from __future__ import annotations

import numpy as np

from medzoo.bench.metrics.inputs import class_numbers
from medzoo.errors import UndefinedMetricError

ONE_CLASS = "only one class is present"


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """How often each class (row) was predicted as each class (column).

    Args:
        labels: (N,) class numbers.
        predicted: (N,) class numbers.
        n_classes: K.

    Returns:
        (K, K) counts.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other shapes, or numbers that are not a class.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    labels, predicted = class_numbers(labels, predicted, n_classes)
    return np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(labels: np.ndarray, predicted: np.ndarray, n_classes: int = 2) -> float:
    """The share of cases whose class is right.

    Args:
        labels: (N,) class numbers.
        predicted: (N,) class numbers.
        n_classes: number of classes.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other shapes, or numbers that are not a class.

    >>> accuracy(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    0.75
    """
    labels, predicted = class_numbers(labels, predicted, n_classes)
    return float((predicted == labels).mean())


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray, n_classes: int = 2) -> float:
    """The mean over the classes that occur of the share of their cases that is right.

    Args:
        labels: (N,) class numbers.
        predicted: (N,) class numbers.
        n_classes: number of classes.

    Raises:
        UndefinedMetricError: if fewer than two classes occur.
        ResultError: for other shapes, or numbers that are not a class.

    Source: Brodersen et al. 2010 (doi:10.1109/ICPR.2010.764); classes without cases are left out, as in scikit-learn.

    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    counts = confusion_matrix(labels, predicted, n_classes)
    occurs = counts.sum(axis=1) > 0
    if occurs.sum() < 2:
        raise UndefinedMetricError(ONE_CLASS, code="metric-undefined")
    return float(np.mean(np.diag(counts)[occurs] / counts.sum(axis=1)[occurs]))


def f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of one label: 2 TP / (2 TP + FP + FN), the harmonic mean of precision and sensitivity.

    Args:
        labels: (N,) of 0 and 1.
        predicted: (N,) of 0 and 1.

    Raises:
        UndefinedMetricError: if no case is positive and none was predicted positive.
        ResultError: for other shapes or values.

    Source: van Rijsbergen 1979, Information Retrieval.

    >>> f1(np.array([0, 1, 1, 1]), np.array([1, 1, 1, 0])), f1(np.array([0, 0]), np.array([1, 0]))
    (0.6666666666666666, 0.0)
    """
    counts = confusion_matrix(labels, predicted, 2)
    twice = 2 * counts[1, 1]
    wrong = counts[0, 1] + counts[1, 0]
    if twice + wrong == 0:
        raise UndefinedMetricError("no positive case, and none was predicted", code="metric-undefined")
    return float(twice / (twice + wrong))


def macro_f1(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    """The mean F1 over the classes that occur in the labels or in the predictions.

    Args:
        labels: (N,) class numbers.
        predicted: (N,) class numbers.
        n_classes: number of classes.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other shapes, or numbers that are not a class.

    Source: the mean of F1 scores, not F1 of the mean precision and recall; as in scikit-learn.

    >>> round(macro_f1(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), 4), 4)
    0.7778
    """
    counts = confusion_matrix(labels, predicted, n_classes)
    twice, total = 2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(twice[total > 0] / total[total > 0]))


def kappa(labels: np.ndarray, predicted: np.ndarray, n_classes: int = 2, *, weights: str | None = None) -> float:
    """Cohen's kappa: agreement beyond the agreement by chance; 1 is perfect, 0 is chance.

    Args:
        labels: (N,) class numbers.
        predicted: (N,) class numbers.
        n_classes: K; with weights the distance of two classes is the difference of their numbers.
        weights: None, or "quadratic": a confusion of the classes i and j counts (i - j)². This is only meaningful for
            ordered classes, such as grades of a disease.

    Raises:
        UndefinedMetricError: if labels and predictions are one and the same class.
        ResultError: for other shapes, or numbers that are not a class.

    Source: Cohen 1960 (doi:10.1177/001316446002000104) and 1968 (doi:10.1037/h0026256).

    >>> kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    0.5
    >>> round(kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0]), 3, weights="quadratic"), 4)
    0.3846
    """
    counts = confusion_matrix(labels, predicted, n_classes).astype(np.float64)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    number = np.arange(n_classes)
    apart = (number[:, None] - number) ** 2
    weight = apart if weights == "quadratic" else apart > 0
    by_chance = float((weight * expected).sum())
    if by_chance == 0:
        raise UndefinedMetricError("labels and predictions are one class", code="metric-undefined")
    return float(1 - (weight * counts).sum() / by_chance)


def sensitivity(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The share of positives that were predicted positive (recall).

    Args:
        labels: (N,) of 0 and 1.
        predicted: (N,) of 0 and 1, such as `scores >= threshold`.

    Raises:
        UndefinedMetricError: without positives.
        ResultError: for other shapes or values.

    >>> sensitivity(np.array([0, 1, 1]), np.array([0.4, 0.6, 0.2]) >= 0.5)
    0.5
    """
    return _recall(labels, predicted, 1, "no positive case")


def specificity(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The share of negatives that were predicted negative.

    Args:
        labels: (N,) of 0 and 1.
        predicted: (N,) of 0 and 1, such as `scores >= threshold`.

    Raises:
        UndefinedMetricError: without negatives.
        ResultError: for other shapes or values.

    >>> specificity(np.array([0, 0, 1]), np.array([0.4, 0.6, 0.2]) >= 0.5)
    0.5
    """
    return _recall(labels, predicted, 0, "no negative case")


def _recall(labels: np.ndarray, predicted: np.ndarray, which: int, reason: str) -> float:
    counts = confusion_matrix(labels, predicted, 2)[which]
    if not counts.sum():
        raise UndefinedMetricError(reason, code="metric-undefined")
    return float(counts[which] / counts.sum())
