"""Metrics of regression: MAE, RMSE, R² and Pearson's r."""

from __future__ import annotations

import numpy as np

from medzoo.bench.metrics.inputs import check_split
from medzoo.errors import UndefinedMetricError


def mae(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The mean absolute error, in the unit of the labels.

    Args:
        labels: (N,) or (N, 1) finite numbers.
        predictions: (N,) or (N, 1) finite numbers.

    Raises:
        ResultError: for other shapes, NaN, or no cases.

    >>> mae(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    1.5
    """
    truth, predicted = _pair(labels, predictions)
    return float(np.mean(np.abs(predicted - truth)))


def rmse(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The root of the mean squared error, in the unit of the labels.

    Args:
        labels: (N,) or (N, 1) finite numbers.
        predictions: (N,) or (N, 1) finite numbers.

    Raises:
        ResultError: for other shapes, NaN, or no cases.

    >>> rmse(np.array([1.0, 2.0]), np.array([2.0, 9.0]))
    5.0
    """
    truth, predicted = _pair(labels, predictions)
    return float(np.sqrt(np.mean((predicted - truth) ** 2)))


def r2(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The coefficient of determination: 1 minus the squared error over that of the mean label.

    Args:
        labels: (N,) or (N, 1) finite numbers.
        predictions: (N,) or (N, 1) finite numbers.

    Returns:
        At most 1; 0 for the mean of these labels; negative for worse predictions.

    Raises:
        UndefinedMetricError: if all labels are equal.
        ResultError: for other shapes, NaN, or no cases.

    Source: Kvålseth 1985 (doi:10.1080/00031305.1985.10479448), his first form.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    0.5
    """
    truth, predicted = _pair(labels, predictions)
    total = np.sum((truth - truth.mean()) ** 2) if np.ptp(truth) else 0.0  # the mean of equal labels may be rounded
    if total == 0:
        raise UndefinedMetricError("all labels are equal", code="metric-undefined")
    return float(1 - np.sum((predicted - truth) ** 2) / total)


def pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Pearson's correlation of labels and predictions.

    Args:
        labels: (N,) or (N, 1) finite numbers.
        predictions: (N,) or (N, 1) finite numbers.

    Returns:
        From -1 to 1. Offset and scale of the predictions do not count: report an error with it.

    Raises:
        UndefinedMetricError: if all labels, or all predictions, are equal.
        ResultError: for other shapes, NaN, or no cases.

    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])), 6)
    1.0
    """
    truth, predicted = _pair(labels, predictions)
    for name, values in (("labels", truth), ("predictions", predicted)):
        if np.ptp(values) == 0:
            raise UndefinedMetricError(f"all {name} are equal", code="metric-undefined")
    # scale to 1 before squaring: the squares of tiny differences would be 0
    first, second = ((values - values.mean()) / np.abs(values - values.mean()).max() for values in (truth, predicted))
    r = np.sum(first * second) / np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.clip(r, -1, 1))


def _pair(labels: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return check_split("regression", (), np.asarray(labels), np.asarray(predictions, dtype=np.float64))
