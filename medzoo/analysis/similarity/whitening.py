"""Coordinates in which a covariance is the identity: of all units that vary, or of the first principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medzoo.analysis.similarity.inputs import constant
from medzoo.errors import MissingExtraError, UsageError

TOLERANCE = 1e-12  # principal variances below this share of the largest one are rounding


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
    kept = np.flatnonzero(variances > 1e-28 * max(variances.max(), 0.0))
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
