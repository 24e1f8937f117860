"""A linear probe: logistic regression on cached features, with a penalty selected on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medzoo.errors import UsageError
from medzoo.training.probes.arrays import as_features
from medzoo.training.probes.logistic import LogisticModel, Problem, fit_logistic, polish


@dataclass
class Probe:
    """A fitted probe and how it was selected."""

    regularisation: float
    score: float
    candidates: int
    converged: bool
    model: LogisticModel
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

    All penalties are solved together in float32. The selected one is then solved to seven digits in float64, and its score
    is that of the final solution.

    Args:
        train: features (N, D) and labels.
        validation: features and labels that select the penalty.
        kind: "binary", "multiclass" or "multilabel" (one regression per label, without NaN labels).
        classes: number of classes.
        regularisation: values of C, as in scikit-learn; larger is weaker.
        score: (labels, probabilities) → the higher, the better.
    """
    if not regularisation:
        raise UsageError(
            "The protocol's [linear] table lists no values for `regularisation`.", code="regularisation-missing"
        )
    problems = [Problem(float(strength)) for strength in regularisation]
    models = fit_logistic(*train, problems, kind=kind, classes=classes)
    rows = models[0].standardise(as_features(validation[0]))  # statistics of the training split standardise all splits
    scores = [score(validation[1], model.from_standardised(rows).numpy()) for model in models]
    best = max(range(len(scores)), key=scores.__getitem__)  # of equals, the first
    final = polish([models[best]], *train, [problems[best]], kind=kind, classes=classes)[0]
    value = score(validation[1], final.from_standardised(rows).numpy())
    return Probe(
        final.strength, value, len(problems), final.converged, final, lambda given: final.probabilities(given).numpy()
    )
