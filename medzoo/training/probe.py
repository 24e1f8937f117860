"""Probes of cached features: logistic regression, nearest neighbours, ridge; their one setting is selected on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from medzoo.errors import UsageError
from medzoo.training.probes.arrays import as_features
from medzoo.training.probes.knn import vote
from medzoo.training.probes.logistic import LogisticModel, Problem, fit_logistic, polish
from medzoo.training.probes.ridge import RidgeModel, fit_ridge, one_hot

Split = tuple[np.ndarray, np.ndarray]
Score = Callable[[np.ndarray, np.ndarray], float]


Rows = TypeVar("Rows")  # what a probe predicts from: arrays of features, or tokens on the disk


@dataclass(frozen=True)
class Probe(Generic[Rows]):
    """A fitted probe and how it was selected.

    Args:
        setting: what was selected on validation, by the names of a result: {"regularisation": C}, {"neighbours": k}, ...
        chosen: the same in words, such as "C = 0.01".
        score: of the selected setting, on validation.
        candidates: how many settings were tried.
        converged: whether the solver reached its accuracy; always for a closed form and for a fixed number of steps.
        predict: features (N, D) or tokens → probabilities (N, classes), or numbers (N, 1) of a regression.
        model: the logistic regression, if it is one.
    """

    setting: dict[str, Any]
    chosen: str
    score: float
    candidates: int
    converged: bool
    predict: Callable[[Rows], np.ndarray]
    model: LogisticModel | None = None


def fit_probe(
    train: Split, validation: Split, *, kind: str, classes: int, regularisation: Sequence[float], score: Score
) -> Probe[np.ndarray]:
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
    if kind == "regression":
        raise UsageError(
            "A logistic regression needs classes, and the labels of this task are numbers. Use --probe ridge.",
            code="probe-needs-classes",
        )
    if not regularisation:
        raise UsageError(
            "The protocol's [linear] table lists no values for `regularisation`. Add some, such as [0.1, 1.0].",
            code="regularisation-missing",
        )
    problems = [Problem(float(strength)) for strength in regularisation]
    models = fit_logistic(*train, problems, kind=kind, classes=classes)
    rows = models[0].standardise(as_features(validation[0]))  # statistics of the training split standardise all splits
    scores = [score(validation[1], model.from_standardised(rows).numpy()) for model in models]
    best = max(range(len(scores)), key=scores.__getitem__)  # of equals, the first
    final = polish([models[best]], *train, [problems[best]], kind=kind, classes=classes)[0]
    value = score(validation[1], final.from_standardised(rows).numpy())
    return Probe(
        {"regularisation": final.strength},
        f"C = {final.strength:g}",
        value,
        len(problems),
        final.converged,
        lambda given: final.probabilities(given).numpy(),
        final,
    )


def fit_neighbours(
    train: Split,
    validation: Split,
    *,
    kind: str,
    classes: int,
    counts: Sequence[int],
    temperature: float,
    score: Score,
) -> Probe[np.ndarray]:
    """The weighted vote of the nearest training images by cosine similarity; the number of neighbours is selected on validation.

    Args:
        train: features (N, D) and labels.
        validation: features and labels that select the number.
        kind: "binary", "multiclass" or "multilabel".
        classes: number of classes.
        counts: numbers of neighbours; those above the number of training images are left out.
        temperature: a neighbour's weight is exp(similarity / temperature).
        score: (labels, probabilities) → the higher, the better.

    Raises:
        UsageError: if no number can be used, or the task is a regression.
    """
    usable = [count for count in counts if count <= len(train[0])]
    if kind == "regression" or not usable:
        reason = (
            "the labels of this task are numbers" if kind == "regression" else f"it has {len(train[0])} training images"
        )
        raise UsageError(
            f"A kNN probe with {', '.join(map(str, counts)) or 'no'} neighbours cannot be used: {reason}. Use another probe, or "
            "other values of `neighbours`.",
            code="neighbours-not-usable",
        )

    def probabilities(rows: np.ndarray, tried: Sequence[int]) -> dict[int, np.ndarray]:
        votes = vote(*train, rows, kind=kind, classes=classes, counts=tried, temperature=temperature)
        return {count: values.numpy() for count, values in votes.items()}

    scores = {count: score(validation[1], values) for count, values in probabilities(validation[0], usable).items()}
    best = max(usable, key=scores.__getitem__)  # of equals, the first
    return Probe(
        {"neighbours": best},
        f"k = {best}",
        scores[best],
        len(usable),
        True,
        lambda rows: probabilities(rows, [best])[best],
    )


def fit_ridge_probe(
    train: Split, validation: Split, *, kind: str, classes: int, regularisation: Sequence[float], score: Score
) -> Probe[np.ndarray]:
    """Ridge regression on numbers or on one-hot classes; alpha is selected on validation.

    Targets of one class per image are -1 and 1; the outputs are scaled to 0 and 1. The outputs for classes are clipped to [0, 1]
    and, for one class per image, divided by their sum.

    Args:
        train: features (N, D) and labels.
        validation: features and labels that select alpha.
        kind: of the task; "multilabel" needs all labels annotated.
        classes: number of classes; ignored for a regression.
        regularisation: values of alpha.
        score: (labels, outputs) → the higher, the better.
    """
    if not regularisation:
        raise UsageError(
            "The protocol's [ridge] table lists no values for `regularisation`. Add some, such as [0.1, 1.0].",
            code="regularisation-missing",
        )
    features, labels = train
    targets = labels if kind in ("regression", "multilabel") else one_hot(labels, classes)
    models = fit_ridge(features, targets, regularisation)

    def outputs(model: RidgeModel, rows: np.ndarray) -> np.ndarray:
        values = model.predict(rows)
        if kind == "regression":
            return values.numpy()
        if kind != "multilabel":  # from the -1 and 1 of `one_hot`; those of several labels are 0 and 1
            values = (values + 1) / 2
        values = values.clamp(0, 1)
        if kind != "multilabel":
            values = (values + 1e-9) / (values + 1e-9).sum(1, keepdim=True)
        return values.numpy()

    scores = [score(validation[1], outputs(model, validation[0])) for model in models]
    best = max(range(len(scores)), key=scores.__getitem__)
    chosen = models[best]
    return Probe(
        {"regularisation": chosen.penalty},
        f"alpha = {chosen.penalty:g}",
        scores[best],
        len(models),
        True,
        lambda rows: outputs(chosen, rows),
    )
