"""Crops, resizes and blurs as weighted sums of rows and then of columns: the weights (taps), and two ways to apply them.

"taps" sums the few rows that have a weight; "matmul" multiplies by matrices that are mostly zero. Both read the same weights, so
they agree to rounding. One CPU core makes a 224 px view of a 256 px image in 0.2 ms by taps and in 0.7 ms by matmul
(benchmarks/data.py); on a device the products of a whole batch are one fast call, so there it is the other way round.
Neither depends on which images share a batch.
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

Form = Literal["taps", "matmul"]
_SMALL = 1 << 21  # multiplications: up to here products with mostly empty matrices take less time than sums of rows
_ONE_THREAD = 1 << 18  # multiplications: up to here OpenBLAS keeps a product in one thread
# Bits of the weights, and how many the sum of each pass loses. Four bits are kept between the passes: 8 + 16, and 8 + 4 + 12, are
# the 24 bits that float32 holds exactly.
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
        """The targets in reverse order for the samples where `which` (N,) holds."""
        chosen = which[:, None, None]
        return Taps(*(torch.where(chosen, value.flip(1), value) for value in self))


def resize_taps(start: torch.Tensor, length: torch.Tensor, source: int, target: int) -> Taps:
    """The weights that resize [start, start + length) to `target` pixels, bilinear and antialiased.

    They are those of torchvision's `resized_crop(..., antialias=True)`: a triangle as wide as the larger of a source and a
    target pixel, cut at the borders of the crop.

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
    # as many as any crop needs, so that a sample's sums do not depend on its companions
    count = ceil(2 * max(source / target, 1.0))
    centre = start + (torch.arange(target, device=start.device, dtype=exact)[:, None] + 0.5) * step
    first = (centre - support + 0.5).floor().maximum(start)
    position = first + torch.arange(count, device=start.device, dtype=exact)
    weight = (1.0 - (position + 0.5 - centre).abs() / support).clamp_min(0.0)
    weight = torch.where(position < start + length, weight, 0.0)
    return Taps(position.long().clamp_max(source - 1), _to_one(weight))


def blur_taps(sigma: torch.Tensor, size: int, radius: int) -> Taps:
    """The weights of a Gaussian blur whose borders reflect, as torchvision's `gaussian_blur` with 2 * radius + 1 pixels.

    Args:
        sigma: (N,) pixels, above 0.
        size: pixels of the side, more than `radius`.
        radius: pixels that the kernel reaches on each side.

    >>> blur_taps(torch.tensor([1.0]), 5, 1).source[0, 0].tolist()
    [1, 0, 1]
    """
    exact = exact_type(sigma.device)
    distance = torch.arange(-radius, radius + 1, device=sigma.device)
    kernel = _to_one(torch.exp(-0.5 * (distance.to(exact) / sigma.to(exact)[:, None, None]) ** 2))
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
            left, right = _matrix(rows, batch.shape[-2]), _matrix(columns, batch.shape[-1])
            return left[:, None] @ batch @ right[:, None].transpose(-1, -2)
        across = _turned(_sum_rows(batch.permute(0, 2, 3, 1), rows))
        return _sum_rows(across, columns).permute(0, 3, 2, 1)


