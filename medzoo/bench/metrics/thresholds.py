"""Decision thresholds: what each one gives, and which one is chosen on the validation split."""

from __future__ import annotations

import numpy as np

from medzoo.bench.metrics.facts import SPECIFICITY
from medzoo.bench.metrics.inputs import both_present, check_kind, check_split, one_label
from medzoo.errors import ResultError

RULES = ("youden", "f1")
CLASSIFICATION = ("binary", "multiclass", "multilabel")


def operating_points(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts at each threshold: a case is positive if its score is at least the threshold.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) finite numbers, higher for positives.

    Returns:
        Thresholds (the distinct scores, from high to low), and the number of true and of false positives at each.

    Raises:
        UndefinedMetricError: without cases.
        ResultError: for other labels, scores or shapes.

    >>> operating_points(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))
    (array([0.9, 0.2]), array([1, 2]), array([0, 1]))
    """
    positive, scores = one_label(labels, scores)
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the end of each group of ties
    return ordered[last], hits[last], last + 1 - hits[last]


def sensitivity_at_specificity(labels: np.ndarray, scores: np.ndarray, specificity: float = SPECIFICITY) -> float:
    """The highest sensitivity of all thresholds whose specificity is at least the given one.

    The threshold is chosen on these same cases. Use `threshold_at_specificity` on validation, and `sensitivity` at
    that threshold on test, for the sensitivity that a user of the model would see.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) finite numbers, higher for positives; only their order counts.
        specificity: from 0 to 1. The ROC curve is not interpolated.

    Returns:
        A number from 0 to 1.

    Raises:
        UndefinedMetricError: if one class is absent.
        ResultError: for other labels, scores, shapes, or a specificity outside [0, 1].

    Source: Pepe 2003, The Statistical Evaluation of Medical Tests, chapter 4 (the ROC curve at one false positive rate).

    >>> sensitivity_at_specificity(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), 0.5)
    1.0
    """
    _, hits, _ = _allowed(labels, scores, specificity)
    return float(hits[-1] / np.sum(np.asarray(labels) == 1)) if len(hits) else 0.0


def threshold_at_specificity(labels: np.ndarray, scores: np.ndarray, specificity: float = SPECIFICITY) -> float:
    """The lowest threshold whose specificity is at least the given one; cases at the threshold count as positive.

    Args:
        labels: (N,) of 0 and 1, of validation.
        scores: (N,) finite numbers, higher for positives.
        specificity: from 0 to 1.

    Returns:
        A score; the number above the highest score if no score is high enough.

    Raises:
        UndefinedMetricError: if one class is absent.
        ResultError: for other labels, scores, shapes, or a specificity outside [0, 1].

    Source: as for `sensitivity_at_specificity`.

    >>> threshold_at_specificity(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), 0.5)
    0.35
    """
    thresholds, _, _ = _allowed(labels, scores, specificity)
    return float(thresholds[-1]) if len(thresholds) else float(np.nextafter(np.max(scores), np.inf))


def choose_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, kind: str, rule: str = "youden"
) -> list[float | None]:
    """Choose the threshold of each label on validation; a case is positive if its probability is at least the threshold.

    Never choose on test: the best threshold of the test split makes every model better than it is.

    Args:
        labels: (N,) class numbers; for multilabel (N, C) of 0, 1 and NaN for "not annotated".
        probabilities: (N,) or (N, 2) for binary, (N, K) for multiclass, (N, C) for multilabel; in [0, 1].
        kind: "binary", "multiclass" (each class against the others) or "multilabel".
        rule: "youden" (highest sensitivity + specificity) or "f1" (highest F1).

    Returns:
        One threshold for binary, else one for each column. A threshold is in the middle between two neighbouring
        probabilities, so that rounding does not change a decision. Of equally good thresholds it is the lowest (the one
        with the highest sensitivity). None if the split has only one class of a label.

    Raises:
        ResultError: for another kind or rule, and for labels or probabilities that `compute` refuses.

    Source: Youden 1950; Lipton et al. 2014 (arXiv:1402.1892) for F1.

    >>> choose_thresholds(np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.5, 0.9]), "binary")
    [0.4]
    """
    if rule not in RULES:
        text = f"There is no rule {rule!r} for thresholds. Known rules: {', '.join(RULES)}."
        raise ResultError(text, code="threshold-rule-unknown")
    check_kind(kind, CLASSIFICATION)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    width = 2 if kind == "binary" else probabilities.shape[1] if probabilities.ndim == 2 else 1
    truth, scores = check_split(kind, [str(k) for k in range(width)], np.asarray(labels), probabilities)
    if kind == "binary":
        return [_best(truth, scores, rule)]
    if kind == "multiclass":
        return [_best(truth == k, scores[:, k], rule) for k in range(width)]
    known = ~np.isnan(truth)
    return [_best(truth[known[:, k], k], scores[known[:, k], k], rule) for k in range(width)]


def _allowed(labels: np.ndarray, scores: np.ndarray, specificity: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The operating points with enough specificity."""
    if not 0 <= specificity <= 1:
        raise ResultError(f"The specificity should be from 0 to 1, not {specificity}.", code="specificity-out-of-range")
    positive, scores = one_label(labels, scores)
    both_present(positive)
    thresholds, hits, false_alarms = operating_points(positive, scores)
    n_neg = len(positive) - int(positive.sum())
    enough = n_neg - false_alarms >= specificity * n_neg - 1e-9 * n_neg  # 0.9 * 10 is not exactly 9
    return thresholds[enough], hits[enough], false_alarms[enough]


def _best(truth: np.ndarray, scores: np.ndarray, rule: str) -> float | None:
    n_pos, n = int(truth.sum()), len(truth)
    if not 0 < n_pos < n:
        return None
    thresholds, hits, false_alarms = operating_points(truth, scores)
    # thresholds with equal quality must compare as equal: integers, (TP/P - FP/N) P N, and a tolerance for F1
    if rule == "youden":
        value = hits * (n - n_pos) - false_alarms * n_pos
        best = int(np.flatnonzero(value == value.max())[-1])
    else:
        value = 2 * hits / (hits + false_alarms + n_pos)
        best = int(np.flatnonzero(value >= value.max() * (1 - 1e-12))[-1])
    below = thresholds[best + 1] if best + 1 < len(thresholds) else min(0.0, thresholds[best])
    middle = (thresholds[best] + below) / 2
    return float(middle if middle > below else thresholds[best])
