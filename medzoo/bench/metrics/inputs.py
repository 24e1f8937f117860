"""Checks of the arrays that metrics take: a wrong array is an error, and never a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medzoo.errors import ResultError, UndefinedMetricError, listed

KINDS = ("binary", "multiclass", "multilabel", "regression")


def one_label(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels as booleans and the scores as floats, both (N,).

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) finite numbers.

    Raises:
        ResultError: for other shapes, labels or scores.
        UndefinedMetricError: without cases.

    >>> one_label([0, 1], [0.2, 0.3])
    (array([False,  True]), array([0.2, 0.3]))
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or labels.shape != scores.shape:
        text = f"Labels and scores should both have the shape (N,), not {labels.shape} and {scores.shape}."
        raise ResultError(text, code="labels-shape-wrong")
    positive = labels == 1
    if not (positive | (labels == 0)).all():
        raise ResultError("Labels must be 0 or 1.", code="labels-invalid")
    if not np.isfinite(scores).all():
        broken = int((~np.isfinite(scores)).sum())
        raise ResultError(f"{broken} of {len(scores)} scores are NaN or infinite.", code="predictions-not-finite")
    if not len(labels):
        raise UndefinedMetricError("no case was annotated", code="metric-undefined")
    return positive, scores


def both_present(positive: np.ndarray) -> None:
    """Refuse labels of one class only.

    Raises:
        UndefinedMetricError: "no positive case" or "no negative case".

    >>> both_present(np.array([True, False]))
    """
    if positive.all() or not positive.any():
        raise UndefinedMetricError(f"no {'negative' if positive.any() else 'positive'} case", code="metric-undefined")


def class_numbers(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes as integers, both (N,).

    Args:
        labels: (N,) class numbers.
        predicted: (N,) class numbers.
        n_classes: number of classes.

    Raises:
        ResultError: for other shapes, or numbers that are not a class.
        UndefinedMetricError: without cases.

    >>> class_numbers([0, 1], [1, 1], 2)
    (array([0, 1]), array([1, 1]))
    """
    found = []
    for given in (labels, predicted):
        values = np.asarray(given)
        values = values.astype(np.int64) if values.dtype == bool else values
        if values.ndim != 1 or not ((values >= 0) & (values < n_classes) & (values == np.floor(values))).all():
            text = f"Labels and predicted classes should be (N,) class numbers from 0 to {n_classes - 1}."
            raise ResultError(text, code="labels-invalid")
        found.append(values.astype(np.int64))
    if len(found[0]) != len(found[1]):
        text = f"There are {len(found[0])} labels, but {len(found[1])} predicted classes."
        raise ResultError(text, code="labels-shape-wrong")
    if not len(found[0]):
        raise UndefinedMetricError("no case was annotated", code="metric-undefined")
    return found[0], found[1]


def check_kind(kind: str, kinds: Sequence[str] = KINDS) -> None:
    """Refuse a kind of task that has no such metrics.

    Raises:
        ResultError: with the supported kinds.
    """
    if kind not in kinds:
        raise ResultError(
            f"There are no metrics for tasks of kind {kind!r}. Supported kinds: {', '.join(kinds)}.",
            code="task-kind-not-supported",
        )


def check_split(
    kind: str, classes: Sequence[str], labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of a split in one form: binary probabilities become (N,), labels of classes integers.

    Args:
        kind: one of `KINDS`.
        classes: names of the classes.
        labels: of `medzoo.bench.metrics.compute`.
        scores: of `medzoo.bench.metrics.compute`, as 64-bit floats.

    Raises:
        ResultError: for NaN, values outside [0, 1], wrong shapes, or a label that is not a class.

    >>> check_split("binary", ("no", "yes"), np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    (array([0, 1]), array([0.1, 0.8]))
    """
    check_kind(kind)
    if kind == "regression":
        return _regression(labels, scores)
    width = len(classes)
    if kind == "binary" and width != 2:
        raise ResultError(f"A binary task has two classes, not {width}: {listed(classes)}.", code="not-two-classes")

    # shapes
    shapes = [(len(labels), width)] + ([(len(labels),)] if kind == "binary" else [])
    if scores.shape not in shapes:
        text = f"Probabilities of this {kind} task should have the shape {shapes[0]}, not {scores.shape}."
        raise ResultError(text, code="probabilities-shape-wrong")
    _not_empty(labels)

    # values: finite, in [0, 1], and with sum 1 if the classes exclude each other
    _finite(scores)
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        span = f"Predictions range from {scores.min():.3g} to {scores.max():.3g}"
        raise ResultError(f"{span}; give probabilities, not logits.", code="probabilities-out-of-range")
    if kind != "multilabel" and scores.ndim == 2:
        off = np.abs(scores.sum(axis=1) - 1).max()
        if off > 1e-3:
            text = f"The sum of a row of probabilities differs from 1 by {off:.3g}; use a softmax over the classes."
            raise ResultError(text, code="probabilities-sum-wrong")
        scores = scores[:, 1] if kind == "binary" else scores

    # labels
    if kind == "multilabel":
        labels = labels.astype(np.float64)
        if labels.shape != scores.shape:
            text = f"Labels have the shape {labels.shape}, but probabilities {scores.shape}."
            raise ResultError(text, code="labels-shape-wrong")
        if not np.isin(labels[~np.isnan(labels)], (0.0, 1.0)).all():
            raise ResultError("Labels must be 0, 1, or NaN for cases without annotation.", code="labels-invalid")
        return labels, scores
    if labels.shape != (len(scores),) or not np.isin(labels, np.arange(width)).all():
        text = f"Labels should be ({len(scores)},) class numbers from 0 to {width - 1}."
        raise ResultError(text, code="labels-invalid")
    return labels.astype(np.int64), scores


def _regression(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(labels, dtype=np.float64)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    scores = scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores
    if labels.ndim != 1 or labels.shape != scores.shape:
        text = f"Labels and predictions of a regression task should be (N,) or (N, 1), not {labels.shape} and {scores.shape}."
        raise ResultError(text, code="labels-shape-wrong")
    _not_empty(labels)
    _finite(scores)
    if not np.isfinite(labels).all():
        raise ResultError("Labels of a regression task must be finite numbers.", code="labels-invalid")
    return labels, scores


def _not_empty(labels: np.ndarray) -> None:
    if len(labels) == 0:
        raise ResultError("The split is empty: there are no rows to evaluate.", code="split-empty")


def _finite(scores: np.ndarray) -> None:
    broken = np.flatnonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))
    if len(broken):
        rows = f"NaN or infinite in {len(broken)} of {len(scores)} rows ({listed(broken, 5)})"
        raise ResultError(f"Predictions are {rows}: the model diverged.", code="predictions-not-finite")
