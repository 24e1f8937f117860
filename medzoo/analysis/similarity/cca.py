"""Canonical correlation analysis (CCA) of two layers, from their covariances: all coefficients, SVCCA and PWCCA.

Each side is whitened; the singular values of the whitened cross covariance are the canonical correlations. Constant units do
not count, and duplicate units count once.

Sources: Raghu et al. 2017, https://arxiv.org/abs/1706.05806 (SVCCA); Morcos, Raghu, Bengio 2018,
https://arxiv.org/abs/1806.05759 (PWCCA).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medzoo.analysis.similarity.inputs import constant
from medzoo.errors import MissingExtraError, UsageError

TOLERANCE = 1e-12  # principal variances below this share of the largest one are rounding
SMALL = 1e-5  # coefficients below this are computed by a full singular value decomposition


@dataclass(frozen=True)
class Whitening:
    """A linear map to coordinates with the identity as covariance: W, with W' C W = I.

    Attributes:
        kept: indices of the units that vary.
        scale: their standard deviations, which are divided out first; 1 for principal components.
        factor: lower Cholesky factor of their correlations, or None.
        basis: units x directions, if there is no Cholesky factor.
        rank: number of directions.
    """

    kept: np.ndarray
    scale: np.ndarray
    factor: np.ndarray | None
    basis: np.ndarray | None
    rank: int

    def apply(self, matrix: np.ndarray) -> np.ndarray:
        """W' times a matrix.

        Args:
            matrix: units x columns.

        Returns:
            directions x columns.
        """
        rows = matrix if len(self.kept) == len(matrix) else matrix[self.kept]
        rows = rows / self.scale[:, None]
        if self.basis is not None:
            return self.basis.T @ rows
        found: np.ndarray = _scipy_linalg().solve_triangular(
            self.factor, rows, lower=True, check_finite=False, overwrite_b=True
        )
        return found


def whitening(covariance: np.ndarray, n: int, *, side: str = "x", tolerance: float = TOLERANCE) -> Whitening:
    """The whitening of one side: by Cholesky if the correlations are well conditioned, else by eigenvectors with a rank cut.

    Args:
        covariance: units x units, of n samples.
        n: number of samples.
        side: "x" or "y", for the message.
        tolerance: directions with less than this share of the largest variance (of units scaled to variance 1) are left out.

    Raises:
        UsageError: if no unit varies, or if the units span all that n samples can span: each coefficient would be 1.
        MissingExtraError: without scipy.

    >>> whitening(np.array([[4.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), 100).rank
    1
    """
    variances = np.diag(covariance)
    kept = np.flatnonzero(variances > 1e-24 * max(variances.max(), 0.0))
    if not len(kept):
        raise constant(side)
    scale = np.sqrt(variances[kept])
    part = covariance if len(kept) == len(covariance) else covariance[np.ix_(kept, kept)]
    correlations = part / scale / scale[:, None]
    factor = _cholesky(correlations, tolerance)
    if factor is not None:
        _check_samples(n, len(kept), len(kept), side)
        return Whitening(kept, scale, factor, None, len(kept))
    values, vectors = np.linalg.eigh(correlations)
    large = values > tolerance * values[-1]
    _check_samples(n, int(large.sum()), len(kept), side)
    return Whitening(kept, scale, None, vectors[:, large] / np.sqrt(values[large]), int(large.sum()))


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
    whitened = _whitened(x, y, cxy)
    if len(y.kept) < len(x.kept):
        x, cxx, whitened = y, cyy, whitened.T
    left, rho, _ = np.linalg.svd(whitened, full_matrices=False)
    weights = np.abs(left.T @ x.apply(cxx)).sum(axis=1)
    return float(np.clip(rho, 0.0, 1.0) @ weights / weights.sum())


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


def principal_components(
    covariance: np.ndarray,
    n: int,
    *,
    variance: float = 0.99,
    components: int | None = None,
    side: str = "x",
    tolerance: float = TOLERANCE,
) -> Whitening:
    """The first principal components of one side, whitened.

    Args:
        covariance: units x units, of n samples.
        n: number of samples.
        variance: keep the fewest components with at least this share of the variance.
        components: keep this many instead.
        side: "x" or "y", for the message.
        tolerance: components below this share of the largest variance are never kept.

    Raises:
        UsageError: for an option outside its limits, a constant side, or too few samples.

    >>> principal_components(np.diag([90.0, 9.0, 1.0]), 100, variance=0.99).rank
    2
    """
    if not 0 < variance <= 1:
        raise UsageError(f"variance is {variance}. Give a share above 0, at most 1.", code="variance-outside-range")
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    if values[0] <= 0:
        raise constant(side)
    rank = int((values > tolerance * values[0]).sum())
    if components is None:
        _check_samples(n, rank, len(values), side, "or give components=k, with few components of each side")
        shares = np.cumsum(values[:rank]) / values[:rank].sum()
        kept = min(int(np.searchsorted(shares, variance)) + 1, rank)
    elif 1 <= components <= rank:
        _check_samples(n, components, components, side, "or fewer components")
        kept = components
    else:
        raise UsageError(
            f"components is {components}; {side} has {rank:,} principal components. Give a number from 1 to {rank:,}.",
            code="components-outside-range",
        )
    ones = np.ones(len(values))
    return Whitening(np.arange(len(values)), ones, None, vectors[:, :kept] / np.sqrt(values[:kept]), kept)


def _whitened(x: Whitening, y: Whitening, cxy: np.ndarray) -> np.ndarray:
    return y.apply(x.apply(cxy).T).T


def _singular_values(matrix: np.ndarray) -> np.ndarray:
    """Singular values of a whitened cross covariance, as numbers between 0 and 1."""
    small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    # the eigenvalues of A A' cost half of the singular values of A; their error of 1e-16 is at most 1e-11 of a root above 1e-5
    squares = np.linalg.eigvalsh(small @ small.T)[::-1]
    found = np.sqrt(squares) if squares[-1] > SMALL**2 else np.linalg.svd(matrix, compute_uv=False)
    return np.clip(found, 0.0, 1.0)


def _cholesky(correlations: np.ndarray, tolerance: float) -> np.ndarray | None:
    """The lower factor, or None if an eigenvalue could be below the tolerance."""
    linalg = _scipy_linalg()
    factor, failed = linalg.lapack.dpotrf(correlations, lower=1, clean=1)
    if failed:
        return None
    norm = np.abs(correlations).sum(axis=0).max()
    reciprocal_condition, _ = linalg.lapack.dpocon(factor, norm, uplo="L")
    # in the 1-norm, which bounds the ratio of eigenvalues from below; LAPACK's estimate may be a few times too large
    return factor if reciprocal_condition > 10 * tolerance else None


def _check_samples(n: int, rank: int, units: int, side: str, other: str = "or fewer units") -> None:
    """Refuse a side that spans all that n centred samples can span: then every coefficient is 1, whatever the other side is."""
    if rank >= n - 1:
        raise UsageError(
            f"{side} has {units:,} units that vary, and there are {n:,} samples: each coefficient would be 1, whatever the "
            f"activations are. Use at least {units + 2:,} samples (better ten times the units), {other}.",
            code="samples-too-few",
        )


def _scipy_linalg() -> Any:  # noqa: ANN401 - a module without types
    try:
        from scipy import linalg
    except ImportError:
        raise MissingExtraError("scipy", "recipes", "CCA") from None
    return linalg
