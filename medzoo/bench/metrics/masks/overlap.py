"""Overlap of masks: Dice and IoU of one image; `medzoo.bench.metrics.masks.accumulate` averages them over a test set."""

from __future__ import annotations

import numpy as np

from medzoo.errors import ResultError, UndefinedMetricError

EMPTY = ("one", "skip")
BOTH_EMPTY = "both masks are empty"


def mask_pair(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of one image as booleans.

    Args:
        prediction: of any shape; booleans, or 0 and 1.
        truth: of the same shape.

    Raises:
        ResultError: for other shapes, or other values (such as 255, or probabilities).

    >>> mask_pair([0, 1], [True, True])
    (array([False,  True]), array([ True,  True]))
    """
    masks = []
    for name, values in (("prediction", np.asarray(prediction)), ("truth", np.asarray(truth))):
        if values.dtype != bool and not np.isin(values, (0, 1)).all():
            text = f"The {name} should be a mask of 0 and 1, or of booleans: apply a threshold first."
            raise ResultError(text, code="mask-values-wrong")
        masks.append(values.astype(bool))
    if masks[0].shape != masks[1].shape:
        text = f"The prediction has the shape {masks[0].shape}, but the truth {masks[1].shape}."
        raise ResultError(text, code="mask-shapes-differ")
    return masks[0], masks[1]


def overlap_counts(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """Pixels in both masks, in the prediction, and in the truth; counts of several images can be summed.

    Args:
        prediction: of any shape; booleans, or 0 and 1.
        truth: of the same shape.

    Raises:
        ResultError: for other shapes or values.

    >>> overlap_counts([0, 1, 1], [0, 0, 1])
    (1, 2, 1)
    """
    prediction, truth = mask_pair(prediction, truth)
    return int((prediction & truth).sum()), int(prediction.sum()), int(truth.sum())


def dice(prediction: np.ndarray, truth: np.ndarray, empty: str = "one") -> float:
    """The Dice coefficient of two masks: 2 |A ∩ B| / (|A| + |B|).

    Args:
        prediction: of any shape; booleans, or 0 and 1.
        truth: of the same shape.
        empty: if both masks are empty, "one" gives 1 and "skip" gives no value. If one mask is empty, Dice is 0.

    Returns:
        From 0 to 1.

    Raises:
        UndefinedMetricError: if both masks are empty, with empty="skip".
        ResultError: for other shapes or values, or another rule.

    Source: Dice 1945 (doi:10.2307/1932409).

    >>> dice([0, 1, 1], [0, 0, 1]), dice([0, 0], [0, 0]), dice([0, 1], [0, 0])
    (0.6666666666666666, 1.0, 0.0)
    """
    return _value(dice_of_counts(np.array(overlap_counts(prediction, truth)), empty))


def iou(prediction: np.ndarray, truth: np.ndarray, empty: str = "one") -> float:
    """The intersection over union (Jaccard index) of two masks: |A ∩ B| / |A ∪ B|.

    Args:
        prediction: of any shape; booleans, or 0 and 1.
        truth: of the same shape.
        empty: if both masks are empty, "one" gives 1 and "skip" gives no value. If one mask is empty, IoU is 0.

    Returns:
        From 0 to 1; Dice / (2 - Dice).

    Raises:
        UndefinedMetricError: if both masks are empty, with empty="skip".
        ResultError: for other shapes or values, or another rule.

    Source: Jaccard 1912 (doi:10.1111/j.1469-8137.1912.tb05611.x).

    >>> iou([0, 1, 1], [0, 0, 1]), iou([0, 0], [0, 0])
    (0.5, 1.0)
    """
    return _value(iou_of_counts(np.array(overlap_counts(prediction, truth)), empty))


def dice_of_counts(counts: np.ndarray, empty: str = "one") -> np.ndarray:
    """Dice from counts.

    Args:
        counts: (..., 3) of `overlap_counts`.
        empty: as for `dice`.

    Returns:
        Numbers of the shape (...); NaN where both masks are empty, with empty="skip".

    Raises:
        ResultError: for another rule.

    >>> dice_of_counts(np.array([[1, 2, 1], [0, 0, 0]]), "skip")
    array([0.66666667,        nan])
    """
    both, predicted, true = np.moveaxis(np.asarray(counts), -1, 0)
    return _ratio(2 * both, predicted + true, empty)


def iou_of_counts(counts: np.ndarray, empty: str = "one") -> np.ndarray:
    """IoU from counts.

    Args:
        counts: (..., 3) of `overlap_counts`.
        empty: as for `iou`.

    Returns:
        Numbers of the shape (...); NaN where both masks are empty, with empty="skip".

    Raises:
        ResultError: for another rule.

    >>> iou_of_counts(np.array([[1, 2, 1], [0, 0, 0]]))
    array([0.5, 1. ])
    """
    both, predicted, true = np.moveaxis(np.asarray(counts), -1, 0)
    return _ratio(both, predicted + true - both, empty)


def check_rule(value: str, allowed: tuple[str, ...], what: str) -> None:
    """Refuse an unknown rule for empty masks.

    Args:
        value: the rule.
        allowed: the known rules.
        what: names the rule in the message.

    Raises:
        ResultError: with the known rules.
    """
    if value not in allowed:
        text = f"There is no rule {value!r} for {what}. Known rules: {', '.join(allowed)}."
        raise ResultError(text, code="empty-rule-unknown")


def _ratio(above: np.ndarray, below: np.ndarray, empty: str) -> np.ndarray:
    check_rule(empty, EMPTY, "two empty masks")
    return np.where(below > 0, above / np.maximum(below, 1), 1.0 if empty == "one" else np.nan)


def _value(number: np.ndarray) -> float:
    if np.isnan(number):
        raise UndefinedMetricError(BOTH_EMPTY, code="metric-undefined")
    return float(number)
