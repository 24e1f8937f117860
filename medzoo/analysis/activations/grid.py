"""Activations of any network as positions: (images, height, width, channels)."""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from medzoo.errors import UsageError


def as_grid(activations: Any, module: nn.Module, layer: str) -> torch.Tensor:  # noqa: ANN401 - what a layer gives
    """The output of a layer as (images, height, width, channels).

    Args:
        activations: (B, C, H, W), or (B, H, W, C) of a network that says so (Swin), (B, tokens, C), or (B, C).
        module: the network; it knows how many tokens stand before those of the patches.
        layer: its name, for messages.

    Raises:
        UsageError: if the layer gives something else.
    """
    if isinstance(activations, torch.Tensor):
        if activations.ndim == 4:
            last = getattr(module, "output_fmt", "NCHW") == "NHWC"
            return activations if last else activations.permute(0, 2, 3, 1)
        if activations.ndim == 3:
            before = int(getattr(module, "num_prefix_tokens", 0) or 0)
            tokens = activations[:, before:]
            side = isqrt(tokens.shape[1])
            high, wide = (side, side) if side * side == tokens.shape[1] else (tokens.shape[1], 1)
            return tokens.unflatten(1, (high, wide))
        if activations.ndim == 2:
            return activations[:, None, None]
    shape = tuple(activations.shape) if isinstance(activations, torch.Tensor) else type(activations).__name__
    raise UsageError(
        f"The layer {layer} gives {shape}; choose one that gives feature maps, tokens or vectors.",
        code="layer-output-not-a-grid",
    )


def common_grid(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two grids with the positions of the smaller one: the larger is averaged over areas.

    Args:
        one: (B, H, W, C).
        other: (B, H', W', C').

    >>> a, b = common_grid(torch.zeros(2, 8, 8, 3), torch.zeros(2, 4, 4, 5))
    >>> a.shape, b.shape
    (torch.Size([2, 4, 4, 3]), torch.Size([2, 4, 4, 5]))
    """
    side = (min(one.shape[1], other.shape[1]), min(one.shape[2], other.shape[2]))

    def reduced(grid: torch.Tensor) -> torch.Tensor:
        if grid.shape[1:3] == side:
            return grid
        return F.adaptive_avg_pool2d(grid.permute(0, 3, 1, 2), side).permute(0, 2, 3, 1)

    return reduced(one), reduced(other)
