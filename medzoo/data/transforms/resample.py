"""Crops, resizes and blurs as weighted sums of rows and then of columns: the weights (taps), and two ways to apply them.

"taps" sums the few rows with a weight; "matmul" multiplies by matrices that are mostly zero. Both use the same weights, so they
agree up to rounding. One CPU core computes a 224 px view of a 256 px image in 0.2 ms by taps and in 0.7 ms by matmul
(benchmarks/data.py). On an accelerator the products of a whole batch are one fast call, so matmul is faster there.
The results do not depend on the other images of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, reduce
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from medzoo.precision import full_float32

Form = Literal["taps", "matmul"]
_SMALL = 1 << 21  # multiplications: up to this number, products with mostly empty matrices are faster than sums of rows
_ONE_THREAD = 1 << 18  # multiplications: up to this number, OpenBLAS uses one thread for a product
# Bits of the weights, and the bits that each pass drops after its sum. Four extra bits stay between the passes: 8 + 16, and
# 8 + 4 + 12, are the 24 bits that float32 represents exactly.
_FIRST, _SECOND = (16, 12), (12, 16)


class Taps(NamedTuple):
    """Weights of source pixels for each target pixel.

    Args:
        source: (N, target, K) int64, positions of the pixels.
        weight: (N, target, K) float32; they sum to one.
    """

    source: torch.Tensor
    weight: torch.Tensor

    def flipped(self, which: torch.Tensor) -> Taps:
        """The targets in reverse order for the samples where `which` (N,) is true."""
        mask = which[:, None, None]
        return Taps(*(torch.where(mask, value.flip(1), value) for value in self))


def resize_taps(start: torch.Tensor, length: torch.Tensor, source: int, target: int) -> Taps:
    """The weights that resize [start, start + length) to `target` pixels, bilinear and antialiased.

    They are the weights of torchvision's `resized_crop(..., antialias=True)`: a triangle as wide as the larger of a source and
    a target pixel, cut at the borders of the crop.

    Args:
        start: (N,) first pixel of the crop.
        length: (N,) pixels of the crop.
        source: pixels of the whole side.
        target: pixels of the result.

    Source: https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UpSampleKernel.cpp (HelperInterpLinear)

    >>> resize_taps(torch.tensor([2]), torch.tensor([4]), 8, 2).source[0].tolist()
    [[2, 3, 4, 5, 6, 7, 7, 7], [3, 4, 5, 6, 7, 7, 7, 7]]
    """
    exact = exact_type(start.device)
    start, length = start.to(exact)[:, None, None], length.to(exact)[:, None, None]
    step = length / target
    support = step.clamp_min(1.0)
    # enough for any crop, so that the sums of a sample do not depend on the other samples
    count = ceil(2 * max(source / target, 1.0))
    centre = start + (torch.arange(target, device=start.device, dtype=exact)[:, None] + 0.5) * step
    first = (centre - support + 0.5).floor().maximum(start)
    position = first + torch.arange(count, device=start.device, dtype=exact)
    weight = (1.0 - (position + 0.5 - centre).abs() / support).clamp_min(0.0)
    weight = torch.where(position < start + length, weight, 0.0)
    return Taps(position.long().clamp_max(source - 1), _normalised(weight))


def blur_taps(sigma: torch.Tensor, size: int, radius: int) -> Taps:
    """The weights of a Gaussian blur with reflected borders, as in torchvision's `gaussian_blur` with 2 * radius + 1 pixels.

    Args:
        sigma: (N,) pixels, above 0.
        size: pixels of the side, more than `radius`.
        radius: pixels of the kernel on each side.

    >>> blur_taps(torch.tensor([1.0]), 5, 1).source[0, 0].tolist()
    [1, 0, 1]
    """
    exact = exact_type(sigma.device)
    distance = torch.arange(-radius, radius + 1, device=sigma.device)
    kernel = _normalised(torch.exp(-0.5 * (distance.to(exact) / sigma.to(exact)[:, None, None]) ** 2))
    position = (torch.arange(size, device=sigma.device)[:, None] + distance).abs()
    position = torch.minimum(position, 2 * (size - 1) - position)
    shape = (len(sigma), size, 2 * radius + 1)
    return Taps(position.expand(shape), kernel.expand(shape))


def apply_taps(batch: torch.Tensor, rows: Taps, columns: Taps, form: Form) -> torch.Tensor:
    """Weighted sums of rows, then of columns, of every image.

    Args:
        batch: (N, C, H, W) float32.
        rows: over H.
        columns: over W.
        form: "taps" or "matmul".

    Returns:
        (N, C, target rows, target columns) float32.
    """
    with full_precision(batch.device):
        if form == "matmul":
            left = _matrix(rows, batch.shape[-2])
            same = columns is rows and batch.shape[-2] == batch.shape[-1]  # as in a blur
            right = left if same else _matrix(columns, batch.shape[-1])
            return left[:, None] @ batch @ right[:, None].transpose(-1, -2)
        columns_first = _transposed(_sum_rows(batch.permute(0, 2, 3, 1), rows))
        return _sum_rows(columns_first, columns).permute(0, 3, 2, 1)


def nearest(masks: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The values of masks at the given rows and columns, without interpolation.

    Args:
        masks: (N, H, W).
        rows: (N, target rows) int64.
        columns: (N, target columns) int64.

    Returns:
        (N, target rows, target columns), in the type of the masks.
    """
    sample = torch.arange(len(masks), device=masks.device)[:, None, None]
    return masks[sample, rows[:, :, None], columns[:, None, :]]


