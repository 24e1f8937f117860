"""Canonical correlation analysis (CCA) of two layers, from their covariances: all coefficients, SVCCA and PWCCA.

Each side is whitened; the singular values of the whitened cross covariance are the canonical correlations. Constant units do
not count, and duplicate units count once. Covariances hold half of the digits of the activations: along a direction whose variance
is a share v of the largest one, coefficients have an error of about 1e-16 / v.

Sources: Raghu et al. 2017, https://arxiv.org/abs/1706.05806 (SVCCA); Morcos, Raghu, Bengio 2018,
https://arxiv.org/abs/1806.05759 (PWCCA).
"""

from __future__ import annotations

import numpy as np

from medzoo.analysis.similarity.whitening import TOLERANCE, Whitening, principal_components, whitening

SMALL = 1e-5  # coefficients below this are computed by a full singular value decomposition


def coefficients(x: Whitening, y: Whitening, cxy: np.ndarray) -> np.ndarray:
    """The canonical correlations of two whitened sides, falling.

    A permutation null needs a new `cxy` only (`moments.CrossMoments`); the whitenings stay.

    Args:
        x: of Cxx.
        y: of Cyy.
        cxy: cross covariance, units of x x units of y.

    Returns:
        min(rank of x, rank of y) numbers between 0 and 1.

    >>> identity = whitening(np.eye(2), 100)
    >>> coefficients(identity, identity, np.diag([0.25, 0.5])).round(6).tolist()
    [0.5, 0.25]
    """
    return _singular_values(_whitened(x, y, cxy))


def cca_coefficients(
    cxx: np.ndarray, cyy: np.ndarray, cxy: np.ndarray, n: int, *, tolerance: float = TOLERANCE
) -> np.ndarray:
    """All canonical correlations, from covariances. Their mean is mean CCA.

    Args:
        cxx: units of x x units of x.
        cyy: units of y x units of y.
        cxy: units of x x units of y.
        n: number of samples.
        tolerance: as for `whitening`; `Moments.tolerance` gives it.

    Returns:
        the coefficients, falling; as many as the smaller rank.

    Raises:
        UsageError: for a constant side, or too few samples.
        MissingExtraError: without scipy.

    >>> from medzoo.analysis.similarity.moments import moments_of
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> moments = moments_of(x, x @ np.array([[1.0, 2.0], [0.0, 3.0]]))
    >>> cca_coefficients(*moments.covariances(), moments.n).round(6).tolist()
    [1.0, 1.0]
    """
    sides = whitening(cxx, n, side="x", tolerance=tolerance), whitening(cyy, n, side="y", tolerance=tolerance)
    return coefficients(*sides, cxy)


def pwcca_from_covariances(
    cxx: np.ndarray, cyy: np.ndarray, cxy: np.ndarray, n: int, *, tolerance: float = TOLERANCE
) -> float:
    """Projection weighted CCA as its paper defines it, from covariances.

    The coefficients rho_i are averaged with the weights alpha_i = sum over units j of abs(<h_i, x_j>): h_i are the orthonormal
    canonical variates of the side with fewer units (constant units do not count), x_j its centred units. With equally many
    units on both sides, x gives the weights; the measure is not symmetric.

    Args:
        cxx: units of x x units of x.
        cyy: units of y x units of y.
        cxy: units of x x units of y.
        n: number of samples.
        tolerance: as for `whitening`.

    Raises:
        UsageError: for a constant side, or too few samples.
        MissingExtraError: without scipy.

    Source: Morcos, Raghu, Bengio 2018, https://arxiv.org/abs/1806.05759, section 3.
    """
    x, y = whitening(cxx, n, side="x", tolerance=tolerance), whitening(cyy, n, side="y", tolerance=tolerance)
    return mean_and_pwcca(x, y, cxx, cyy, cxy)[1]


def mean_and_pwcca(
    x: Whitening, y: Whitening, cxx: np.ndarray, cyy: np.ndarray, cxy: np.ndarray
) -> tuple[float, float]:
    """Mean CCA and PWCCA of two whitened sides, from one decomposition; a permutation null needs a new `cxy` only.

    Args:
        x: of Cxx.
        y: of Cyy.
        cxx: units of x x units of x.
        cyy: units of y x units of y.
        cxy: units of x x units of y.
    """
    whitened = _whitened(x, y, cxy)
    if len(y.kept) < len(x.kept):
        x, cxx, whitened = y, cyy, whitened.T
    left, rho = _left_vectors(whitened)
    rho = np.clip(rho, 0.0, 1.0)
    weights = np.abs(left.T @ x.apply(cxx)).sum(axis=1)
    return float(rho.mean()), float(rho @ weights / weights.sum())


def svcca_coefficients(
    cxx: np.ndarray,
    cyy: np.ndarray,
    cxy: np.ndarray,
    n: int,
    *,
    variance: float = 0.99,
    components: int | None = None,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """The canonical correlations of the first principal components of each side, from covariances. Their mean is SVCCA.

    Args:
        cxx: units of x x units of x.
        cyy: units of y x units of y.
        cxy: units of x x units of y.
        n: number of samples.
        variance: keep the fewest components with at least this share of the variance of their side.
        components: keep this many components of each side instead.
        tolerance: components below this share of the largest variance are never kept.

    Raises:
        UsageError: for an option outside its limits, a constant side, or too few samples.

    Source: Raghu et al. 2017, https://arxiv.org/abs/1706.05806.

    >>> svcca_coefficients(np.diag([9.0, 1.0]), np.eye(2), np.diag([1.5, 0.2]), 100, variance=0.8).round(6).tolist()
    [0.5]
    """
    sides = [
        principal_components(part, n, variance=variance, components=components, side=side, tolerance=tolerance)
        for part, side in ((cxx, "x"), (cyy, "y"))
    ]
    return coefficients(sides[0], sides[1], cxy)


def _whitened(x: Whitening, y: Whitening, cxy: np.ndarray) -> np.ndarray:
    return y.apply(x.apply(cxy).T).T


def _singular_values(matrix: np.ndarray) -> np.ndarray:
    """Singular values of a whitened cross covariance, as numbers between 0 and 1."""
    small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    # the eigenvalues of A A' cost half of the singular values of A; their error of 1e-16 is at most 1e-11 of a root above 1e-5
    squares = np.linalg.eigvalsh(small @ small.T)[::-1]
    found = np.sqrt(squares) if squares[-1] > SMALL**2 else np.linalg.svd(matrix, compute_uv=False)
    return np.clip(found, 0.0, 1.0)


def _left_vectors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors and singular values, for as many as the shorter side has."""
    if matrix.shape[0] <= matrix.shape[1]:
        # the eigenvectors of A A' cost a third; see _singular_values for their error
        squares, vectors = np.linalg.eigh(matrix @ matrix.T)
        if squares[0] > SMALL**2:
            return vectors[:, ::-1], np.sqrt(squares[::-1])
    left, rho, _ = np.linalg.svd(matrix, full_matrices=False)
    return left, rho
