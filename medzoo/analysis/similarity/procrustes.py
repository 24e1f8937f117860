"""Orthogonal Procrustes similarity: how well a rotation, a reflection and one scale map one layer to another.

Source: Ding, Denain, Steinhardt 2021, https://arxiv.org/abs/2108.01661.
"""

from __future__ import annotations

import numpy as np

from medzoo.analysis.similarity.inputs import Array, constant, numpy_pair


def procrustes(x: Array, y: Array) -> float:
    """The nuclear norm of x'y after both were centred and scaled to a Frobenius norm of 1.

    It is 1 if y is an orthogonal map of x times a scale, plus a shift. Ding et al.'s distance is 2 - 2 times this.

    Args:
        x: samples x units.
        y: the same samples x other units.

    Raises:
        UsageError: for a wrong shape, other rows, fewer than 2 samples, NaN or Inf, or constant activations.

    >>> x = np.random.default_rng(0).normal(size=(20, 2))
    >>> round(procrustes(x, 3 * x[:, ::-1] + 1), 6)
    1.0
    """
    left, right = (_unit(side) for side in numpy_pair(x, y, least=2))
    if len(left) < min(left.shape[1], right.shape[1]):  # fewer samples than units: their triangular factors are smaller
        left, right = (np.asarray(np.linalg.qr(side.T, mode="r")).T for side in (left, right))
    return _nuclear_norm(left.T @ right)


def procrustes_from_covariances(cxx: np.ndarray, cyy: np.ndarray, cxy: np.ndarray) -> float:
    """The same from the covariances of `Moments`.

    Args:
        cxx: units of x x units of x.
        cyy: units of y x units of y.
        cxy: units of x x units of y.

    Raises:
        UsageError: if a side is constant.

    >>> procrustes_from_covariances(np.eye(1), np.eye(1), np.array([[0.5]]))
    0.5
    """
    scale = 1.0
    for side, covariance in (("x", cxx), ("y", cyy)):
        variance = float(np.trace(covariance))
        if variance <= 0:
            raise constant(side)
        scale *= variance**0.5
    return _nuclear_norm(cxy / scale)


def _unit(x: np.ndarray) -> np.ndarray:
    centred: np.ndarray = x - x.mean(axis=0)
    return centred / np.linalg.norm(centred)


def _nuclear_norm(matrix: np.ndarray) -> float:
    return min(float(np.linalg.svd(matrix, compute_uv=False).sum()), 1.0)
