"""SimMIM: masked blocks are replaced by a token, and one linear layer predicts their pixels.

Source: Xie et al. 2022, https://arxiv.org/abs/2111.09886. For plain vision transformers and Swin transformers. Blocks have 32 px
where the image has at least 4 of them in each direction, else fewer patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.masking.mask_tokens import (
    PixelDecoder,
    keep_unused_layers,
    last_stride,
    needs_patch_map,
    patch_map,
)
from medzoo.training.pretraining.masking.masks import block_side, masked_count, random_masks, spread
from medzoo.training.pretraining.requirements import needs_masked_patches
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of SimMIM."""

    mask_share: float = option("share of masked blocks", 0.6, metavar="SHARE", above=0, most=0.99)
    block: int = option("largest side of a masked block, pixels", 32, metavar="PX", least=1, most=1024)
    min_area: float = option("smallest share of the image in a view", 0.67, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)


def views(options: Options) -> list[View]:
    """Crops and flips, as in the paper; masks do the rest."""
    return [View(Augmentation(min_area=options.min_area, flip=options.flip))]


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """Patches can be replaced in plain vision transformers and Swin transformers."""
    network = needs_patch_map("simmim", backbone)
    needs_masked_patches("simmim", backbone, size)
    _blocks(network, options)


def _blocks(network: Any, options: Options) -> tuple[tuple[int, int], int]:  # noqa: ANN401 - a timm model
    """The grid of blocks, and how many of them are masked."""
    grid, patch = network.patch_embed.grid_size, network.patch_embed.patch_size[0]
    side = block_side(grid, max(1, options.block // patch))
    cells = (grid[0] // side, grid[1] // side)
    return cells, masked_count("simmim", options.mask_share, cells[0] * cells[1])


class Objective(Trainable):
    """A headless transformer under one linear layer.

    Args:
        backbone: a plain vision transformer or a Swin transformer of timm.
        options: see Options.
        kind: not used, because SimMIM uses no labels.
    """

    masks_images = True

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone)
        network = needs_patch_map("simmim", backbone)
        self.cells, self.count = _blocks(network, options)
        self.grid = network.patch_embed.grid_size
        convolution = network.patch_embed.proj
        self.mask_token = nn.Parameter(torch.empty(convolution.out_channels))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.decoder = PixelDecoder(network.num_features, convolution.in_channels, last_stride(network))
        keep_unused_layers(backbone)

    def compiled_modules(self) -> list[nn.Module]:
        """The layers of the network, and the decoder."""
        return [*super().compiled_modules(), self.decoder]

    def _masks(self, batch: dict[str, Any], step: int) -> torch.Tensor:
        """(N, rows, columns) on the grid of blocks."""
        rows, columns = self.cells
        numbers = self.random_numbers(batch, step, "mask", rows * columns)
        return random_masks(numbers, self.count).view(-1, rows, columns).to(batch["image"].device)

    def _predicted(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        hidden = spread(masks, *self.grid)
        return in_full(self.decoder(patch_map(self.backbone, images, hidden, self.mask_token)))

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The mean absolute error of the masked pixels of a batch with "image" (N,C,H,W)."""
        images, masks = batch["image"], self._masks(batch, step)
        where = spread(masks, images.shape[-2], images.shape[-1])[:, None]
        error = (self._predicted(images, masks) - in_full(images)).abs() * where
        # every image has the same number of masked pixels
        pixels = len(images) * images.shape[1] * images.shape[-2] * images.shape[-1]
        return {"loss": error.sum() / (pixels * self.count / (self.cells[0] * self.cells[1]))}

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The images, what is visible of them, and this with the predicted blocks."""
        images, masks = batch["image"], self._masks(batch, step)
        where = spread(masks, images.shape[-2], images.shape[-1])[:, None]
        predicted = torch.where(where, self._predicted(images, masks).to(images.dtype), images)
        return {"image": images, "visible": images.masked_fill(where, 0), "reconstruction": predicted}
