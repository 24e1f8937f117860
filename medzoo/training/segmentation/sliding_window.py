"""Segment images that are larger than the network's input: overlapping windows whose logits are averaged."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from medzoo.errors import UsageError


def window_starts(length: int, size: int, overlap: float) -> list[int]:
    """The first pixels of the windows along one side: equal steps, from the first pixel to the last.

    Args:
        length: of the image, pixels.
        size: of a window, pixels.
        overlap: smallest share of a window that the next one covers again.

    Raises:
        UsageError: if the image is smaller than a window.

    >>> window_starts(100, 40, 0.5), window_starts(40, 40, 0.5)
    ([0, 20, 40, 60], [0])
    """
    if length < size:
        raise UsageError(
            f"The image has a side of {length} pixels, and the network takes {size}. Give images of at least that size.",
            code="image-smaller-than-window",
        )
    steps = math.ceil((length - size) / max(1, size * (1 - overlap)))
    return [round(number * (length - size) / steps) for number in range(steps + 1)] if steps else [0]


def window_weights(size: int) -> torch.Tensor:
    """The weights (size, size) of a window's pixels: highest in the centre, above 0 at the border.

    Args:
        size: side, pixels.

    >>> bool((window_weights(8) > 0).all())
    True
    """
    line = torch.sin(torch.pi * (torch.arange(size) + 0.5) / size) ** 2
    return line[:, None] * line[None, :]


def slide(
    model: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    size: int,
    *,
    overlap: float = 0.5,
    batch_size: int = 16,
) -> torch.Tensor:
    """The logits of whole images; each pixel is a weighted mean over the windows that contain it.

    Args:
        model: the network.
        images: (N, C, H, W), normalised.
        size: side of the network's input.
        overlap: smallest share of a window that the next one covers again.
        batch_size: windows per forward pass.

    Returns:
        (N, outputs, H, W) float32.

    >>> slide(lambda x: x[:, :1], torch.ones(1, 3, 10, 12), 8).shape
    torch.Size([1, 1, 10, 12])
    """
    rows, columns = (window_starts(length, size, overlap) for length in images.shape[-2:])
    corners = [(image, top, left) for image in range(len(images)) for top in rows for left in columns]
    if len(corners) == len(images):  # one window is the whole image: no weights, so no rounding
        return torch.cat([model(part).float() for part in images.split(batch_size)])
    weights = window_weights(size).to(images.device)
    total, weight = None, images.new_zeros(images.shape[-2:])
    for first in range(0, len(corners), batch_size):
        part = corners[first : first + batch_size]
        windows = torch.stack([images[n, :, top : top + size, left : left + size] for n, top, left in part])
        logits = model(windows).float()
        if total is None:
            total = logits.new_zeros((len(images), logits.shape[1], *images.shape[-2:]))
        for (n, top, left), row in zip(part, logits, strict=True):
            total[n, :, top : top + size, left : left + size] += weights * row
    for top in rows:
        for left in columns:
            weight[top : top + size, left : left + size] += weights
    assert total is not None
    return total / weight
