"""The feature maps of timm networks in the form that the decoders of segmentation_models_pytorch take."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Pyramid(nn.Module):
    """Feature maps from fine to coarse, the image first: the input of smp's U-Net and UPerNet."""

    def __init__(self, model: nn.Module, channels: int, side: int | None) -> None:
        super().__init__()
        self.model, self.side = model, side
        info: Any = model.feature_info
        reductions = info.reduction()
        self.lacks_half = reductions[0] == 4  # the first maps of ConvNeXt and Swin have a quarter of the resolution
        self.out_channels = [channels, *([0] if self.lacks_half else []), *info.channels()]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The image, and the maps from fine to coarse."""
        maps: list[torch.Tensor] = self.model(x)
        widths = self.out_channels[-len(maps) :]
        maps = [
            row if row.shape[1] == width else row.permute(0, 3, 1, 2) for row, width in zip(maps, widths, strict=True)
        ]
        half = [x.new_empty((x.shape[0], 0, x.shape[2] // 2, x.shape[3] // 2))] if self.lacks_half else []
        return [x, *half, *maps]


class Tokens(nn.Module):
    """Token maps and class tokens of four depths: the input of smp's DPT."""

    def __init__(self, model: nn.Module, side: int | None) -> None:
        super().__init__()
        self.model, self.side = model, side
        info: Any = model.feature_info
        self.out_channels = info.channels()

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The token maps, and the class tokens."""
        getter: Any = self.model
        rows = getter.model.forward_intermediates(
            x, indices=getter.out_indices, intermediates_only=True, return_prefix_tokens=True
        )
        return [row[0] for row in rows], [row[1] for row in rows]
