"""All metrics of a split: exact with ties, without cases that have no annotation, and None where undefined."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from medzoo.bench.metrics import regression
from medzoo.bench.metrics.classification_rows import classification_rows, measured
from medzoo.bench.metrics.facts import Row, metric
from medzoo.bench.metrics.inputs import check_kind, check_split
from medzoo.bench.metrics.temperature import apply_temperature
from medzoo.errors import ResultError

CALIBRATED = {"brier": "brier_calibrated", "ece": "ece_calibrated"}
AT_THRESHOLD = ("sensitivity_at_threshold", "specificity_at_threshold", "f1_at_threshold", "accuracy_at_threshold")
CALIBRATED_NAMES = frozenset((*AT_THRESHOLD, *CALIBRATED.values()))


def compute(
    kind: str,
    classes: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: Sequence[str] | None = None,
    scored: Sequence[str] = (),
    *,
    thresholds: Mapping[str, float] | None = None,
    names: Collection[str] | None = None,
) -> list[Row]:
    """All metrics of one split.

    Args:
        kind: "binary", "multiclass", "multilabel" or "regression". For segmentation use `SegmentationMetrics`.
        classes: names of the classes (labels, for multilabel), in the order of the columns; ignored for regression.
        labels: (N,) class numbers, or (N, C) of 0, 1 and NaN for "not annotated"; for regression (N,) or (N, 1) numbers.
        probabilities: (N,) or (N, 2) for binary, (N, K) for multiclass, (N, C) for multilabel, in [0, 1]; for
            regression (N,) or (N, 1) predicted numbers.
        groups: the patient of each row; None if each row is one patient.
        scored: of a multilabel task, the labels that the means include; all of them if empty.
        thresholds: label → threshold that was chosen on validation (`choose_thresholds`); with it, the rows contain
            sensitivity, specificity and F1 at these thresholds.
        names: the metrics to compute; None for all.

    Returns:
        Rows with name, label (None for the whole task), value (None where undefined, with the reason in
        `undefined`), n, n_pos, n_patients, and n_labels (how many labels a mean includes, else None). Decisions are at
        0.5 for binary and multilabel, and the most probable class for multiclass.

    Raises:
        ResultError: for NaN, values outside [0, 1], wrong shapes, or a label that is not a class.

    >>> rows = compute("binary", ("normal", "pneumonia"), np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9]))
    >>> headline(rows, "auroc")["value"], headline(rows, "accuracy")["n"]
    (1.0, 3)
    """
    check_kind(kind)
    truth, scores = check_split(kind, classes, np.asarray(labels), np.asarray(probabilities, dtype=np.float64))
    if groups is not None and len(groups) != len(truth):
        text = f"There are {len(groups)} groups for {len(truth)} rows. Give one group (patient) for each row."
        raise ResultError(text, code="groups-length-mismatch")
    patients = np.arange(len(truth)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if kind == "regression":
        return _regression_rows(truth, scores, len(np.unique(patients)), names)
    return classification_rows(kind, classes, truth, scores, patients, scored, thresholds, names)


def calibrated_rows(
    kind: str,
    classes: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: Sequence[str] | None,
    scored: Sequence[str],
    temperature: float,
    thresholds: Mapping[str, float],
) -> list[Row]:
    """Rows that follow the rows of `compute`; of several exclusive classes, each is decided against the others.

    Args:
        kind: "binary", "multiclass" or "multilabel".
        classes: as for `compute`.
        labels: as for `compute`.
        probabilities: as for `compute`, before the temperature.
        groups: as for `compute`.
        scored: as for `compute`.
        temperature: chosen on validation.
        thresholds: label → threshold of the probability after the temperature; a label may have none.

    Raises:
        ResultError: as `compute`, and for a temperature that is not positive.

    >>> labels, scores = np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9])
    >>> rows = calibrated_rows("binary", ("no", "yes"), labels, scores, None, (), 1.0, {"yes": 0.3})
    >>> [(row["name"], row["value"]) for row in rows if row["name"].endswith("_at_threshold")][0]
    ('sensitivity_at_threshold', 1.0)
    """
    scaled = apply_temperature(probabilities, temperature, kind)
    names = (*AT_THRESHOLD, *CALIBRATED)
    rows = compute(kind, classes, labels, scaled, groups, scored, thresholds=thresholds, names=names)
    rows = [{**row, "name": CALIBRATED.get(row["name"], row["name"])} for row in rows]
    return sorted(rows, key=lambda row: row["label"] is not None)  # those of the whole task first


def headline(rows: Sequence[Mapping[str, Any]], name: str) -> Row:
    """The row of a metric over the whole task, not over one label.

    Args:
        rows: of `compute`.
        name: of the metric.

    Raises:
        ResultError: if there is no such row.

    >>> headline(compute("regression", (), np.array([1.0, 2.0]), np.array([1.0, 4.0])), "mae")["value"]
    1.0
    """
    for one in rows:
        if one["name"] == name and one["label"] is None:
            return dict(one)
    available = sorted({str(one["name"]) for one in rows if one["label"] is None})
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

    >>> validation_score("regression", (), np.array([1.0, 2.0]), np.array([1.0, 4.0]), "mae")
    -1.0
    """
    found = headline(compute(kind, classes, labels, probabilities, scored=scored, names=(name,)), name)
    if found["value"] is None:
        raise ResultError(
            f"{metric(name).title} is undefined on these {found['n']} validation rows: {found['undefined']}. "
            "Give a validation split with every class, or select the last epoch.",
            code="metric-undefined-on-validation",
        )
    return float(found["value"]) if metric(name).higher_is_better else -float(found["value"])


def _regression_rows(
    truth: np.ndarray, predicted: np.ndarray, n_patients: int, names: Collection[str] | None
) -> list[Row]:
    functions = (regression.mae, regression.rmse, regression.r2, regression.pearson)
    return [
        measured(one.__name__, None, partial(one, truth, predicted), n=len(truth), n_patients=n_patients)
        for one in functions
        if names is None or one.__name__ in names
    ]
