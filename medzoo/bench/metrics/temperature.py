"""Temperature scaling, fitted on validation, and the calibration that a run stores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medzoo.bench.metrics.inputs import check_kind, check_split
from medzoo.bench.metrics.thresholds import CLASSIFICATION, RULES, choose_thresholds
from medzoo.errors import ResultError

LOWEST, HIGHEST = 0.05, 20.0  # temperatures
_SATURATED = 1e-7  # a 32-bit probability next to 1 has this distance from it; its logit is not known any better


@dataclass(frozen=True)
class Calibration:
    """What was chosen on validation: a temperature, and thresholds for the probabilities after that temperature.

    Args:
        temperature: the logarithms of the probabilities (of a label: their log odds) are divided by it; 1 changes nothing.
        thresholds: label → threshold; a case is positive if its probability is at least the threshold. Labels without
            a threshold had only one class on the split. A binary task has one threshold, of its second class.
        rule: which thresholds are best, "youden" or "f1".
        chosen_on: the split.

    >>> Calibration.from_dict(Calibration(1.5, {"edema": 0.25}).to_dict())
    Calibration(temperature=1.5, thresholds={'edema': 0.25}, rule='youden', chosen_on='validation')
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    rule: str = "youden"
    chosen_on: str = "validation"

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and self.temperature > 0):
            text = f"The temperature should be a positive number, not {self.temperature!r:.40}."
            raise ResultError(text, code="temperature-not-positive")
        for label, value in self.thresholds.items():
            if not (isinstance(label, str) and _is_number(value)):
                text = f"The threshold of {label!r:.40} should be a finite number, not {value!r:.40}."
                raise ResultError(text, code="threshold-invalid")
        if self.rule not in RULES:
            text = f"There is no rule {self.rule!r:.40} for thresholds. Known rules: {', '.join(RULES)}."
            raise ResultError(text, code="threshold-rule-unknown")

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `thresholds` has the form of `selection.thresholds` of a result file."""
        thresholds = {
            label: {"value": value, "rule": self.rule, "chosen_on": self.chosen_on}
            for label, value in self.thresholds.items()
        }
        return {
            "temperature": self.temperature,
            "rule": self.rule,
            "chosen_on": self.chosen_on,
            "thresholds": thresholds,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """Read what `to_dict` wrote.

        Args:
            stored: the JSON object.

        Raises:
            ResultError: for missing or unknown fields, and for values that are not allowed.
        """
        expected = {"temperature", "rule", "chosen_on", "thresholds"}
        if not isinstance(stored, Mapping) or set(stored) != expected or not isinstance(stored["thresholds"], Mapping):
            text = f"A calibration should be an object with {', '.join(sorted(expected))}."
            raise ResultError(text, code="calibration-fields-wrong")
        rule, chosen_on = stored["rule"], stored["chosen_on"]
        thresholds: dict[str, Any] = {}
        for label, row in stored["thresholds"].items():
            if not isinstance(row, Mapping) or {**row, "value": 0} != {
                "value": 0,
                "rule": rule,
                "chosen_on": chosen_on,
            }:
                text = f"The threshold of {label!r:.40} should have value, rule {rule!r:.40} and chosen_on {chosen_on!r:.40}."
                raise ResultError(text, code="calibration-fields-wrong")
            thresholds[label] = row.get("value")
        return cls(stored["temperature"], thresholds, rule, chosen_on)


def calibrate(
    kind: str, classes: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, rule: str = "youden"
) -> Calibration:
    """Fit the temperature on validation, apply it, and choose the thresholds.

    Args:
        kind: "binary", "multiclass" or "multilabel".
        classes: names of the classes, in the order of the columns.
        labels: as for `compute`.
        probabilities: as for `compute`; of validation.
        rule: of `choose_thresholds`.

    Returns:
        The calibration, for `apply_temperature` and for the thresholds of `compute`.

    Raises:
        ResultError: for labels or probabilities that `compute` refuses, or an unknown rule.

    >>> calibrate("binary", ("no", "yes"), np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.5, 0.9])).thresholds
    {'yes': 0.4}
    """
    check_kind(kind, CLASSIFICATION)
    check_split(kind, classes, np.asarray(labels), np.asarray(probabilities, dtype=np.float64))
    temperature = fit_temperature(labels, probabilities, kind)
    scaled = apply_temperature(probabilities, temperature, kind)
    chosen = choose_thresholds(labels, scaled, kind, rule)
    names = classes[1:] if kind == "binary" else classes
    pairs = zip(names, chosen, strict=True)
    return Calibration(temperature, {name: value for name, value in pairs if value is not None}, rule)


def fit_temperature(
    labels: np.ndarray, logits_or_probabilities: np.ndarray, kind: str, *, logits: bool = False
) -> float:
    """The temperature with the lowest log loss; one number for the whole network.

    Args:
        labels: (N,) class numbers; for multilabel (N, C) of 0, 1 and NaN for "not annotated".
        logits_or_probabilities: (N,) or (N, 2) for binary, (N, K) for multiclass, (N, C) for multilabel.
        kind: "binary", "multiclass" or "multilabel".
        logits: whether they are logits; by default they are probabilities, in [0, 1].

    Returns:
        A number from 0.05 to 20. It is 1 (no change) where every case is classified correctly, or where all logits of a
        case are equal: the log loss then has no minimum, and the split does not show how certain the network should be.

    Raises:
        ResultError: for another kind, NaN, or labels and shapes that `compute` refuses.

    Source: Guo et al. 2017 (arXiv:1706.04599). The log loss is convex in 1/T: the zero of its derivative is found by
    bisection.

    >>> fit_temperature(np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.9, 0.9]), "binary")
    2.0
    """
    truth, margin = _margins(labels, _logits(logits_or_probabilities, kind, logits), kind)
    if not len(truth) or np.all(margin.max(axis=1) <= truth):
        return 1.0

    def slope(beta: float) -> float:
        """Derivative of the log loss by 1/T: the expected margin minus that of the true class."""
        scaled = beta * margin
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return float(np.mean((weights * margin).sum(axis=1) / weights.sum(axis=1) - truth))

    low, high = math.log(1 / HIGHEST), math.log(1 / LOWEST)
    if slope(math.exp(low)) >= 0:
        return HIGHEST
    if slope(math.exp(high)) <= 0:
        return LOWEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return float(round(math.exp(-(low + high) / 2), 12))


def apply_temperature(
    logits_or_probabilities: np.ndarray, temperature: float, kind: str, *, logits: bool = False
) -> np.ndarray:
    """Probabilities after temperature scaling; the order of the cases, and the predicted class, do not change.

    Args:
        logits_or_probabilities: as for `fit_temperature`.
        temperature: a positive number; 1 returns the probabilities.
        kind: "binary", "multiclass" or "multilabel".
        logits: whether they are logits; by default they are probabilities.

    Returns:
        Probabilities of the same shape, as 64-bit floats.

    Raises:
        ResultError: for another kind, NaN, or a temperature that is not positive.

    Source: Guo et al. 2017 (arXiv:1706.04599).

    >>> apply_temperature(np.array([0.1, 0.5, 0.9]), 2.0, "binary").round(4)
    array([0.25, 0.5 , 0.75])
    """
    check_kind(kind, CLASSIFICATION)
    Calibration(temperature)  # refuses a temperature that is not positive
    given = np.asarray(logits_or_probabilities, dtype=np.float64)
    _logits(given, kind, logits)  # refuses wrong values and shapes
    if temperature == 1 and not logits:
        return given.copy()
    with np.errstate(divide="ignore"):  # a probability of 0 has the logarithm -inf, and stays 0
        if given.ndim == 2 and kind != "multilabel":
            scaled = (given if logits else np.log(np.clip(given, 0, 1))) / temperature
            weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
            return weights / weights.sum(axis=1, keepdims=True)
        clipped = np.clip(given, 0, 1)
        scaled = (given if logits else np.log(clipped) - np.log1p(-clipped)) / temperature
    return _sigmoid(scaled)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(values))  # from 0 to 1: never overflows
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))


def _logits(values: np.ndarray, kind: str, logits: bool) -> np.ndarray:
    """Logits: (N,) of the positive class, (N, C) of each label, or (N, K) up to a constant for each row."""
    check_kind(kind, CLASSIFICATION)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 and not (kind == "binary" and values.ndim == 1):
        text = f"Probabilities of a {kind} task have the wrong shape {values.shape}."
        raise ResultError(text, code="probabilities-shape-wrong")
    if not np.isfinite(values).all():
        raise ResultError("Some predictions are NaN or infinite.", code="predictions-not-finite")
    if logits:
        return values
    if values.size and (values.min() < -1e-6 or values.max() > 1 + 1e-6):
        span = f"Predictions range from {values.min():.3g} to {values.max():.3g}"
        raise ResultError(f"{span}; give probabilities, or logits=True.", code="probabilities-out-of-range")
    clipped = np.clip(values, _SATURATED, 1 - _SATURATED)
    return np.log(clipped) if values.ndim == 2 and kind != "multilabel" else np.log(clipped) - np.log1p(-clipped)


def _margins(labels: np.ndarray, values: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The logit of the true class, (M,), and those of all classes, (M, K), of every annotated case and label."""
    labels = np.asarray(labels)
    if kind != "multilabel" and values.ndim == 2:
        width = values.shape[1]
    else:
        width, values = 2, np.stack([np.zeros_like(values), values], axis=-1)
        if labels.shape != values.shape[:-1]:
            text = f"Labels have the shape {labels.shape}, but predictions {values.shape[:-1]}."
            raise ResultError(text, code="labels-shape-wrong")
        known = ~np.isnan(labels.astype(np.float64)) if kind == "multilabel" else np.ones(labels.shape, bool)
        labels, values = labels[known], values[known]
    if labels.shape != (len(values),) or not np.isin(labels, np.arange(width)).all():
        raise ResultError(f"Labels should be class numbers from 0 to {width - 1}.", code="labels-invalid")
    return values[np.arange(len(values)), labels.astype(np.int64)], values


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
