"""Activations as the measures need them: two-dimensional, of numbers, with the same rows; errors say which side is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from medzoo.errors import UsageError

Array = Any  # a numpy array, or a torch tensor on an accelerator: both have .T, @, .mean, .sum and .shape


def as_rows(values: Array, side: str) -> Array:
    """Activations with one row for each sample, not copied where this is possible.

    Args:
        values: samples x units; a numpy array, a torch tensor, or nested lists.
        side: "x" or "y", for the message.

    Returns:
        a numpy array, or the tensor itself if it is on an accelerator.

    Raises:
        UsageError: for another number of dimensions, no units, or values that are not real numbers.

    >>> as_rows([[1, 2], [3, 4], [5, 6]], "x").shape
    (3, 2)
    """
    if isinstance(values, torch.Tensor):
        values = values.detach()
        if is_on_cpu(values):
            values = values.cpu()
            values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    else:
        values = np.asarray(values)
    real = values.dtype.kind in "biuf" if isinstance(values, np.ndarray) else not values.is_complex()
    if not real:
        raise UsageError(
            f"{side} has values of type {values.dtype}. Activations are real numbers; give an array of floats.",
            code="activations-not-real",
        )
    if values.ndim != 2 or values.shape[1] == 0:
        hint = (
            " Flatten N x H x W x C with x.reshape(-1, x.shape[-1]), so that each position is a sample, or average positions."
            if values.ndim > 2
            else ""
        )
        raise UsageError(
            f"{side} has the shape {tuple(values.shape)}. Give samples x units, with at least one unit.{hint}",
            code="activations-shape",
        )
    return values


def check_same_rows(x: Array, y: Array) -> None:
    """Refuse two sets of different samples.

    Args:
        x: samples x units.
        y: samples x units.

    Raises:
        UsageError: if the numbers of rows differ.
    """
    if x.shape[0] != y.shape[0]:
        raise UsageError(
            f"x has {x.shape[0]:,} rows and y has {y.shape[0]:,}. Row i of both must come from the same sample; give the "
            "activations of the same images in the same order.",
            code="activation-rows-differ",
        )


def is_on_cpu(values: torch.Tensor) -> bool:
    """Whether numpy computes with this tensor: one on the CPU, or on Apple's MPS, which has no float64."""
    return values.device.type in ("cpu", "mps")


def not_finite(side: str, count: int, total: int) -> UsageError:
    """The error for NaN, infinite or too large values.

    Args:
        side: "x" or "y".
        count: of values that are NaN or infinite; 0 if finite values overflow when they are multiplied.
        total: of all values that were looked at.
    """
    what = (
        f"{count:,} of {total:,} values of {side} are NaN or infinite. Check the network's weights and its input"
        if count
        else f"The values of {side} are too large: their products exceed float64. Scale them"
    )
    return UsageError(f"{what}, then compute the activations again.", code="activations-not-finite")


def numpy_pair(x: Array, y: Array, *, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as finite float64 arrays of the same samples, each scaled by a power of 2 so that its largest value is about 1.

    For measures that a scale does not change: products of very large or very small values would leave the range of float64.

    Args:
        x: samples x units.
        y: samples x units; the units may differ in number.
        least: how many samples the measure needs.

    Raises:
        UsageError: for a wrong shape, other rows, too few rows, NaN or Inf, or a side whose rows are all the same.

    >>> import torch
    >>> [side.dtype.name for side in numpy_pair(torch.eye(3), [[1], [2], [4]], least=3)]
    ['float64', 'float64']
    """
    sides = [as_rows(x, "x"), as_rows(y, "y")]
    check_same_rows(*sides)
    check_count(sides[0].shape[0], least)
    found = []
    for side, values in zip("xy", sides, strict=True):
        array = np.asarray(values.double().cpu() if isinstance(values, torch.Tensor) else values, dtype=np.float64)
        check_finite(array, side)
        check_varies(array, side)
        found.append(np.ldexp(array, -int(np.frexp(np.abs(array).max())[1])))  # exact
    return found[0], found[1]


def check_count(samples: int, least: int) -> None:
    """Refuse fewer samples than a measure needs.

    Args:
        samples: rows of both sides.
        least: the smallest number for which the measure is defined.

    Raises:
        UsageError: if there are fewer.
    """
    if samples < least:
        raise UsageError(
            f"The activations have {samples:,} samples; this measure needs at least {least:,}. Use more images or positions.",
            code="samples-too-few",
        )


def check_finite(values: np.ndarray, side: str) -> None:
    """Refuse NaN and Inf.

    Args:
        values: samples x units, float64.
        side: "x" or "y".

    Raises:
        UsageError: with their number.
    """
    if not np.isfinite(values).all():
        raise not_finite(side, int(np.count_nonzero(~np.isfinite(values))), values.size)


def check_varies(values: np.ndarray, side: str) -> None:
    """Refuse activations that are the same for all samples.

    Args:
        values: samples x units.
        side: "x" or "y".

    Raises:
        UsageError: if no unit varies.
    """
    if (values == values[:1]).all():
        raise constant(side)


def constant(side: str) -> UsageError:
    """The error for activations without variance; `side` is "x" or "y"."""
    return UsageError(
        f"All units of {side} are constant over the samples, so that no similarity is defined. Check that the layer is "
        "not dead and that the images differ.",
        code="activations-constant",
    )
