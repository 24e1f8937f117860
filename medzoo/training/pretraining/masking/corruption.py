"""Images with blocks of noise, and the error of a reconstruction inside these blocks (GMML, SiT)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medzoo.training.pretraining.masking.block_masks import NUMBERS, block_masks
from medzoo.training.pretraining.masking.mask_tokens import PixelDecoder
from medzoo.training.pretraining.masking.masks import shifted_noise, spread
from medzoo.training.pretraining.requirements import plain_vit
from medzoo.training.tokens.network_tokens import patch_tokens
from medzoo.training.trainable import Trainable, in_full


class Reconstruction(nn.Module):
    """Corrupts images in blocks of patches, and reconstructs them from the patch tokens of a vision transformer.

    Args:
        network: a plain vision transformer of timm; it is not a part of this module.
        least: smallest share of corrupted patches of an image.
        most: largest share.
        hidden: width of the hidden layers of the decoder.
    """

    def __init__(self, network: nn.Module, *, least: float, most: float, hidden: int) -> None:
        super().__init__()
        vit: Any = plain_vit("gmml", network)
        self.grid, side = vit.patch_embed.grid_size, vit.patch_embed.patch_size[0]
        self.least, self.most = least, most
        self.decoder = PixelDecoder(vit.embed_dim, vit.patch_embed.proj.in_channels, side, hidden)

    def corrupted(
        self, objective: Trainable, batch: dict[str, Any], images: torch.Tensor, step: int, view: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images with noise in blocks of patches, and the masks of the noise (N, 1, H, W).

        Args:
            objective: gives the random numbers.
            batch: with the positions of the images.
            images: (N,C,H,W).
            step: of the optimizer.
            view: number of the view.
        """
        numbers = objective.random_numbers(batch, step, f"blocks{view}", NUMBERS + 2)
        masks = block_masks(numbers[:, 2:], self.grid, probability=1.0, least=self.least, most=self.most)
        where = spread(masks.to(images.device), images.shape[-2], images.shape[-1])[:, None]
        noise = shifted_noise(images, numbers[:, :2], objective.seed, 2 * step + view)
        return torch.where(where, noise, images), where

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Images (N,C,H,W) of patch tokens (N, T, D)."""
        pixels: torch.Tensor = in_full(self.decoder(tokens.transpose(1, 2).unflatten(2, self.grid)))
        return pixels

    def seen(self, network: nn.Module, corrupted: torch.Tensor) -> torch.Tensor:
        """The images that a network makes of corrupted ones (N,C,H,W).

        Args:
            network: the vision transformer.
            corrupted: images with noise.
        """
        vit: Any = network
        return self(patch_tokens(vit, vit.forward_features(corrupted)))

    @staticmethod
    def error(predicted: torch.Tensor, images: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """The mean absolute error inside the corrupted blocks: the mean of each image, then over the images.

        Args:
            predicted: (N,C,H,W).
            images: (N,C,H,W), without corruption.
            where: (N, 1, H, W) bool; an image without a block counts 0.
        """
        each = ((predicted - in_full(images)).abs() * where).sum((1, 2, 3))
        mean: torch.Tensor = (each / (where.sum((1, 2, 3)) * images.shape[1]).clamp_min(1)).mean()
        return mean

    def shown(self, network: nn.Module, images: torch.Tensor, corrupted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pictures of images, what the network saw of them, and its reconstruction.

        Args:
            network: the vision transformer.
            images: (N,C,H,W).
            corrupted: the same with noise.
        """
        again = self.seen(network, corrupted).to(images.dtype)
        return {"image": images, "corrupted": corrupted, "reconstruction": again}
