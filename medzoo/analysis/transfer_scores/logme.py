"""LogME: the largest evidence of a Bayesian linear regression from features to labels.

Weights have the prior N(0, 1/alpha), labels the noise N(0, 1/beta). The authors iterate to a fixed point; here beta has its closed
form for each alpha/beta, and a search over this one number finds the maximum.

Source: You et al. 2021 (https://arxiv.org/abs/2102.11005).
"""

from __future__ import annotations

import numpy as np

POINTS, ROUNDS = 200, 5  # of the search over log(alpha/beta): each round looks between the neighbours of the best point
EXACT = 1e-12  # share of the labels' square that is rounding


def log_evidence(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The largest log evidence per image of each column of targets.

    Args:
        features: (N, D).
        targets: (N, K).

    Returns:
        (K,); NaN where features give the targets without any error, so that the evidence has no bound.

    >>> features = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> log_evidence(features, np.array([[1.0, 1.0], [2.0, -1.0], [3.0, 1.0], [4.0, -1.0]]) + 0.1).round(3)
    array([ 0.439, -1.424])
    """
    values, aims = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    squares, weights, rest = _rotated(values, aims)
    count, whole = len(values), (aims**2).sum(0)
    exact = (rest <= EXACT * whole) & (len(squares) < count)
    largest = float(squares.max(initial=1.0))
    low = np.full(aims.shape[1], np.log(largest) - 25)
    high = np.full(aims.shape[1], np.log(largest * count) + 25)
    best = np.full(aims.shape[1], -np.inf)
    for _ in range(ROUNDS):
        grid = np.linspace(low, high, POINTS)  # (T, K) of log(alpha/beta)
        found = _evidence(grid, squares, weights, rest, count)
        place = found.argmax(0)
        columns = np.arange(aims.shape[1])
        best = np.maximum(best, found[place, columns])
        low, high = grid[np.maximum(place - 1, 0), columns], grid[np.minimum(place + 1, POINTS - 1), columns]
    return np.where(exact | (whole == 0), np.nan, best)


def _rotated(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The squared singular values (R,), the squared targets along their axes (R, K), and the square of the rest (K,)."""
    if len(features) <= features.shape[1]:
        squares, left = np.linalg.eigh(features @ features.T)
        kept = squares > max(squares[-1], 0) * len(features) * 1e-15
        along = left[:, kept].T @ targets
    else:
        squares, right = np.linalg.eigh(features.T @ features)
        kept = squares > max(squares[-1], 0) * len(features) * 1e-15
        along = (right[:, kept].T @ (features.T @ targets)) / np.sqrt(squares[kept])[:, None]
    rest = np.maximum((targets**2).sum(0) - (along**2).sum(0), 0)
    return squares[kept], along**2, rest


def _evidence(grid: np.ndarray, squares: np.ndarray, weights: np.ndarray, rest: np.ndarray, count: int) -> np.ndarray:
    """(T, K) log evidence per image for alpha/beta = exp(grid), with the best beta for each."""
    found = np.empty_like(grid)
    for column in range(grid.shape[1]):
        ratio = np.exp(grid[:, column])[:, None]
        error = (ratio / (ratio + squares)) @ weights[:, column] + rest[column]
        spread = np.log1p(squares / ratio).sum(1)
        found[:, column] = 0.5 * (np.log(count / np.maximum(error, 1e-300)) - 1 - np.log(2 * np.pi) - spread / count)
    return found
