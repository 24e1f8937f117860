"""Covariances of two layers in one pass: activations are added batch by batch and need not be kept.

Source: Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
"""

from __future__ import annotations

from typing import Self, get_args

import numpy as np
import torch

from medzoo.analysis.similarity.inputs import Array, as_rows, check_count, check_same_rows
from medzoo.analysis.similarity.sums import Products, centred, copied, finite, sum_with, to_numpy
from medzoo.errors import UsageError

CHUNK = 16_384  # rows of a large array that are centred at a time, which bounds the memory for the copy


class CrossMoments:
    """The cross covariance of pairs of rows, summed batch by batch.

    `Moments` holds one of it. For a permutation null, fill another one with the same rows in other pairings: its covariance
    takes the place of Cxy, while Cxx and Cyy stay as they are.

    Args:
        d1: units of x.
        d2: units of y.
        products: precision of the products of centred values; sums are float64.

    >>> x, y = np.eye(4), np.arange(8.0).reshape(4, 2)
    >>> null = CrossMoments(4, 2)
    >>> null.update(x, np.roll(y, 1, axis=0))
    >>> null.n, null.covariance().shape
    (4, (4, 2))
    """

    def __init__(self, d1: int, d2: int, *, products: Products = "float64") -> None:
        if products not in get_args(Products):
            raise UsageError(f"products is {products!r}. Give float64 or float32.", code="products-unknown")
        self.d1, self.d2, self.products = d1, d2, products
        self.n = 0
        self._mean_x: Array = np.zeros(d1)
        self._mean_y: Array = np.zeros(d2)
        self._sum: Array = np.zeros((d1, d2))

    def update(self, x: Array, y: Array) -> None:
        """Add a batch of pairs.

        Args:
            x: (n, d1), numpy or torch. Tensors on an accelerator are multiplied and summed there.
            y: (n, d2).

        Raises:
            UsageError: for a wrong shape, other rows, NaN or Inf. On an accelerator `covariance` raises the last, so that no
                update waits for the device.
        """
        x, y = self.open_batch(x, y)
        if x.shape[0]:
            self.addcentred(*centred(x, "x", self.products), *centred(y, "y", self.products))

    def open_batch(self, x: Array, y: Array) -> tuple[Array, Array]:
        """A batch, checked, on the device of the sums so far.

        Args:
            x: (n, d1).
            y: (n, d2).

        Raises:
            UsageError: for a wrong shape or other rows.
        """
        x, y = as_rows(x, "x"), as_rows(y, "y")
        check_same_rows(x, y)
        for side, values, units in (("x", x, self.d1), ("y", y, self.d2)):
            if values.shape[1] != units:
                raise UsageError(
                    f"{side} has {values.shape[1]:,} units; these moments were made for {units:,}. Give the activations of "
                    "the same layer in every batch.",
                    code="activations-shape",
                )
        device = next((part.device for part in (self._sum, x, y) if isinstance(part, torch.Tensor)), None)
        if device is None:
            return x, y
        if not isinstance(self._sum, torch.Tensor):
            self._mean_x, self._mean_y, self._sum = (
                torch.from_numpy(part).to(device) for part in (self._mean_x, self._mean_y, self._sum)
            )
        return torch.as_tensor(x).to(device), torch.as_tensor(y).to(device)

    def addcentred(self, x: Array, mean_x: Array, y: Array, mean_y: Array) -> tuple[Array, Array]:
        """Add a batch whose means were subtracted.

        Args:
            x: (n, d1), centred.
            mean_x: (d1,), float64.
            y: (n, d2), centred.
            mean_y: (d2,), float64.

        Returns:
            how far the batch's means were from the means so far, for x and y.
        """
        return self._add(x.T @ y, mean_x, mean_y, x.shape[0])

    def _add(self, product: Array, mean_x: Array, mean_y: Array, rows: int) -> tuple[Array, Array]:
        shift_x, shift_y = mean_x - self._mean_x, mean_y - self._mean_y
        if rows:
            self._sum = sum_with(self._sum, product, shift_x, shift_y, self.n, rows)
            self.n += rows
            self._mean_x = self._mean_x + shift_x * (rows / self.n)
            self._mean_y = self._mean_y + shift_y * (rows / self.n)
        return shift_x, shift_y

    def merge(self, other: CrossMoments) -> tuple[Array, Array]:
        """Add the sums of other rows, for example those of another process.

        Args:
            other: moments of the same layers.

        Returns:
            how far the other means were from these, for x and y.

        Raises:
            UsageError: if the numbers of units differ.
        """
        if (self.d1, self.d2) != (other.d1, other.d2):
            raise UsageError(
                f"These moments have {self.d1:,} and {self.d2:,} units, the others {other.d1:,} and {other.d2:,}. Merge "
                "moments of the same layers only.",
                code="activations-shape",
            )
        mean_x, mean_y, total = (copied(part, self._sum) for part in (other._mean_x, other._mean_y, other._sum))
        return self._add(total, mean_x, mean_y, other.n)

    def covariance(self) -> np.ndarray:
        """The (d1, d2) cross covariance, centred, divided by n - 1, float64.

        Raises:
            UsageError: with fewer than two rows, or after NaN, Inf or overflow.
        """
        check_count(self.n, 2)
        for side, mean in (("x", self._mean_x), ("y", self._mean_y)):
            bad = int(np.count_nonzero(~np.isfinite(to_numpy(mean))))
            if bad:
                raise UsageError(
                    f"{bad:,} of {len(mean):,} units of {side} have NaN or infinite values. Check the network's weights and "
                    "its input.",
                    code="activations-not-finite",
                )
        return finite(to_numpy(self._sum), "x and y") / (self.n - 1)