def nearest(masks: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The values of masks at chosen rows and columns, none of them mixed.

    Args:
        masks: (N, H, W).
        rows: (N, target rows) int64.
        columns: (N, target columns) int64.

    Returns:
        (N, target rows, target columns) of the masks' type.
    """
    sample = torch.arange(len(masks), device=masks.device)[:, None, None]
    return masks[sample, rows[:, :, None], columns[:, None, :]]


def nearest_positions(start: torch.Tensor, length: torch.Tensor, target: int) -> torch.Tensor:
    """The (N, target) source pixels that lie under the middle of each target pixel (torchvision's NEAREST_EXACT).

    >>> nearest_positions(torch.tensor([2]), torch.tensor([6]), 3).tolist()
    [[3, 5, 7]]
    """
    exact = exact_type(start.device)
    start, length = start.to(exact)[:, None], length.to(exact)[:, None]
    middle = (torch.arange(target, device=start.device, dtype=exact) + 0.5) * (length / target)
    return (start + middle.floor().minimum(length - 1)).long()


def rotate(
    batch: torch.Tensor, degrees: torch.Tensor, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> torch.Tensor:
    """Every image turned about its middle; what comes from outside is 0. As torchvision's `rotate` of tensors.

    Args:
        batch: (N, C, H, W) float32.
        degrees: (N,), counter-clockwise.
        mode: "nearest" keeps the values of masks.

    >>> rotate(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([90.0]), "nearest")[0, 0].tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    """
    height, width = batch.shape[-2:]
    angle = torch.deg2rad(degrees.to(exact_type(batch.device)))[:, None, None]
    cosine, sine = torch.cos(angle).float(), torch.sin(angle).float()
    across, down = (_middles(side, batch.device) for side in (width, height))
    # elementwise instead of by a matrix product, whose rounding may depend on how many images there are
    x, y = across[None, None, :], down[None, :, None]
    grid = torch.stack([(cosine * x - sine * y) * (2 / width), (sine * x + cosine * y) * (2 / height)], dim=-1)
    with full_precision(batch.device):
        return functional.grid_sample(batch, grid, mode=mode, padding_mode="zeros", align_corners=False)


def resize_bytes(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An 8-bit image of another size, bilinear and antialiased, to the same bit on every machine.

    Weights and intermediate values are integers that float32 holds exactly, so neither the order of a sum nor the kind of
    processor matters. It differs from Pillow by one level at most, and from the exact filter by less.

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
    across = _turned(_sum_rows(planes, _whole_taps(image.shape[0], height, *_FIRST)).round_())
    done = _turned(_sum_rows(across, _whole_taps(image.shape[1], width, *_SECOND)).round_())
    return done.to(torch.uint8).numpy().reshape(height, width, *image.shape[2:])


def _resize_small(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """`resize_bytes` by two products with mostly empty matrices: for small images faster than the calls of torch.

    By numpy, since torch may be told to multiply float32 with fewer bits.
    """
    rows, columns = image.shape[:2]
    planes = image.reshape(rows, columns, -1).transpose(2, 0, 1).astype(np.float32)
    across = np.rint(_product(_whole_matrix(rows, height, *_FIRST), planes))
    done = np.rint(_product(across, _whole_matrix(columns, width, *_SECOND).T)).astype(np.uint8)
    return np.ascontiguousarray(done.transpose(1, 2, 0)).reshape(height, width, *image.shape[2:])


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`left @ right`, by as many rows at once as stay in one thread: the other cores make other images."""
    step = max(1, _ONE_THREAD // (left.shape[-1] * right.shape[-1]))
    parts = [left[..., first : first + step, :] @ right for first in range(0, left.shape[-2], step)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast and no TF32: both would blur pixels, and both are often on around an evaluation."""
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    loose = device.type == "cuda" and before not in ("none", "ieee")
    if loose:
        products.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if loose:
            products.fp32_precision = before


def exact_type(device: torch.device) -> torch.dtype:
    """The widest float of a device."""
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no float64


def _middles(side: int, device: torch.device) -> torch.Tensor:
    """Middles of the pixels, from the image's middle."""
    return torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2


def _to_one(weight: torch.Tensor) -> torch.Tensor:
    """Weights that sum to one; added one after the other, so that the sum does not depend on the batch."""
    return (weight / reduce(torch.add, weight.unbind(-1))[..., None]).float()


def _matrix(taps: Taps, source: int) -> torch.Tensor:
    """(N, target, source), mostly zeros."""
    count, target, _ = taps.weight.shape
    return taps.weight.new_zeros(count, target, source).scatter_add_(2, taps.source, taps.weight)


def _sum_rows(images: torch.Tensor, taps: Taps) -> torch.Tensor:
    """(N, H, W, C) → (N, target, W, C): weighted sums of whole rows, which lie together in memory."""
    count, height, width, channels = images.shape
    target, kept = taps.weight.shape[1:]
    # contiguous, also of one image: views with other strides are summed in another order
    table = images.contiguous().view(count * height, width * channels)
    index = taps.source
    if count > 1:
        index = index + height * torch.arange(count, device=images.device)[:, None, None]
    summed = functional.embedding_bag(
        index.view(-1, kept), table, per_sample_weights=taps.weight.reshape(-1, kept), mode="sum"
    )
    return summed.view(count, target, width, channels)


def _turned(images: torch.Tensor) -> torch.Tensor:
    """(N, H, W, C) → (N, W, H, C) in memory."""
    count, height, width, channels = images.shape
    if count == channels == 1:  # torch turns a matrix in blocks; a side of 1,024 is six times slower without
        return images.view(height, width).t().contiguous().view(1, width, height, 1)
    return images.transpose(1, 2).contiguous()


@lru_cache(maxsize=256)
def _whole_taps(source: int, target: int, bits: int, lost: int) -> Taps:
    """The taps of a whole side in units of 2**-bits, times 2**(bits - lost); what rounding leaves over goes to the largest."""
    taps = resize_taps(torch.zeros(1), torch.full((1,), source), source, target)
    scaled = torch.round(taps.weight.double() * 2**bits)
    largest = scaled.argmax(-1, keepdim=True)
    scaled.scatter_add_(-1, largest, 2.0**bits - scaled.sum(-1, keepdim=True))
    return Taps(taps.source, (scaled * 2.0**-lost).float())


@lru_cache(maxsize=64)
def _whole_matrix(source: int, target: int, bits: int, lost: int) -> np.ndarray:
    """`_whole_taps` as a matrix (target, source)."""
    return _matrix(_whole_taps(source, target, bits, lost), source)[0].numpy()
