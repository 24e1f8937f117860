"""The result rows of classification: each metric of each label, of the whole task, and the means over labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from medzoo.bench.metrics import decisions, probabilities
from medzoo.bench.metrics.facts import Row, row
from medzoo.bench.metrics.thresholds import sensitivity_at_specificity
from medzoo.errors import ResultError, UndefinedMetricError

THRESHOLD = 0.5  # https://github.com/MedMNIST/MedMNIST medmnist/evaluator.py: getACC
NO_VALUE = "it is undefined for every label"


@dataclass(frozen=True)
class OneLabel:
    """The annotated cases of a label: 0 or 1, probabilities, decisions, patients, and the stored threshold."""

    name: str | None
    truth: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray
    patients: np.ndarray
    threshold: float | None = None

    def above(self) -> np.ndarray:
        """Whether each case is positive at the stored threshold."""
        if self.threshold is None:
            raise UndefinedMetricError("no threshold was chosen for it", code="metric-undefined")
        return self.scores >= self.threshold


Function = Callable[[OneLabel], float]

# order of the rows; those of a label whose classes exclude each other are without accuracy, kappa, Brier and ECE
RANKS: dict[str, Function] = {
    "auroc": lambda one: probabilities.auroc(one.truth, one.scores),
    "auprc": lambda one: probabilities.auprc(one.truth, one.scores),
    "prevalence": lambda one: probabilities.prevalence(one.truth),
}
OWN: dict[str, Function] = {
    "accuracy": lambda one: decisions.accuracy(one.truth, one.predicted),
    "balanced_accuracy": lambda one: decisions.balanced_accuracy(one.truth, one.predicted),
    "brier": lambda one: probabilities.brier(one.truth, one.scores),
    "ece": lambda one: probabilities.ece(one.truth, one.scores),
    "kappa": lambda one: decisions.kappa(one.truth, one.predicted),
}
POINTS: dict[str, Function] = {
    "f1": lambda one: decisions.f1(one.truth, one.predicted),
    "sensitivity_at_specificity_90": lambda one: sensitivity_at_specificity(one.truth, one.scores),
}
STORED: dict[str, Function] = {
    "sensitivity_at_threshold": lambda one: decisions.sensitivity(one.truth, one.above()),
    "specificity_at_threshold": lambda one: decisions.specificity(one.truth, one.above()),
    "f1_at_threshold": lambda one: decisions.f1(one.truth, one.above()),
    "accuracy_at_threshold": lambda one: decisions.accuracy(one.truth, one.above()),
}


def classification_rows(
    kind: str,
    classes: Sequence[str],
    truth: np.ndarray,
    scores: np.ndarray,
    patients: np.ndarray,
    scored: Collection[str],
    thresholds: Mapping[str, float] | None,
    names: Collection[str] | None,
) -> list[Row]:
    """The rows of a split that `check_split` has checked.

    Args:
        kind: "binary", "multiclass" or "multilabel".
        classes: names of the classes.
        truth: labels.
        scores: probabilities.
        patients: (N,) numbers of patients.
        scored: labels in the means; all if empty.
        thresholds: of the labels, or None.
        names: the metrics to compute, or None for all.

    Raises:
        ResultError: for a threshold of an unknown label.
    """
    stored = {} if thresholds is None else STORED
    of_labels = classes[1:] if kind == "binary" else classes
    if unknown := sorted(set(thresholds or ()) - set(of_labels)):
        text = f"There is a threshold for {unknown[0]!r}. Thresholds of this task are for {', '.join(of_labels)}."
        raise ResultError(text, code="threshold-label-unknown")
    chosen = dict(thresholds or {})

    def wanted(*groups: Mapping[str, Function]) -> dict[str, Function]:
        return {
            name: function for group in groups for name, function in group.items() if names is None or name in names
        }

    if kind == "binary":
        threshold = chosen.get(classes[1])
        whole = OneLabel(None, truth, scores, scores > THRESHOLD, patients, threshold)
        return _rows(whole, wanted(RANKS, OWN, POINTS, stored))

    # each label, or each class against the others
    predicted = scores.argmax(axis=1) if kind == "multiclass" else None
    functions = wanted(RANKS, POINTS, stored) if kind == "multiclass" else wanted(RANKS, OWN, POINTS, stored)
    each: list[Row] = []
    for k, name in enumerate(classes):
        if predicted is not None:
            one = OneLabel(name, truth == k, scores[:, k], predicted == k, patients, chosen.get(name))
        else:
            known = ~np.isnan(truth[:, k])
            label, score = truth[known, k], scores[known, k]
            # as in MedMNIST: a score equal to the threshold is positive for multi-label, but negative for binary tasks
            one = OneLabel(name, label, score, score >= THRESHOLD, patients[known], chosen.get(name))
        each += _rows(one, functions)

    # the whole task
    counts = {"n": len(truth), "n_patients": len(np.unique(patients))}
    own = [] if predicted is None else _multiclass(truth, scores, predicted, names, counts)
    counted = [made for made in each if not scored or made["label"] in scored]
    means = [_mean(name, counted, counts) for name in functions]
    ranks = [made for made in means if made["name"] in RANKS]
    return [*ranks, *own, *(made for made in means if made["name"] not in RANKS), *each]


def _rows(one: OneLabel, functions: Mapping[str, Function]) -> list[Row]:
    counts = {"n": len(one.truth), "n_patients": len(np.unique(one.patients)), "n_pos": int(one.truth.sum())}
    return [measured(name, one.name, partial(function, one), **counts) for name, function in functions.items()]


def measured(
    name: str,
    label: str | None,
    function: Callable[[], float],
    *,
    n: int,
    n_patients: int,
    n_pos: int | None = None,
    n_labels: int | None = None,
) -> Row:
    """The row of a metric, with its value or the reason why it has none.

    Args:
        name: of the metric.
        label: of the row.
        function: gives the value.
        n: as for `row`.
        n_patients: as for `row`.
        n_pos: as for `row`.
        n_labels: as for `row`.

    >>> measured("f1", None, lambda: decisions.f1(np.array([0]), np.array([0])), n=1, n_patients=1)["undefined"]
    'no positive case, and none was predicted'
    """
    value, reason = None, None
    try:
        value = function()
    except UndefinedMetricError as error:
        reason = str(error)
    return row(name, label, value, n=n, n_patients=n_patients, n_pos=n_pos, n_labels=n_labels, undefined=reason)


def _mean(name: str, rows: Sequence[Row], counts: Mapping[str, int]) -> Row:
    values = [made["value"] for made in rows if made["name"] == name and made["value"] is not None]
    mean = float(np.mean(values)) if values else None
    n, n_patients = counts["n"], counts["n_patients"]
    return row(name, None, mean, n=n, n_patients=n_patients, undefined=NO_VALUE, n_labels=len(values))


def _multiclass(
    truth: np.ndarray,
    scores: np.ndarray,
    predicted: np.ndarray,
    names: Collection[str] | None,
    counts: Mapping[str, int],
) -> list[Row]:
    """Metrics of all classes together."""
    width = scores.shape[1]
    functions: dict[str, Callable[[], float]] = {
        "accuracy": lambda: decisions.accuracy(truth, predicted, width),
        "balanced_accuracy": lambda: decisions.balanced_accuracy(truth, predicted, width),
        "brier": lambda: probabilities.brier(truth, scores),
        "ece": lambda: probabilities.ece(truth, scores),
        "kappa": lambda: decisions.kappa(truth, predicted, width),
        "quadratic_kappa": lambda: decisions.kappa(truth, predicted, width, weights="quadratic"),
    }
    occurring = {"balanced_accuracy": len(np.unique(truth))}
    return [
        measured(name, None, function, n=len(truth), n_patients=counts["n_patients"], n_labels=occurring.get(name))
        for name, function in functions.items()
        if names is None or name in names
    ]
