"""MAE: a masked autoencoder. The network sees a quarter of the patches, and a small decoder predicts the pixels of the others.

Source: He et al. 2022, https://arxiv.org/abs/2111.06377. The network processes visible patches only, which makes it fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.masking.mask_tokens import keep_unused_layers
from medzoo.training.pretraining.masking.masks import masked_count, patchify, random_masks, unpatchify, visible_cells
from medzoo.training.pretraining.requirements import needs_masked_patches, plain_vit
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of MAE."""

    mask_share: float = option("share of masked patches", 0.75, metavar="SHARE", above=0, most=0.99)
    normalise_patches: bool = option("predict pixels relative to the mean and deviation of their patch", True)
    decoder_width: int = option(
        "width of the decoder, a multiple of 4 and of its heads", 512, metavar="N", least=4, most=65_536
    )
    decoder_depth: int = option("blocks of the decoder", 8, metavar="N", least=1, most=64)
    decoder_heads: int = option("attention heads of the decoder", 16, metavar="N", least=1, most=256)
    min_area: float = option("smallest share of the image in a view", 0.2, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)


def views(options: Options) -> list[View]:
    """Crops and flips, as in the paper; masks do the rest."""
    return [View(Augmentation(min_area=options.min_area, flip=options.flip))]


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """Patches can be left out in a plain vision transformer only."""
    from medzoo.errors import UsageError

    embed: Any = plain_vit("mae", backbone).patch_embed
    needs_masked_patches("mae", backbone, size)
    masked_count("mae", options.mask_share, embed.num_patches)
    if options.decoder_width % options.decoder_heads or options.decoder_width % 4:
        raise UsageError(
            f"--decoder-width is {options.decoder_width}; it needs to be a multiple of 4 and of --decoder-heads "
            f"({options.decoder_heads}).",
            code="decoder-width",
        )


class Decoder(nn.Module):
    """Tokens of visible patches → the pixels of all patches.

    Args:
        width: of the tokens.
        pixels: values of a patch.
        grid: (rows, columns) of patches.
        prefix: tokens before the patches.
        options: of the objective.
    """

    def __init__(self, width: int, pixels: int, grid: tuple[int, int], prefix: int, options: Options) -> None:
        from timm.layers import build_sincos2d_pos_embed
        from timm.models.vision_transformer import Block

        super().__init__()
        inner = options.decoder_width
        self.embed, self.prefix = nn.Linear(width, inner), prefix
        self.mask_token = nn.Parameter(torch.empty(inner))
        blocks = (Block(inner, options.decoder_heads, qkv_bias=True) for _ in range(options.decoder_depth))
        self.blocks, self.norm, self.head = nn.Sequential(*blocks), nn.LayerNorm(inner), nn.Linear(inner, pixels)
        self.register_buffer("positions", build_sincos2d_pos_embed(list(grid), inner), persistent=False)
        # as published: a small mask token, and layers whose outputs keep their variance
        self.apply(_start)
        nn.init.normal_(self.mask_token, std=0.02)

    positions: torch.Tensor

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(N, patches, pixels).

        Args:
            tokens: (N, prefix + visible, D), visible patches in their order.
            mask: (N, patches) bool.
        """
        known = self.embed(tokens)
        visible = visible_cells(mask, tokens.shape[1] - self.prefix)
        every = self.mask_token.to(known.dtype).expand(*mask.shape, -1)
        every = every.index_put((_rows(mask), visible), known[:, self.prefix :]) + self.positions.to(known.dtype)
        decoded = self.norm(self.blocks(torch.cat([known[:, : self.prefix], every], 1)))
        pixels: torch.Tensor = self.head(decoded[:, self.prefix :])
        return pixels


def _rows(mask: torch.Tensor) -> torch.Tensor:
    """The numbers (N, 1) of the images: deterministic algorithms sort the indices, and these are few."""
    return torch.arange(len(mask), device=mask.device)[:, None]


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


class Objective(Trainable):
    """A headless vision transformer under a decoder.

    Args:
        backbone: a plain vision transformer of timm.
        options: see Options.
        kind: not used, because MAE uses no labels.
    """

    masks_images = True

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone)
        self.options = options
        network: Any = plain_vit("mae", backbone)
        embed = network.patch_embed
        self.side, self.prefix, self.cells = embed.patch_size[0], network.num_prefix_tokens, embed.num_patches
        self.count = masked_count("mae", options.mask_share, self.cells)
        channels = embed.proj.in_channels
        self.decoder = Decoder(network.embed_dim, channels * self.side**2, embed.grid_size, self.prefix, options)
        keep_unused_layers(backbone)

    def compiled_modules(self) -> list[nn.Module]:
        """The layers of the network, and the decoder."""
        return [*super().compiled_modules(), self.decoder]

    def encoded(self, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The tokens of the visible patches (N, prefix + visible, D).

        Args:
            images: (N,C,H,W).
            mask: (N, patches) bool, with equally many masked patches in every image.
        """
        from timm.models import checkpoint_seq

        network: Any = self.backbone
        tokens = network._pos_embed(network.patch_embed(images))  # with positions, and the prefix in front
        patches = tokens[:, self.prefix :]
        where = _rows(mask), visible_cells(mask, self.cells - self.count)
        tokens = network.norm_pre(torch.cat([tokens[:, : self.prefix], patches[where]], 1))
        again = getattr(network, "grad_checkpointing", False) and torch.is_grad_enabled()
        tokens = checkpoint_seq(network.blocks, tokens) if again else network.blocks(tokens)
        encoded: torch.Tensor = network.norm(tokens)
        return encoded

    def _masks(self, batch: dict[str, Any], step: int) -> torch.Tensor:
        numbers = self.random_numbers(batch, step, "mask", self.cells)
        return random_masks(numbers, self.count).to(batch["image"].device, non_blocking=True)

    def _targets(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The pixels of the patches as they are predicted, and what scales them back: mean and deviation."""
        pixels = patchify(in_full(images), self.side)
        if not self.options.normalise_patches:
            return pixels, torch.zeros_like(pixels[..., :1]), torch.ones_like(pixels[..., :1])
        mean, deviation = pixels.mean(-1, keepdim=True), (pixels.var(-1, keepdim=True) + 1e-6).sqrt()
        return (pixels - mean) / deviation, mean, deviation

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The mean squared error of the masked patches of a batch with "image" (N,C,H,W)."""
        images, mask = batch["image"], self._masks(batch, step)
        predicted = in_full(self.decoder(self.encoded(images, mask), mask))
        error = (predicted - self._targets(images)[0]).square().mean(-1)
        return {"loss": (error * mask).sum() / (len(images) * self.count)}

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The images, their visible patches, and these with the predicted ones."""
        images, mask = batch["image"], self._masks(batch, step)
        _, mean, deviation = self._targets(images)
        predicted = in_full(self.decoder(self.encoded(images, mask), mask)) * deviation + mean
        pixels, hidden = patchify(images.float(), self.side), mask[..., None]
        size = images.shape[-2], images.shape[-1]
        shown = {
            "visible": pixels.masked_fill(hidden, 0),
            "reconstruction": torch.where(hidden, predicted.float(), pixels),
        }
        return {"image": images, **{name: unpatchify(value, self.side, size) for name, value in shown.items()}}
