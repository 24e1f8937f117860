"""Average pooling to a few places by matrix products: a GPU adds the gradient of torch's own layer in a changing order."""

from __future__ import annotations

import torch
from torch import nn


class FixedOrderPool(nn.Module):
    """What nn.AdaptiveAvgPool2d computes, with a gradient that is added in a fixed order on a GPU.

    Args:
        size: rows and columns of the result.

    >>> FixedOrderPool((2, 3))(torch.ones(1, 8, 7, 7)).shape
    torch.Size([1, 8, 2, 3])
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """The means (N, C, rows, columns) of planes (N, C, H, W)."""
        height, width = planes.shape[-2:]
        with torch.autocast(planes.device.type, enabled=False):  # a share of 1/49 has no exact bf16 value
            full = planes.float() if planes.dtype in (torch.bfloat16, torch.float16) else planes
            rows = _shares(height, self.size[0], full)
            columns = _shares(width, self.size[1], full)
            return torch.einsum("rh,nchw,sw->ncrs", rows, full, columns).to(planes.dtype)


def _shares(side: int, places: int, like: torch.Tensor) -> torch.Tensor:
    """(places, side): the share of each position in the mean of each place. Neighbours can share a position, as in torch."""
    place = torch.arange(places, device=like.device)[:, None]
    position = torch.arange(side, device=like.device)
    first, end = place * side // places, ((place + 1) * side + places - 1) // places
    inside = ((position >= first) & (position < end)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def fix_order_of_pools(network: nn.Module) -> nn.Module:
    """Replace the layers of a network that pool to several places; one to a single place has a fixed order already.

    Args:
        network: any; it is changed in place. These layers have no weights, so the names of all weights stay.
    """
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.AdaptiveAvgPool2d):
                size = layer.output_size
                rows, columns = size if isinstance(size, tuple) else (size, size)
                if rows is not None and columns is not None and max(rows, columns) > 1:
                    setattr(parent, name, FixedOrderPool((rows, columns)))
    return network
