"""GMML: groups of patches are replaced by noise, and the network restores them.

Source: Atito et al. 2022, https://arxiv.org/abs/2205.14986. Groups are filled with noise only; the paper also takes patches of
another image of the batch, which would make a result depend on the number of processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import colour_jitter
from medzoo.training.pretraining.masking.corruption import Reconstruction
from medzoo.training.pretraining.masking.mask_tokens import keep_unused_layers
from medzoo.training.pretraining.requirements import needs_masked_patches, needs_ordered_shares, plain_vit
from medzoo.training.trainable import Trainable

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of GMML."""

    least_share: float = option("smallest share of corrupted patches", 0.3, metavar="SHARE", above=0, most=0.99)
    most_share: float = option("largest share of corrupted patches", 0.7, metavar="SHARE", above=0, most=0.99)
    hidden: int = option("hidden width of the decoder", 2048, metavar="N", least=1, most=65_536)
    min_area: float = option("smallest share of the image in a view", 0.5, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness, contrast and saturation changes", 0.4, metavar="X", least=0, most=1)


def views(options: Options) -> list[View]:
    """One view; the corruption does the rest."""
    return [View(colour_jitter(options.tone, min_area=options.min_area, flip=options.flip))]


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """Patches are restored from the tokens of a plain vision transformer."""
    plain_vit("gmml", backbone)
    needs_masked_patches("gmml", backbone, size)
    needs_ordered_shares(options.least_share, options.most_share)


class Objective(Trainable):
    """A headless vision transformer under a decoder of pixels.

    Args:
        backbone: a plain vision transformer of timm.
        options: see Options.
        kind: not used, because GMML uses no labels.
    """

    masks_images = True

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone)
        self.restore = Reconstruction(
            backbone, least=options.least_share, most=options.most_share, hidden=options.hidden
        )
        keep_unused_layers(backbone)

    def compiled_modules(self) -> list[nn.Module]:
        """The layers of the network, and the decoder."""
        return [*super().compiled_modules(), self.restore]

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The error in the corrupted blocks of a batch with "image" (N,C,H,W)."""
        images = batch["image"]
        corrupted, where = self.restore.corrupted(self, batch, images, step, 0)
        return {"loss": self.restore.error(self.restore.seen(self.backbone, corrupted), images, where)}

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The images, their corruption, and what the network makes of it."""
        corrupted, _ = self.restore.corrupted(self, batch, batch["image"], step, 0)
        return self.restore.shown(self.backbone, batch["image"], corrupted)
