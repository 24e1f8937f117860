"""Masks of patches, patches as vectors of pixels, and noise that does not depend on the process."""

from __future__ import annotations

import torch
from torch import nn

from medzoo.errors import UsageError


def masked_count(method: str, share: float, cells: int) -> int:
    """The number of masked cells of an image.

    Args:
        method: name of the objective.
        share: of the cells.
        cells: of an image.

    Raises:
        UsageError: if none or all would be masked.

    >>> masked_count("mae", 0.75, 16)
    12
    """
    count = round(share * cells)
    if not 0 < count < cells:
        raise UsageError(
            f"Method {method} would mask {count} of {cells} patches. Choose another --mask-share, or a larger --size.",
            code="mask-share-impossible",
        )
    return count


def random_masks(numbers: torch.Tensor, count: int) -> torch.Tensor:
    """Masks with the same number of masked cells in every image.

    Args:
        numbers: (N, cells) random numbers in [0, 1).
        count: masked cells of an image.

    Returns:
        (N, cells) bool, True where a cell is masked.

    >>> random_masks(torch.tensor([[0.5, 0.1, 0.9, 0.3]]), 2)
    tensor([[False,  True, False,  True]])
    """
    masked = numbers.argsort(dim=1)[:, :count]
    return torch.zeros(numbers.shape, dtype=torch.bool).scatter_(1, masked, True)


def visible_cells(masks: torch.Tensor, count: int) -> torch.Tensor:
    """The numbers of the visible cells of every image, in their order; the host does not wait for the device.

    Args:
        masks: (N, cells) bool.
        count: visible cells of an image.

    Returns:
        (N, count) int64.

    >>> visible_cells(torch.tensor([[True, False, True, False]]), 2)
    tensor([[1, 3]])
    """
    return masks.byte().argsort(dim=1, stable=True)[:, :count]


def block_side(grid: tuple[int, int], most: int) -> int:
    """The side of square blocks that cover a grid exactly: the largest one that leaves at least 4 blocks in each direction, or 1.

    Args:
        grid: (rows, columns) of patches.
        most: the largest side, patches.

    >>> block_side((14, 14), 2), block_side((16, 16), 8), block_side((7, 7), 2)
    (2, 4, 1)
    """
    sides = [side for side in range(1, most + 1) if all(part % side == 0 and part // side >= 4 for part in grid)]
    return max(sides, default=1)


def spread(masks: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Masks on a finer grid.

    Args:
        masks: (N, h, w) bool.
        rows: of the finer grid, a multiple of h.
        columns: a multiple of w.

    Returns:
        (N, rows, columns) bool.
    """
    return masks.repeat_interleave(rows // masks.shape[1], 1).repeat_interleave(columns // masks.shape[2], 2)


def patchify(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images as the pixels of their patches, row by row.

    Args:
        images: (N,C,H,W).
        side: of a patch, pixels.

    Returns:
        (N, patches, C * side * side).
    """
    return nn.functional.unfold(images, side, stride=side).transpose(1, 2)


def unpatchify(patches: torch.Tensor, side: int, size: tuple[int, int]) -> torch.Tensor:
    """The images of `patchify`.

    Args:
        patches: (N, patches, C * side * side).
        side: of a patch, pixels.
        size: (H, W) of the images.

    >>> images = torch.rand(2, 3, 8, 12)
    >>> bool((unpatchify(patchify(images, 4), 4, (8, 12)) == images).all())
    True
    """
    return nn.functional.fold(patches.transpose(1, 2), size, side, stride=side)


def shifted_noise(images: torch.Tensor, numbers: torch.Tensor, seed: int, step: int) -> torch.Tensor:
    """Normal noise for every image: one field for a step, shifted for each image, so that processes draw the same.

    Args:
        images: (N,C,H,W), for shape and device.
        numbers: (N, 2) random numbers in [0, 1): the shifts.
        seed: of the run.
        step: of the optimizer.

    Returns:
        Of the shape of the images.
    """
    height, width = images.shape[-2:]
    generator = torch.Generator().manual_seed((seed << 32 ^ step) % 2**63)
    field = torch.randn(images.shape[1:], generator=generator).to(images)
    rows, columns = ((numbers[:, axis] * side).long().to(images.device) for axis, side in ((0, height), (1, width)))
    down = (torch.arange(height, device=images.device) + rows[:, None]) % height
    right = (torch.arange(width, device=images.device) + columns[:, None]) % width
    return field[:, down[:, :, None], right[:, None, :]].transpose(0, 1)
