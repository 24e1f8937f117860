"""MoCo v3: a contrastive loss whose positives and negatives come from a slow average of the network.

Source: Chen et al. 2021, https://arxiv.org/abs/2104.02057. The negatives are all other images of the batch, over all processes.
The last BatchNorm of each head has a scale and a shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.distillation import scalars
from medzoo.training.pretraining.info_nce import info_nce
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.paired_views import PairedViewOptions
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.pretraining.teacher import Taught, Teacher
from medzoo.training.trainable import in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options(PairedViewOptions):
    """Options of MoCo v3; the paper trains ResNets with temperature 1 and 2 projection layers."""

    temperature: float = option("temperature of the similarities", 0.2, metavar="T", above=0)
    momentum: float = option(
        "share of the teacher's old weights in the first step; it rises to 1", 0.99, metavar="X", least=0, most=1
    )
    freeze_patch_embedding: bool = option(
        "keep the patch embedding of a vision transformer as it is at the start, for a stable training", True
    )
    projection_layers: int = option("layers of the projection head", 3, metavar="N", least=2, most=8)
    hidden: int = option("hidden width of the projection and prediction heads", 4096, metavar="N", least=1, most=65_536)
    projection: int = option("output width of both heads", 256, metavar="N", least=1, most=65_536)


def views(options: Options) -> list[View]:
    """The views of BYOL, which differ in blur and solarization."""
    return options.views()


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """An image is compared with the other images, so it needs at least one."""
    needs_lightly("mocov3")
    needs_feature_vector("mocov3", backbone)
    needs_images("mocov3", batch_size, 2, "each image is compared with the others")


class Objective(Taught):
    """A headless backbone with projection and prediction heads, and a teacher of backbone and projection.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because MoCo v3 uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.models.modules import MoCoProjectionHead
        from timm.models.vision_transformer import VisionTransformer

        super().__init__(backbone, options.momentum)
        self.options = options
        if options.freeze_patch_embedding and isinstance(backbone, VisionTransformer):
            backbone.patch_embed.requires_grad_(False)
        width = int(backbone.num_features)  # type: ignore[arg-type]
        hidden, out = options.hidden, options.projection
        self.projector = MoCoProjectionHead(width, hidden, out, num_layers=options.projection_layers, batch_norm=True)
        self.predictor = MoCoProjectionHead(out, hidden, out, num_layers=2, batch_norm=True)
        self.teacher = Teacher(self.student())

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        # one pass for each view, as published: a view is normalised by its own statistics
        student = self.student()
        queries = [gathered(in_full(self.predictor(student(view)))) for view in batch["views"]]
        keys = [gathered(in_full(self.teacher(view))) for view in batch["views"]]
        temperature = self.options.temperature
        loss = info_nce(queries[0], keys[1], temperature) + info_nce(queries[1], keys[0], temperature)
        return {
            "loss": loss,
            **scalars(loss, teacher_momentum=self.momentum_at(step)),
            "feature_std": feature_std(queries[0]),
        }
