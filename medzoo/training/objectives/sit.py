"""SiT: the network restores groups of corrupted patches, and recognises an image in its other, corrupted view.

Source: Atito et al. 2021, https://arxiv.org/abs/2104.03602, with the loss of the study of Krones: the contrastive term of MoCo v3
between the student's corrupted view and the teacher's clean one, plus 5 times the error of the reconstruction. Groups are filled
with noise only; the paper also takes patches of other images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import hue_option, solarize_option
from medzoo.training.pretraining.distillation import scalars
from medzoo.training.pretraining.info_nce import info_nce
from medzoo.training.pretraining.masking.corruption import Reconstruction
from medzoo.training.pretraining.masking.vit_tokens import masked_tokens
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.paired_views import PairedViewOptions
from medzoo.training.pretraining.requirements import needs_images, needs_masked_patches, needs_ordered_shares, plain_vit
from medzoo.training.pretraining.teacher import Taught, Teacher
from medzoo.training.trainable import in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options(PairedViewOptions):
    """Options of SiT."""

    temperature: float = option("temperature of the similarities", 0.2, metavar="T", above=0)
    momentum: float = option(
        "share of the teacher's old weights in the first step; it rises to 1", 0.996, metavar="X", least=0, most=1
    )
    reconstruction_weight: float = option("weight of the reconstruction", 5.0, metavar="X", least=0)
    least_share: float = option("smallest share of corrupted patches", 0.3, metavar="SHARE", above=0, most=0.99)
    most_share: float = option("largest share of corrupted patches", 0.7, metavar="SHARE", above=0, most=0.99)
    decoder_hidden: int = option("hidden width of the decoder", 2048, metavar="N", least=1, most=65_536)
    hidden: int = option("hidden width of the projection head", 4096, metavar="N", least=1, most=65_536)
    projection: int = option("output width of the projection head", 256, metavar="N", least=1, most=65_536)
    hue: float = hue_option(0.0)
    solarize: float = solarize_option(0.0, "the second view")
    min_area: float = option("smallest share of the image in a view", 0.25, metavar="SHARE", above=0, most=1)


def views(options: Options) -> list[View]:
    """The views of BYOL, which differ in blur and, if asked for, solarization."""
    return options.views()


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """Patches are restored from tokens, and an image is compared with the others."""
    plain_vit("sit", backbone)
    needs_masked_patches("sit", backbone, size)
    needs_ordered_shares(options.least_share, options.most_share)
    needs_images("sit", batch_size, 2, "each image is compared with the others")


def _head(width: int, hidden: int, out: int) -> nn.Sequential:
    """Three layers with BatchNorm, as MoCo v3's for transformers."""
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True),
        nn.Linear(hidden, out, bias=False), nn.BatchNorm1d(out),
    )  # fmt: skip


class Objective(Taught):
    """A headless vision transformer with a decoder of pixels and a projection head, and a teacher.

    Args:
        backbone: a plain vision transformer of timm.
        options: see Options.
        kind: not used, because SiT uses no labels.
    """

    masks_images = True

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone, options.momentum)
        self.options = options
        self.restore = Reconstruction(
            backbone, least=options.least_share, most=options.most_share, hidden=options.decoder_hidden
        )
        self.projector = _head(int(backbone.num_features), options.hidden, options.projection)  # type: ignore[arg-type]
        self.teacher = Teacher(self.student())

    def compiled_modules(self) -> list[nn.Module]:
        """The layers of the network, the teacher and the decoder."""
        return [*super().compiled_modules(), self.restore]

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        queries, keys, errors = [], [], []
        for number, images in enumerate(batch["views"]):
            corrupted, where = self.restore.corrupted(self, batch, images, step, number)
            pooled, tokens = masked_tokens(self.backbone, corrupted)
            errors.append(self.restore.error(self.restore(tokens), images, where))
            queries.append(gathered(in_full(self.projector(pooled))))
            keys.append(gathered(in_full(self.teacher(images))))
        temperature = self.options.temperature
        contrast = info_nce(queries[0], keys[1], temperature) + info_nce(queries[1], keys[0], temperature)
        error = (errors[0] + errors[1]) / 2
        return {
            "loss": contrast + self.options.reconstruction_weight * error,
            "contrast": contrast.detach(),
            "reconstruction": error.detach(),
            **scalars(error, teacher_momentum=self.momentum_at(step)),
            "feature_std": feature_std(queries[0]),
        }

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The first view, its corruption, and what the network makes of it."""
        images = batch["views"][0]
        corrupted, _ = self.restore.corrupted(self, batch, images, step, 0)
        return self.restore.shown(self.backbone, images, corrupted)
