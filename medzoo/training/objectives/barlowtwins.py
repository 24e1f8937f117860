"""Barlow Twins: two views of an image give equal projections, and the values of a projection are independent of each other.

Source: Zbontar et al. 2021, https://arxiv.org/abs/2103.03230. Statistics are those of the images of all processes, as on one device
with the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import blur_sigma_option, hue_option, solarize_option
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.paired_views import paired_views
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of Barlow Twins."""

    redundancy: float = option("weight of the correlations between different values", 5e-3, metavar="X", least=0)
    hidden: int = option("width of the hidden layers of the projection head", 8192, metavar="N", least=1, most=65_536)
    projection: int = option("output width of the projection head", 8192, metavar="N", least=2, most=65_536)
    min_area: float = option("smallest share of the image in a view", 0.08, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness and contrast changes", 0.4, metavar="X", least=0, most=1)
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)
    hue: float = hue_option(0.1)
    solarize: float = solarize_option(0.2, "the second view")
    blur_sigma: float = blur_sigma_option()


def views(options: Options) -> list[View]:
    """Two views, of which the first is always blurred and the second seldom; only the second may be solarized."""
    return paired_views(
        min_area=options.min_area, flip=options.flip, tone=options.tone, grey=options.grey, blur=1.0, second_blur=0.1,
        hue=options.hue, second_solarize=options.solarize, blur_sigma=options.blur_sigma,
    )  # fmt: skip


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """Correlations over a batch need at least two images."""
    needs_lightly("barlowtwins")
    needs_feature_vector("barlowtwins", backbone)
    needs_images("barlowtwins", batch_size, 2, "the loss uses correlations over the batch")


class Objective(Trainable):
    """A headless backbone with a projection head of three layers.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because Barlow Twins uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.loss import BarlowTwinsLoss
        from lightly.models.modules.heads import BarlowTwinsProjectionHead

        super().__init__(backbone)
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = BarlowTwinsProjectionHead(width, options.hidden, options.projection)
        self.loss = BarlowTwinsLoss(lambda_param=options.redundancy)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        # one pass for each view: each has its own batch statistics, as in the authors' code
        features = [self.backbone(view) for view in batch["views"]]
        first, second = (gathered(in_full(self.projector(part))) for part in features)
        with no_autocast(first):
            loss = self.loss(first, second)
        return {"loss": loss, "feature_std": feature_std(features[0])}
