"""Centred sums of products, on numpy arrays and on tensors of an accelerator: the arithmetic of `moments.py`."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from medzoo.analysis.similarity.inputs import Array, not_finite

Products = Literal["float64", "float32"]


def centred(values: Array, side: str, products: Products) -> tuple[Array, Array]:
    """A batch minus its means in the precision of the products, and the means in float64.

    The mean of a constant unit is its value exactly, so that its variance is exactly 0 and not a rounding error.

    Args:
        values: samples x units, with at least one sample.
        side: "x" or "y", for the message.
        products: the precision of the result.

    Raises:
        UsageError: for NaN or Inf in a numpy array. Tensors are not checked: the answer would have to come from the device.

    >>> centred(np.array([[0.1, 1], [0.1, 2], [0.1, 3]]), "x", "float64")[0].T.tolist()
    [[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]]
    """
    if isinstance(values, torch.Tensor):
        values = values.to(torch.float64)
        mean = torch.where((values == values[0]).all(0), values[0], values.mean(0))
        return (values - mean).to(getattr(torch, products)), mean
    with np.errstate(invalid="ignore", over="ignore"):
        mean = values.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise not_finite(side, int(np.count_nonzero(~np.isfinite(values))), values.size)
    same = np.flatnonzero((values[0] == values[-1]) & (values[0] == values[len(values) // 2]))  # a quick first look
    same = same[(values[:, same] == values[0, same]).all(axis=0)]
    mean[same] = values[0, same]
    return np.subtract(values, mean, dtype=np.float64).astype(products, copy=False), mean


def sum_with(total: Array, product: Array, shift_a: Array, shift_b: Array, before: int, added: int) -> Array:
    """The centred sum of products of all rows: of those so far, those of a batch, and what their different means add.

    Args:
        total: of the rows so far, float64; may be changed in place.
        product: of the batch, centred by its means; kept if it is the first.
        shift_a: means of the batch minus means so far, for the rows of the product.
        shift_b: the same for its columns.
        before: rows so far.
        added: rows of the batch.

    Source: Chan, Golub, LeVeque 1979, equation 2.1.

    >>> sum_with(np.array([[2.0]]), np.array([[8.0]]), np.array([3.0]), np.array([3.0]), 2, 2).tolist()
    [[19.0]]
    """
    product = product.to(torch.float64) if isinstance(product, torch.Tensor) else product.astype(np.float64, copy=False)
    if before == 0:
        return product
    if isinstance(product, torch.Tensor):
        total = torch.as_tensor(total).to(product.device)  # the first batches may have been numpy arrays
    total += product
    total += shift_a[:, None] * (shift_b * (before * added / (before + added)))
    return total


def copied(values: Array, example: Array) -> Array:
    """A copy of sums as a numpy array, or as a tensor on the device of the example.

    Args:
        values: array or tensor.
        example: array or tensor that says which of both, and where.
    """
    if isinstance(example, torch.Tensor):
        return torch.as_tensor(values).to(example.device, copy=True)
    return np.array(to_numpy(values))


def to_numpy(values: Array) -> np.ndarray:
    """Sums as a numpy array, not copied if they are one."""
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


def finite(total: np.ndarray, side: str) -> np.ndarray:
    """The sums themselves.

    Args:
        total: sums of products.
        side: for the message.

    Raises:
        UsageError: if they exceed float64.
    """
    if not np.isfinite(total).all():
        raise not_finite(side, 0, total.size)
    return total
