"""Metrics of a test split: exact with ties, without cases that have no annotation, and None where undefined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medzoo.errors import ResultError, UnknownNameError, listed

Row = dict[str, Any]
THRESHOLD = 0.5  # https://github.com/MedMNIST/MedMNIST medmnist/evaluator.py: getACC


ONE_CLASS = "only one class is present"


@dataclass(frozen=True)
class Metric:
    """Facts of a metric: its printed name, its direction, and its number of digits in a table."""

    title: str
    higher_is_better: bool = True
    digits: int = 3


METRICS: dict[str, Metric] = {
    "auroc": Metric("AUROC"),
    "auprc": Metric("AUPRC"),
    "accuracy": Metric("accuracy"),
    "balanced_accuracy": Metric("balanced accuracy"),
    "brier": Metric("Brier score", higher_is_better=False),
    "dice": Metric("Dice"),
    "mae": Metric("MAE", higher_is_better=False),
}


def metric(name: str) -> Metric:
    """Look a metric up.

    Raises:
        UnknownNameError: with the nearest names.

    >>> metric("auroc").title, metric("brier").higher_is_better
    ('AUROC', False)
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS, f"Known: {', '.join(METRICS)}.")
    return METRICS[name]


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve: how often a positive ranks above a negative; ties count one half.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (N,) finite numbers, higher for positives.

    Source: Mann and Whitney 1947; average ranks make ties exact.

    >>> auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2.0)[place]
    positive = labels == 1
    n_pos = int(positive.sum())
    wins = ranks[positive].sum() - n_pos * (n_pos + 1) / 2.0
    return float(wins / (n_pos * (len(labels) - n_pos)))


