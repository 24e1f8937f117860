"""Resize the table of positions of a vision transformer as timm does, by matrix products.

timm resizes it with a kernel whose gradient a GPU adds in an order that differs from run to run, so that a resumed run would not
have the same bits. A matrix product has a fixed order.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def fix_order_of_positions(network: nn.Module) -> None:
    """Let a vision transformer resize its table of positions by matrix products.

    Args:
        network: a plain vision transformer of timm that takes images of any size; it is changed in place. One with another way of
            adding positions stays as it is.
    """
    from timm.models.vision_transformer import VisionTransformer

    if type(network)._pos_embed is VisionTransformer._pos_embed:  # type: ignore[attr-defined]
        # a copy of the network, such as a teacher, gets a copy of this too, with its own table
        network._pos_embed = partial(with_positions, network)  # type: ignore[assignment]


def with_positions(network: Any, tokens: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - a timm model
    """The tokens of patches with positions, after the class token and the registers.

    Args:
        network: a plain vision transformer of timm.
        tokens: (N, rows, columns, D) of patches.

    Returns:
        (N, T, D).
    """
    images, *grid, _ = tokens.shape
    patches = tokens.flatten(1, 2)
    first = [token.expand(images, -1, -1) for token in (network.cls_token, network.reg_token) if token is not None]
    if network.pos_embed is None:
        return torch.cat([*first, patches], 1)
    # leading rows of the table, which belong to no patch
    before = 0 if network.no_embed_class else network.num_prefix_tokens
    table = resized(network.pos_embed, network.patch_embed.grid_size, (grid[0], grid[1]), before)
    placed = torch.cat([*first, patches], 1) + table if before else torch.cat([*first, patches + table], 1)
    dropped: torch.Tensor = network.pos_drop(placed)
    return dropped


def resized(table: torch.Tensor, old: tuple[int, int], new: tuple[int, int], before: int = 0) -> torch.Tensor:
    """A table of positions for another grid: bicubic, with antialiasing. For its own grid it stays as it is.

    Args:
        table: (1, before + patches, D).
        old: rows and columns of its grid.
        new: rows and columns wanted.
        before: leading rows that belong to no patch; they stay.

    >>> resized(torch.ones(1, 17, 8), (4, 4), (2, 3), before=1).shape
    torch.Size([1, 7, 8])
    """
    if tuple(old) == tuple(new):
        return table
    with torch.autocast(table.device.type, enabled=False):  # as timm, in float32
        patches = table[:, before:].float().unflatten(1, tuple(old))
        by_rows = torch.einsum("ri,nijd->nrjd", _weights(old[0], new[0], table.device), patches)
        wanted = torch.einsum("cj,nrjd->nrcd", _weights(old[1], new[1], table.device), by_rows)
    return torch.cat([table[:, :before], wanted.flatten(1, 2).to(table.dtype)], 1)


def _weights(old: int, new: int, device: torch.device) -> torch.Tensor:
    """(new, old): the share of each old position in each new one, read from torch's own resizing of single positions."""
    # two equal columns: torch 2.15 resizes images of one column wrongly
    single = torch.eye(old, device=device).view(1, old, old, 1).repeat(1, 1, 1, 2)
    return F.interpolate(single, (new, 2), mode="bicubic", antialias=True)[0, :, :, 0].T
