"""A linear probe: logistic regression on cached features, with a penalty selected on validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medzoo.errors import MissingExtraError, UsageError


@dataclass
class Probe:
    """A fitted probe and how it was selected."""

    regularisation: float
    score: float
    candidates: int
    converged: bool
    predict: Callable[[np.ndarray], np.ndarray]


def fit_probe(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    kind: str,
    classes: int,
    regularisation: Sequence[float],
    score: Callable[[np.ndarray, np.ndarray], float],
) -> Probe:
    """Fit one logistic regression for every penalty and keep the best on validation.

    Args:
        train: features (N, D) and labels.
        validation: features and labels that select the penalty.
        kind: "binary", "multiclass" or "multilabel" (one regression per label, without NaN labels).
        classes: number of classes.
        regularisation: values of C; larger is weaker.
        score: (labels, probabilities) → the higher, the better.

    Source: the solver is scikit-learn's L-BFGS.
    """
    try:
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "recipes", "A linear probe") from error
    if not regularisation:
        raise UsageError(
            "The protocol's [linear] table lists no values for `regularisation`.", code="regularisation-missing"
        )
    # statistics of the training split standardise all splits
    scaler = StandardScaler().fit(train[0])
    features, labels = scaler.transform(train[0]), train[1]
    best: Probe | None = None
    for strength in regularisation:
        models, converged = _fit(features, labels, kind, strength)

        def predict(rows: np.ndarray, models: list[Any] = models) -> np.ndarray:
            return _probabilities(models, scaler.transform(rows), kind, classes)

        value = score(validation[1], predict(validation[0]))
        if best is None or value > best.score:
            best = Probe(float(strength), value, len(regularisation), converged, predict)
    assert best is not None
    return best


def _fit(features: np.ndarray, labels: np.ndarray, kind: str, strength: float) -> tuple[list[Any], bool]:
    from sklearn.linear_model import LogisticRegression

    columns = [labels[:, k] for k in range(labels.shape[1])] if kind == "multilabel" else [labels]
    models: list[Any] = []
    converged = True
    for column in columns:
        known = ~np.isnan(column.astype(float))
        target = column[known].astype(int)
        if len(np.unique(target)) < 2:
            models.append(float(target.mean()) if len(target) else 0.5)  # one class only: predict a constant
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            models.append(LogisticRegression(C=strength, max_iter=2000).fit(features[known], target))
        converged &= not any("converge" in str(item.message) for item in caught)
    return models, converged


def _probabilities(models: list[Any], rows: np.ndarray, kind: str, classes: int) -> np.ndarray:
    if kind == "multilabel":
        columns = [np.full(len(rows), m) if isinstance(m, float) else m.predict_proba(rows)[:, 1] for m in models]
        return np.stack(columns, axis=1)
    probabilities = np.zeros((len(rows), classes))
    if isinstance(models[0], float):
        probabilities[:, round(models[0])] = 1.0
    else:
        probabilities[:, models[0].classes_] = models[0].predict_proba(rows)  # classes absent from train stay at zero
    return probabilities