def auprc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision: the precision at each distinct score, weighted by the recall it adds.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (N,) finite numbers, higher for positives.

    Source: no interpolation between points, as in Davis and Goadrich 2006 (doi:10.1145/1143844.1143874).

    >>> round(auprc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(labels[order] == 1)
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the end of each group of ties
    true_positives = hits[last]
    return float(np.sum(np.diff(true_positives, prepend=0) / hits[-1] * (true_positives / (last + 1))))


def compute(
    kind: str,
    classes: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: Sequence[str] | None = None,
    scored: Sequence[str] = (),
) -> list[Row]:
    """All metrics of one split.

    Args:
        kind: "binary", "multiclass" or "multilabel".
        classes: names of the classes (labels, for multilabel), in the order of the columns.
        labels: (N,) class numbers, or (N, C) of 0, 1 and NaN for "not annotated".
        probabilities: (N,) or (N, 2) for binary, (N, K) for multiclass, (N, C) for multilabel; in [0, 1].
        groups: the patient of each row; None if each row is one patient.
        scored: of a multilabel task, the labels that the means include; all of them if empty.

    Returns:
        Rows with name, label (None for the whole task), value (None where undefined, with the reason in
        `undefined`), n, n_pos, n_patients, and n_labels (how many labels a mean includes, else None).

    Raises:
        ResultError: for NaN, values outside [0, 1], wrong shapes, or a label that is not a class.

    >>> rows = compute("binary", ("normal", "pneumonia"), np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9]))
    >>> headline(rows, "auroc")["value"], headline(rows, "accuracy")["n"]
    (1.0, 3)
    """
    if kind not in (*_KINDS, "multilabel"):
        raise ResultError(
            f"There are no metrics for tasks of kind {kind!r}. Supported kinds: {', '.join(_KINDS)}, multilabel.",
            code="task-kind-not-supported",
        )
    truth, scores = _checked(kind, classes, np.asarray(labels), np.asarray(probabilities, dtype=np.float64))
    if groups is not None and len(groups) != len(truth):
        text = f"There are {len(groups)} groups for {len(truth)} rows. Give one group (patient) for each row."
        raise ResultError(text, code="groups-length-mismatch")
    patients = np.arange(len(truth)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if kind == "multilabel":
        return _multilabel(classes, truth, scores, patients, scored)
    return _KINDS[kind](classes, truth, scores, patients)


def headline(rows: Sequence[Mapping[str, Any]], name: str) -> Row:
    """The row of a metric over the whole task, not over one label.

    Raises:
        ResultError: if there is no such row.
    """
    for row in rows:
        if row["name"] == name and row["label"] is None:
            return dict(row)
    available = sorted({str(row["name"]) for row in rows if row["label"] is None})
    raise ResultError(
        f"There is no metric {name!r} of the whole task. Available metrics: {', '.join(available) or 'none'}.",
        code="metric-missing",
    )


def validation_score(
    kind: str,
    classes: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    name: str,
    scored: Sequence[str] = (),
) -> float:
    """The validation score of a protocol: the task's metric, negated where lower is better.

    Args:
        kind: as for `compute`.
        classes: as for `compute`.
        labels: as for `compute`.
        probabilities: as for `compute`.
        name: the metric.
        scored: as for `compute`.

    Raises:
        ResultError: if the metric is undefined on this split, so that it cannot select an epoch or a penalty.
    """
    row = headline(compute(kind, classes, labels, probabilities, scored=scored), name)
    if row["value"] is None:
        raise ResultError(
            f"{metric(name).title} is undefined on these {row['n']} validation rows: {row['undefined']}. "
            "Give a validation split with every class, or select the last epoch.",
            code="metric-undefined-on-validation",
        )
    return float(row["value"]) if metric(name).higher_is_better else -float(row["value"])


def _checked(
    kind: str, classes: Sequence[str], labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    width = len(classes)
    if kind == "binary" and width != 2:
        raise ResultError(f"A binary task has two classes, not {width}: {listed(classes)}.", code="not-two-classes")

    # shapes
    shapes = [(len(labels), width)] + ([(len(labels),)] if kind == "binary" else [])
    if scores.shape not in shapes:
        text = f"Probabilities of this {kind} task should have the shape {shapes[0]}, not {scores.shape}."
        raise ResultError(text, code="probabilities-shape-wrong")
    if len(labels) == 0:
        raise ResultError("The split is empty: there are no rows to evaluate.", code="split-empty")

    # values: finite, in [0, 1], and with sum 1 if the classes exclude each other
    broken = np.flatnonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))
    if len(broken):
        rows = f"NaN or infinite in {len(broken)} of {len(scores)} rows ({listed(broken, 5)})"
        raise ResultError(f"Predictions are {rows}: the model diverged.", code="predictions-not-finite")
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


def _row(
    name: str, label: str | None, value: float | None, patients: np.ndarray, n_pos: int | None = None, *,
    undefined: str | None = None, n_labels: int | None = None,
) -> Row:  # fmt: skip
    return {
        "name": name, "label": label, "value": value, "undefined": undefined if value is None else None,
        "n": len(patients), "n_pos": n_pos, "n_patients": len(np.unique(patients)), "n_labels": n_labels,
    }  # fmt: skip


def _ranked(label: str | None, truth: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> list[Row]:
    """AUROC and AUPRC of one label, or the reason why they are undefined."""
    n_pos = int(truth.sum())
    reason = "no case was annotated" if not len(truth) else "no positive case" if not n_pos else "no negative case"
    defined = 0 < n_pos < len(truth)
    return [
        _row(name, label, function(truth, scores) if defined else None, patients, n_pos, undefined=reason)
        for name, function in (("auroc", auroc), ("auprc", auprc))
    ]


def _macro(name: str, rows: Sequence[Row], patients: np.ndarray) -> Row:
    values = [row["value"] for row in rows if row["name"] == name and row["value"] is not None]
    mean = float(np.mean(values)) if values else None
    return _row(name, None, mean, patients, undefined="it is undefined for every label", n_labels=len(values))


def _binary(classes: Sequence[str], truth: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> list[Row]:
    predicted, n_pos = scores > THRESHOLD, int(truth.sum())
    both = 0 < n_pos < len(truth)
    balanced = float((predicted[truth == 1].mean() + (~predicted[truth == 0]).mean()) / 2) if both else None
    return [
        *_ranked(None, truth, scores, patients),
        _row("accuracy", None, float((predicted == truth).mean()), patients, n_pos),
        _row("balanced_accuracy", None, balanced, patients, n_pos, undefined=ONE_CLASS),
        _row("brier", None, float(np.mean((scores - truth) ** 2)), patients, n_pos),
    ]


def _multiclass(classes: Sequence[str], truth: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> list[Row]:
    each: list[Row] = []
    for k, name in enumerate(classes):
        each += _ranked(name, truth == k, scores[:, k], patients)
    predicted = scores.argmax(axis=1)
    recalls = [float((predicted[truth == k] == k).mean()) for k in np.unique(truth)]
    balanced = float(np.mean(recalls)) if len(recalls) > 1 else None
    return [
        _macro("auroc", each, patients),
        _macro("auprc", each, patients),
        _row("accuracy", None, float((predicted == truth).mean()), patients),
        _row("balanced_accuracy", None, balanced, patients, undefined=ONE_CLASS, n_labels=len(recalls)),
        *each,
    ]


def _multilabel(
    classes: Sequence[str], truth: np.ndarray, scores: np.ndarray, patients: np.ndarray, scored: Sequence[str]
) -> list[Row]:
    each: list[Row] = []
    for k, name in enumerate(classes):
        known = ~np.isnan(truth[:, k])
        label, score, patient = truth[known, k], scores[known, k], patients[known]
        each += _ranked(name, label, score, patient)
        # as in MedMNIST: a score equal to the threshold is positive for multi-label, but negative for binary tasks
        share = float(((score >= THRESHOLD) == label).mean()) if known.any() else None
        each.append(_row("accuracy", name, share, patient, int(label.sum()), undefined="no case was annotated"))
    counted = [row for row in each if not scored or row["label"] in scored]
    return [*(_macro(name, counted, patients) for name in ("auroc", "auprc", "accuracy")), *each]


_KINDS = {"binary": _binary, "multiclass": _multiclass}