class Moments:
    """The covariances of two layers, summed batch by batch; accurate also for means that are large next to deviations.

    Args:
        d1: units of x.
        d2: units of y.
        products: "float32" multiplies centred values in float32, which is fast on most accelerators and accurate to about
            1e-6; sums are float64 in any case.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(100, 3)) + 1e6, rng.normal(size=(100, 2))
    >>> moments = Moments(3, 2)
    >>> for first in range(0, 100, 32):
    ...     moments.update(x[first : first + 32], y[first : first + 32])
    >>> cxx, cyy, cxy = moments.covariances()
    >>> moments.n, bool(np.allclose(cxx, np.cov(x.T)))
    (100, True)
    """

    def __init__(self, d1: int, d2: int, *, products: Products = "float64") -> None:
        self.cross = CrossMoments(d1, d2, products=products)
        self._xx: Array = np.zeros((d1, d1))
        self._yy: Array = np.zeros((d2, d2))

    @property
    def n(self) -> int:
        """Rows so far."""
        return self.cross.n

    @property
    def tolerance(self) -> float:
        """Principal variances below this share of the largest one are rounding; `whitening.whitening` leaves them out."""
        return 1e-12 if self.cross.products == "float64" else 1e-6

    def update(self, x: Array, y: Array) -> None:
        """Add a batch.

        Args:
            x: (n, d1), numpy or torch; tensors on an accelerator are multiplied and summed there.
            y: (n, d2), the same samples in the same order.

        Raises:
            UsageError: for a wrong shape, other rows, NaN or Inf (on an accelerator, `covariances` raises the last).
        """
        cross = self.cross
        x, y = cross.open_batch(x, y)
        if x.shape[0] == 0:
            return
        x, mean_x = centred(x, "x", cross.products)
        y, mean_y = centred(y, "y", cross.products)
        before = cross.n
        shift_x, shift_y = cross.addcentred(x, mean_x, y, mean_y)
        # numpy sends a product of an array with its transpose to BLAS syrk: half of the work
        self._xx = sum_with(self._xx, x.T @ x, shift_x, shift_x, before, x.shape[0])
        self._yy = sum_with(self._yy, y.T @ y, shift_y, shift_y, before, y.shape[0])

    def merge(self, other: Moments) -> Self:
        """Add the sums of other rows, for example those of another process.

        Args:
            other: moments of the same layers.

        Returns:
            these moments.

        Raises:
            UsageError: if the numbers of units differ.
        """
        mine, theirs = self.cross, other.cross
        before = mine.n
        shift_x, shift_y = mine.merge(theirs)
        if theirs.n:
            self._xx = sum_with(self._xx, copied(other._xx, shift_x), shift_x, shift_x, before, theirs.n)
            self._yy = sum_with(self._yy, copied(other._yy, shift_y), shift_y, shift_y, before, theirs.n)
        return self

    def covariances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cxx (d1, d1), Cyy (d2, d2) and Cxy (d1, d2): centred, divided by n - 1, float64.

        Raises:
            UsageError: with fewer than two rows, or after NaN, Inf or overflow.
        """
        cxy = self.cross.covariance()
        cxx, cyy = finite(to_numpy(self._xx), "x"), finite(to_numpy(self._yy), "y")
        return cxx / (self.n - 1), cyy / (self.n - 1), cxy


def moments_of(x: Array, y: Array, *, products: Products = "float64") -> Moments:
    """The moments of two arrays in memory.

    Args:
        x: (n, d1), numpy or torch.
        y: (n, d2), the same samples in the same order.
        products: as for `Moments`.

    Raises:
        UsageError: for a wrong shape, other rows, NaN or Inf.

    >>> moments_of(np.eye(3), np.eye(3)).n
    3
    """
    x, y = as_rows(x, "x"), as_rows(y, "y")
    check_same_rows(x, y)
    moments = Moments(x.shape[1], y.shape[1], products=products)
    for first in range(0, x.shape[0], CHUNK):
        moments.update(x[first : first + CHUNK], y[first : first + CHUNK])
    return moments
