"""Standardised features in the basis of their principal axes, where the solver's preconditioner is diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rotated:
    """Features in another basis.

    Args:
        rows: (n, r + 1); the last column is 1.
        squares: (r + 1,) weighted mean square of every column.
        basis: (D, r) orthonormal columns, or None where the basis is the given one.
    """

    rows: torch.Tensor
    squares: torch.Tensor
    basis: torch.Tensor | None

    def inside(self, weights: torch.Tensor) -> torch.Tensor:
        """Weights (..., D + 1) in this basis, (..., r + 1)."""
        if self.basis is None:
            return weights
        return torch.cat([weights[..., :-1] @ self.basis, weights[..., -1:]], -1)

    def outside(self, weights: torch.Tensor) -> torch.Tensor:
        """The reverse of `inside`."""
        if self.basis is None:
            return weights
        return torch.cat([weights[..., :-1] @ self.basis.T, weights[..., -1:]], -1)


def principal_axes(rows: torch.Tensor, share: torch.Tensor) -> Rotated:
    """Rotate standardised rows, if that helps.

    With fewer rows than features the optimum is in the span of the rows: the other directions are dropped. Features of nearly
    equal principal variances (such as independent noise) are not rotated further: the decomposition would cost more than it saves.

    Args:
        rows: (n, D) standardised.
        share: (n,) weights of sum 1.
    """
    count, width = rows.shape
    basis = None
    if count < width:
        basis, triangle = torch.linalg.qr(rows.T)
        rows = triangle.T
    covariance = rows.T @ (share[:, None] * rows)
    if _largest(covariance) > 5 * (1 + (width / count) ** 0.5) ** 2:
        axes = _leading_axes(covariance, max(1, len(covariance) // 2))
        rows, basis = rows @ axes, axes if basis is None else basis @ axes
    squares = share @ rows.square()
    one = torch.ones_like(rows[:, :1])
    return Rotated(torch.cat([rows, one], 1).contiguous(), torch.cat([squares, one[:1, 0]]), basis)


def _largest(matrix: torch.Tensor) -> torch.Tensor:
    """About the largest eigenvalue, by the power method from a fixed start."""
    vector = torch.linspace(0.5, 1.5, len(matrix), dtype=matrix.dtype, device=matrix.device)
    vector[1::2] *= -1
    for _ in range(10):
        vector = matrix @ (vector / vector.norm().clamp_min(torch.finfo(matrix.dtype).tiny))
    return vector.norm()


def _leading_axes(covariance: torch.Tensor, count: int) -> torch.Tensor:
    """An orthonormal basis that begins with approximate leading eigenvectors: subspace iteration from a fixed start.

    The solver only needs a basis in which the covariance is nearly diagonal; a full decomposition costs several times more.
    """
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(covariance), count, generator=generator, dtype=torch.float64).to(covariance)
    for _ in range(2):
        start = torch.linalg.qr(covariance @ start)[0]
    moved = covariance @ start
    rotation = torch.linalg.eigh(start.T @ moved)[1]
    return torch.linalg.qr(moved @ rotation.flip(1), mode="complete")[0]
