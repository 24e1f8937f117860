"""Find close pairs of 256-bit hashes with matrix products: the time does not depend on the data, and no pair is missed.

Bits become -1 and 1; then the product of two hashes is exactly 256 - 2 x distance, also in bfloat16. 100,000 images take minutes
on two CPU cores and seconds on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.duplicates.perceptual_hash import BITS

if TYPE_CHECKING:
    import torch

TILE = 4096  # rows of a block on the CPU


def near_pairs(
    one: np.ndarray,
    other: np.ndarray | None,
    limit: int,
    *,
    triangle: bool = False,
    device: str | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of hashes that differ in at most `limit` bits, or in at least 256 - `limit` (inverted images), block by block.

    Args:
        one: (N, 32) uint8, packed hashes.
        other: (M, 32) uint8; None compares `one` with itself, each pair once and none with itself.
        limit: largest distance, below 128.
        triangle: row k of both belongs to the same image, and the order of a pair does not matter: yield only pairs with
            row < row of other.
        device: where to compute; by default a GPU if there is one.
        progress: called with the number of products after each block.

    Yields:
        rows of `one`, rows of `other`, and their distances (0 to 256, not folded), as arrays.

    >>> codes = np.zeros((3, 32), np.uint8); codes[2] = 255; codes[1, 0] = 3
    >>> [part.tolist() for found in near_pairs(codes, None, 4, device="cpu") for part in found]
    [[0, 0, 1], [1, 2, 2], [2, 256, 254]]
    """
    import torch

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    kind = _fastest(place)
    left = _signs(one, place, kind)
    right = left if other is None else _signs(other, place, kind)
    triangle = triangle or other is None
    bound = BITS - 2 * limit
    tile = TILE * (4 if place.type == "cuda" else 1)
    for first in range(0, len(left), tile):
        rows = left[first : first + tile]
        for start in range(first if triangle else 0, len(right), tile):
            product = rows @ right[start : start + tile].T
            if progress is not None:
                progress(product.numel())
            if triangle and start == first:
                product = torch.triu(product, diagonal=1)
            # Most rows have no pair, and extremes are much cheaper than a list of pairs. (amin and amax are much faster than
            # aminmax along an axis.)
            low, high = product.amin(1), product.amax(1)
            near = ((low <= -bound) | (high >= bound)).nonzero()[:, 0]
            if not len(near):
                continue
            product = product[near]
            hits = (product.abs() >= bound).nonzero()
            distance = (BITS - product[hits[:, 0], hits[:, 1]].float()) / 2
            one_row, other_row = near[hits[:, 0]].cpu().numpy(), hits[:, 1].cpu().numpy()
            yield one_row + first, other_row + start, distance.cpu().numpy().astype(np.int64)


def _signs(codes: np.ndarray, place: torch.device, kind: torch.dtype) -> torch.Tensor:
    import torch

    bits = torch.from_numpy(np.unpackbits(codes, axis=1).reshape(len(codes), BITS))
    return (bits.to(place).to(kind) * 2) - 1


@cache
def _fastest(place: torch.device) -> torch.dtype:
    """The type with the fastest products on this device; all types represent whole numbers up to 256 exactly."""
    import torch

    if place.type == "cuda":
        return torch.float16
    seconds = {}
    for kind in (torch.float32, torch.bfloat16):
        sample = torch.ones(1024, BITS, dtype=kind)
        seconds[kind] = min(_product_seconds(sample) for _ in range(4))
    return min(seconds, key=seconds.__getitem__)


def _product_seconds(sample: torch.Tensor) -> float:
    start = time.perf_counter()
    sample @ sample.T
    return time.perf_counter() - start
