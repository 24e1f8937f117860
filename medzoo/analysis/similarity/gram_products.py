"""Inner products of the kernel matrices of many layers: what HSIC, and so CKA, is computed from.

The kernel matrix of each layer is computed once, in square blocks; the same block of all layers is one matrix, so that the
inner products of all pairs of layers are one matrix product for each block. No n x n matrix is kept; only the bandwidth of an RBF
kernel needs one of them, for one layer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 256  # rows and columns of a block: 16 layers of it take 8 MB, which a cache holds
Kernel = Callable[[slice, slice, np.ndarray], None]  # rows, columns, where to write the block


@dataclass(frozen=True)
class GramProducts:
    """Sums over kernel matrices K of layers x and L of layers y, for n samples.

    Attributes:
        cross: sum of K * L for each pair, layers x x layers y.
        self_x: sum of K * K for each layer x.
        self_y: the same for y.
        rows_x: sums of the rows of K, layers x x n; None if they are 0, for a linear kernel of centred activations.
        rows_y: the same for y.
        diagonal_x: the diagonals of K, layers x x n.
        diagonal_y: the same for y.
    """

    cross: np.ndarray
    self_x: np.ndarray
    self_y: np.ndarray
    rows_x: np.ndarray | None
    rows_y: np.ndarray | None
    diagonal_x: np.ndarray
    diagonal_y: np.ndarray

    def hsic(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The biased HSIC, without a factor of n that CKA does not need: sums of (H K H) * (H L H), H centres.

        Returns:
            of each pair, of each x with itself, of each y with itself.

        Source: Gretton et al. 2005, "Measuring statistical dependence with Hilbert-Schmidt norms".
        """
        if self.rows_x is None or self.rows_y is None:
            return self.cross, self.self_x, self.self_y
        n, x, y = self.rows_x.shape[1], self.rows_x, self.rows_y
        total_x, total_y = x.sum(axis=1), y.sum(axis=1)
        return (
            self.cross - 2 / n * x @ y.T + np.outer(total_x, total_y) / n**2,
            self.self_x - 2 / n * (x * x).sum(axis=1) + total_x**2 / n**2,
            self.self_y - 2 / n * (y * y).sum(axis=1) + total_y**2 / n**2,
        )

    def unbiased_hsic(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The unbiased HSIC (a U-statistic; of a pair it may be negative), which leaves out the diagonals.

        Returns:
            of each pair, of each x with itself, of each y with itself.

        Source: Song et al. 2012, "Feature selection via dependence maximization", equation 4.
        """
        x, y = -self.diagonal_x, -self.diagonal_y  # sums of rows without the diagonal
        if self.rows_x is not None and self.rows_y is not None:
            x, y = x + self.rows_x, y + self.rows_y
        n, total_x, total_y = x.shape[1], x.sum(axis=1), y.sum(axis=1)
        pairs, whole = (n - 1) * (n - 2), n * (n - 3)
        cross = self.cross - self.diagonal_x @ self.diagonal_y.T
        self_x = self.self_x - (self.diagonal_x**2).sum(axis=1)
        self_y = self.self_y - (self.diagonal_y**2).sum(axis=1)
        return (
            (cross + np.outer(total_x, total_y) / pairs - 2 / (n - 2) * x @ y.T) / whole,
            (self_x + total_x**2 / pairs - 2 / (n - 2) * (x * x).sum(axis=1)) / whole,
            (self_y + total_y**2 / pairs - 2 / (n - 2) * (y * y).sum(axis=1)) / whole,
        )


def linear_products(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> GramProducts:
    """Products of linear kernels of centred activations, from features or Gram matrices, whichever needs fewer operations.

    Args:
        xs: layers, each samples x units, float64.
        ys: layers of the other network, for the same samples.

    >>> x = np.array([[1.0], [2.0], [4.0]])
    >>> products = linear_products([x], [10 * x])
    >>> products.cross.round(6).tolist(), (products.self_x * 100).round(6).tolist()
    ([[2177.777778]], [2177.777778])
    """
    xs, ys = [_centred(x) for x in xs], [_centred(y) for y in ys]
    n, widths_x, widths_y = xs[0].shape[0], [x.shape[1] for x in xs], [y.shape[1] for y in ys]
    with_features = n * sum(widths_x) * sum(widths_y) + n * sum(w * w for w in (*widths_x, *widths_y)) / 2
    if with_features < n * n * (sum(widths_x) + sum(widths_y) + len(xs) * len(ys)) / 2:
        cross = np.array([[_squares(x.T @ y) for y in ys] for x in xs])
        self_x, self_y = (np.array([_squares(side.T @ side) for side in sides]) for sides in (xs, ys))
    else:
        cross, self_x, self_y, _, _ = _block_products([_linear(x) for x in xs], [_linear(y) for y in ys], n, rows=False)
    diagonal_x, diagonal_y = (np.array([np.einsum("nd,nd->n", side, side) for side in sides]) for sides in (xs, ys))
    return GramProducts(cross, self_x, self_y, None, None, diagonal_x, diagonal_y)


def rbf_products(
    xs: Sequence[np.ndarray], ys: Sequence[np.ndarray], square_of_bandwidth: Callable[[np.ndarray], float]
) -> GramProducts:
    """Products of kernels exp(-D / (2 b^2)), D the squared Euclidean distances.

    Args:
        xs: layers, each samples x units, float64.
        ys: layers of the other network, for the same samples.
        square_of_bandwidth: gives b^2 from the n x n matrix D of a layer.
    """
    kernels = [[_rbf(_centred(side), square_of_bandwidth) for side in sides] for sides in (xs, ys)]
    n = xs[0].shape[0]
    cross, self_x, self_y, rows_x, rows_y = _block_products(kernels[0], kernels[1], n, rows=True)
    return GramProducts(cross, self_x, self_y, rows_x, rows_y, np.ones((len(xs), n)), np.ones((len(ys), n)))


def squared_distances(x: np.ndarray, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
    """Squared Euclidean distances; of equal rows, and of distances within rounding, exactly 0.

    Args:
        x: samples x units; centred activations lose fewest digits.
        rows: which samples give the rows of the result.
        columns: which samples give its columns.

    >>> squared_distances(np.array([[0.0], [3.0], [3.0]])).tolist()
    [[0.0, 9.0, 9.0], [9.0, 0.0, 0.0], [9.0, 0.0, 0.0]]
    """
    squares = np.einsum("nd,nd->n", x, x)
    sums = squares[rows, None] + squares[columns]
    distances = x[rows] @ x[columns].T
    distances *= -2
    distances += sums
    sums *= 4 * np.finfo(np.float64).eps * max(x.shape[1], 16)  # how far two long sums of the same products may differ
    distances[distances < sums] = 0.0
    return distances


def _block_products(
    kernels_x: Sequence[Kernel], kernels_y: Sequence[Kernel], n: int, *, rows: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums over the blocks on and above the diagonal; a block above it counts twice, because kernels are symmetric."""
    kernels, count = [*kernels_x, *kernels_y], len(kernels_x)
    products, sums = np.zeros((count, len(kernels_y))), np.zeros((len(kernels), n))
    squares = np.zeros(len(kernels))
    space = np.empty((len(kernels), min(BLOCK, n) ** 2))
    for top in range(0, n, BLOCK):
        for left in range(top, n, BLOCK):
            one, other = slice(top, min(top + BLOCK, n)), slice(left, min(left + BLOCK, n))
            shape = one.stop - one.start, other.stop - other.start
            blocks = space[:, : shape[0] * shape[1]]
            for kernel, block in zip(kernels, blocks, strict=True):
                kernel(one, other, block.reshape(shape))
            weight = 1 if top == left else 2
            products += weight * (blocks[:count] @ blocks[count:].T)
            squares += weight * np.einsum("lp,lp->l", blocks, blocks)
            if rows:
                shaped = blocks.reshape(len(kernels), *shape)
                sums[:, one] += shaped.sum(axis=2)
                if top != left:
                    sums[:, other] += shaped.sum(axis=1)
    return products, squares[:count], squares[count:], sums[:count], sums[count:]


def _linear(x: np.ndarray) -> Kernel:
    def write(rows: slice, columns: slice, block: np.ndarray) -> None:
        np.matmul(x[rows], x[columns].T, out=block)

    return write


def _rbf(x: np.ndarray, square_of_bandwidth: Callable[[np.ndarray], float]) -> Kernel:
    scale = -0.5 / square_of_bandwidth(squared_distances(x))

    def write(rows: slice, columns: slice, block: np.ndarray) -> None:
        distances = squared_distances(x, rows, columns)
        distances *= scale
        np.exp(distances, out=block)

    return write


def _centred(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x - x.mean(axis=0)
    return found


def _squares(matrix: np.ndarray) -> float:
    return float(np.vdot(matrix, matrix))