def nearest_positions(start: torch.Tensor, length: torch.Tensor, target: int) -> torch.Tensor:
    """The (N, target) source pixels at the middle of each target pixel (torchvision's NEAREST_EXACT).

    >>> nearest_positions(torch.tensor([2]), torch.tensor([6]), 3).tolist()
    [[3, 5, 7]]
    """
    exact = exact_type(start.device)
    start, length = start.to(exact)[:, None], length.to(exact)[:, None]
    # a GPU would multiply by the rounded inverse of a Python number, and take another pixel where the middle is a whole number
    step = length / torch.full((), target, device=start.device, dtype=exact)
    middle = (torch.arange(target, device=start.device, dtype=exact) + 0.5) * step
    return (start + middle.floor().minimum(length - 1)).long()


def resize_bytes(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an 8-bit image, bilinear and antialiased, with the same bits on every machine.

    Weights and intermediate values are integers that float32 represents exactly, so the order of a sum and the processor do
    not matter. The result differs from Pillow by at most one level, and from the exact filter by less.

    Args:
        image: (H, W) or (H, W, C) uint8.
        height: rows of the result.
        width: columns of the result.

    >>> resize_bytes(np.array([[0, 100], [200, 255]], np.uint8), 1, 1).tolist()
    [[139]]
    """
    if height * (image.shape[0] + width) * image.size // image.shape[0] <= _SMALL:
        return _resize_small(image, height, width)
    planes = torch.from_numpy(image.astype(np.float32)).view(1, *image.shape[:2], -1)
    rows = _transposed(_sum_rows(planes, _integer_taps(image.shape[0], height, *_FIRST)).round_())
    resized = _transposed(_sum_rows(rows, _integer_taps(image.shape[1], width, *_SECOND)).round_())
    return resized.to(torch.uint8).numpy().reshape(height, width, *image.shape[2:])


def _resize_small(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """`resize_bytes` by two products with mostly empty matrices: faster than torch for small images.

    It uses numpy, because torch can be configured to multiply float32 with fewer bits.
    """
    rows, columns = image.shape[:2]
    planes = image.reshape(rows, columns, -1).transpose(2, 0, 1).astype(np.float32)
    half = np.rint(_product(_integer_matrix(rows, height, *_FIRST), planes))
    resized = np.rint(_product(half, _integer_matrix(columns, width, *_SECOND).T)).astype(np.uint8)
    return np.ascontiguousarray(resized.transpose(1, 2, 0)).reshape(height, width, *image.shape[2:])


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`left @ right` in blocks of rows that run in one thread, because the other cores decode other images."""
    step = max(1, _ONE_THREAD // (left.shape[-1] * right.shape[-1]))
    parts = [left[..., first : first + step, :] @ right for first in range(0, left.shape[-2], step)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Turn off autocast and TF32: both reduce the precision of pixels, and both are often on during an evaluation."""
    with full_float32(device.type), torch.autocast(device.type, enabled=False):
        yield


def to_device(values: np.ndarray, device: torch.device | None) -> torch.Tensor:
    """Copy to a device without waiting for it; None is the CPU."""
    tensor = torch.from_numpy(values)
    if device is None or device.type == "cpu":
        return tensor
    if device.type == "mps" and tensor.dtype == torch.float64:
        tensor = tensor.float()
    return tensor.to(device, non_blocking=True)


def exact_type(device: torch.device) -> torch.dtype:
    """The most precise float type of a device."""
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no float64


def _normalised(weight: torch.Tensor) -> torch.Tensor:
    """The weights divided by their sum; summed one after the other, so that the sum does not depend on the batch."""
    return (weight / reduce(torch.add, weight.unbind(-1))[..., None]).float()


def _matrix(taps: Taps, source: int) -> torch.Tensor:
    """The taps as matrices (N, target, source), mostly zeros."""
    count, target, _ = taps.weight.shape
    return taps.weight.new_zeros(count, target, source).scatter_add_(2, taps.source, taps.weight)


def _sum_rows(images: torch.Tensor, taps: Taps) -> torch.Tensor:
    """(N, H, W, C) → (N, target, W, C): weighted sums of whole rows, which are contiguous in memory."""
    count, height, width, channels = images.shape
    target, terms = taps.weight.shape[1:]
    # contiguous, also for one image: views with other strides are summed in another order
    table = images.contiguous().view(count * height, width * channels)
    index = taps.source
    if count > 1:
        index = index + height * torch.arange(count, device=images.device)[:, None, None]
    summed = functional.embedding_bag(
        index.view(-1, terms), table, per_sample_weights=taps.weight.reshape(-1, terms), mode="sum"
    )
    return summed.view(count, target, width, channels)


def _transposed(images: torch.Tensor) -> torch.Tensor:
    """(N, H, W, C) → (N, W, H, C) in memory."""
    count, height, width, channels = images.shape
    if count == channels == 1:  # torch transposes a matrix in blocks: six times faster for a side of 1,024
        return images.view(height, width).t().contiguous().view(1, width, height, 1)
    return images.transpose(1, 2).contiguous()


@lru_cache(maxsize=256)
def _integer_taps(source: int, target: int, bits: int, dropped: int) -> Taps:
    """The taps of a whole side, rounded to units of 2**-bits, times 2**(bits - dropped); the largest tap gets the remainder."""
    taps = resize_taps(torch.zeros(1), torch.full((1,), source), source, target)
    scaled = torch.round(taps.weight.double() * 2**bits)
    largest = scaled.argmax(-1, keepdim=True)
    scaled.scatter_add_(-1, largest, 2.0**bits - scaled.sum(-1, keepdim=True))
    return Taps(taps.source, (scaled * 2.0**-dropped).float())


@lru_cache(maxsize=64)
def _integer_matrix(source: int, target: int, bits: int, dropped: int) -> np.ndarray:
    """`_integer_taps` as a matrix (target, source)."""
    return _matrix(_integer_taps(source, target, bits, dropped), source)[0].numpy()
