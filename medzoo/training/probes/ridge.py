"""Ridge regression for all strengths through one eigendecomposition: of real targets, or of one-hot classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes import arrays
from medzoo.training.probes.arrays import Array, Standardiser


@dataclass(frozen=True)
class RidgeModel:
    """A ridge regression.

    Args:
        penalty: scikit-learn's alpha: the objective is the sum of squared errors plus alpha times the squared weights.
        weights: (T, D) float64, of standardised features.
        intercepts: (T,) float64, not penalised.
        standardise: of the training rows.
        left_out: (n, T) predictions for each training row by the model without it (the standardisation keeps it).
    """

    penalty: float
    weights: torch.Tensor
    intercepts: torch.Tensor
    standardise: Standardiser
    left_out: torch.Tensor

    def predict(self, features: Array) -> torch.Tensor:
        """(N, T) float64 predictions; for one-hot targets the largest is the class."""
        return self.standardise(arrays.as_features(features)) @ self.weights.T + self.intercepts


def fit_ridge(
    features: Array, targets: Array, penalties: Sequence[float], *, rows: Array | None = None
) -> list[RidgeModel]:
    """Solve the regression for every penalty; the caller selects one, on validation or by `left_out`.

    Args:
        features: (N, D).
        targets: (N,) or (N, T) finite numbers.
        penalties: values of alpha above 0.
        rows: training rows: None (all), a mask, or weights (N,).

    Raises:
        DataContractError: if features or targets are not finite.
        UsageError: for shapes, or a penalty that is not above 0.
    """
    given = arrays.as_features(features)
    values = torch.as_tensor(targets).double().to(given.device)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != len(given):
        raise UsageError(
            f"There are {len(given)} rows of features; the targets have the shape {tuple(values.shape)}.",
            code="probe-labels-shape",
        )
    weights = arrays.as_row_weights(rows, len(given)).to(given.device)
    used = weights > 0
    given, values, weights = given[used], values[used], weights[used]
    if not bool(torch.isfinite(values).all()):
        raise DataContractError(
            "Targets of a regression must be finite: leave out rows without a target.", code="targets-not-finite"
        )
    for penalty in penalties:
        if not 0 < penalty < float("inf"):
            raise UsageError(f"The penalty is {penalty}; it must be finite and above 0.", code="penalty-not-positive")

    standardise = arrays.standardiser(given, weights)
    mean = (weights / weights.sum()) @ values
    root = weights.sqrt()[:, None]
    design, aims = root * standardise(given), root * (values - mean)
    # design = left * sqrt(squares) * right.T, from the smaller of the two Gram matrices
    if len(design) < design.shape[1]:
        squares, left = torch.linalg.eigh(design @ design.T)
        kept = squares > squares[-1].clamp_min(torch.finfo(squares.dtype).tiny) * len(squares) * 1e-15
        squares, left = squares[kept], left[:, kept]
        right = design.T @ (left / squares.sqrt())
        turned, against = left, left.T @ aims
    else:
        squares, right = torch.linalg.eigh(design.T @ design)
        squares = squares.clamp_min(0)
        turned, against = design @ right, right.T @ (design.T @ aims)
        against = torch.where(squares[:, None] > 0, against / squares.sqrt()[:, None].clamp_min(1e-300), 0)
        turned = torch.where(squares > 0, turned / squares.sqrt().clamp_min(1e-300), 0)
    found = []
    share = weights / weights.sum()
    for penalty in penalties:
        shrunk = squares / (squares + penalty)
        slopes = right @ ((squares.sqrt() / (squares + penalty))[:, None] * against)
        fitted = turned @ (shrunk[:, None] * against) / root + mean
        # influence of a row on its own prediction: that of the weights, and that of the intercept
        own = turned.square() @ shrunk + share
        left_out = values - (values - fitted) / (1 - own).clamp_min(1e-12)[:, None]
        found.append(RidgeModel(float(penalty), slopes.T.contiguous(), mean, standardise, left_out))
    return found


def one_hot(labels: Array, classes: int) -> torch.Tensor:
    """Targets for classification: (N, classes) of -1 and, at the class, +1, as scikit-learn's RidgeClassifier.

    Args:
        labels: (N,) class numbers.
        classes: number of classes.
    """
    numbers = arrays.as_classes(labels, len(labels), classes)
    return 2.0 * torch.nn.functional.one_hot(numbers, classes).double() - 1.0
