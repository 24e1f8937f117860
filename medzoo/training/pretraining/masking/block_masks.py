"""Masks of patches made of random blocks, computed for all images at once."""

from __future__ import annotations

from math import log

import torch

TRIES = 24  # blocks per image; a block that would mask too much is left out
NUMBERS = 2 + 4 * TRIES  # random numbers per image
LEAST_BLOCK = 4  # patches
ASPECT = 0.3  # smallest ratio of height to width of a block, and of width to height


def block_masks(
    numbers: torch.Tensor, grid: tuple[int, int], *, probability: float, least: float, most: float
) -> torch.Tensor:
    """Masks of blocks of patches; an image is masked with a probability, and then by a share between two limits.

    An image can have fewer masked patches than its share, because blocks have whole patches, but never more.

    Args:
        numbers: (N, NUMBERS) random numbers in [0, 1), on the CPU.
        grid: (rows, columns) of patches.
        probability: that an image is masked.
        least: smallest share of masked patches.
        most: largest share of masked patches.

    Returns:
        (N, rows, columns) bool, True where a patch is masked.

    Source: https://arxiv.org/abs/2106.08254 (blocks), https://arxiv.org/abs/2304.07193 (shares); there exactly half of the
        images of a batch are masked, here each image with a probability, so that masks do not depend on the batch.

    >>> masks = block_masks(torch.rand(8, NUMBERS), (6, 6), probability=1.0, least=0.5, most=0.5)
    >>> masks.shape, int(masks.sum((1, 2)).max()) <= 18
    (torch.Size([8, 6, 6]), True)
    """
    rows, columns = grid
    chosen = numbers[:, 0] < probability
    share = least + (most - least) * numbers[:, 1]
    wanted = torch.where(chosen, (share * rows * columns).floor(), 0.0)
    mask = torch.zeros(len(numbers), rows, columns, dtype=torch.bool)
    down, right = torch.arange(rows)[None, :, None], torch.arange(columns)[None, None, :]
    for area, ratio, top, left in _tries(numbers):
        # the size of a block, in whole patches
        rest = wanted - mask.sum((1, 2))
        smallest = rest.clamp(max=LEAST_BLOCK)
        patches = smallest + (rest - smallest) * area
        aspect = torch.exp(log(ASPECT) * (2 * ratio - 1))
        height = (patches * aspect).sqrt().round().clamp(1, rows)
        width = (patches / aspect).sqrt().round().clamp(1, columns)
        # its place
        first = (top * (rows - height + 1)).floor()
        start = (left * (columns - width + 1)).floor()
        inside = (down >= _each(first)) & (down < _each(first + height))
        block = inside & (right >= _each(start)) & (right < _each(start + width))
        with_block = mask | block
        fits = with_block.sum((1, 2)) <= wanted
        mask = torch.where(_each(fits), with_block, mask)
    return mask


def _tries(numbers: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """Four numbers (N,) for each block: area, aspect ratio, row and column."""
    return [tuple(four.unbind(1)) for four in numbers[:, 2:].unflatten(1, (TRIES, 4)).unbind(1)]


def _each(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]
