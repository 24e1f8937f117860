"""VICReg: two views give equal projections; each value varies over the batch, and different values are not correlated.

Source: Bardes et al. 2022, https://arxiv.org/abs/2105.04906. Variances and covariances are those of the images of all processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
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
EPSILON = 1e-4


@dataclass(frozen=True)
class Options:
    """Options of VICReg."""

    invariance: float = option("weight of the distance between the views", 25.0, metavar="X", least=0)
    variance: float = option("weight of the variance term", 25.0, metavar="X", least=0)
    covariance: float = option("weight of the covariance term", 1.0, metavar="X", least=0)
    hidden: int = option("width of the hidden layers of the projection head", 8192, metavar="N", least=1, most=65_536)
    projection: int = option("output width of the projection head", 8192, metavar="N", least=2, most=65_536)
    min_area: float = option("smallest share of the image in a view", 0.08, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness and contrast changes", 0.4, metavar="X", least=0, most=1)
    blur: float = option("probability of a Gaussian blur", 0.5, metavar="P", least=0, most=1)
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)
    hue: float = hue_option(0.1)
    solarize: float = solarize_option(0.1, "each view")
    blur_sigma: float = blur_sigma_option()


def views(options: Options) -> list[View]:
    """Two views with the same random changes."""
    return paired_views(
        min_area=options.min_area, flip=options.flip, tone=options.tone, grey=options.grey, blur=options.blur,
        second_blur=options.blur, hue=options.hue, solarize=options.solarize, second_solarize=options.solarize,
        blur_sigma=options.blur_sigma,
    )  # fmt: skip


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """Variances over a batch need at least two images."""
    needs_lightly("vicreg")
    needs_feature_vector("vicreg", backbone)
    needs_images("vicreg", batch_size, 2, "the loss uses variances over the batch")


def terms(first: torch.Tensor, second: torch.Tensor) -> dict[str, torch.Tensor]:
    """The three terms of the loss, without their weights.

    lightly's VICRegLoss selects the covariances with a mask, for which the processor waits for the device; here they are
    computed without.

    Args:
        first: (N, D) projections of one view, N and D >= 2.
        second: (N, D) projections of the other.

    >>> rows = 2 * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> {name: float(value) for name, value in terms(rows, rows).items()}
    {'invariance': 0.0, 'variance': 0.0, 'covariance': 0.0}
    """
    spread = [F.relu(1 - (rows.var(dim=0) + EPSILON).sqrt()).mean() for rows in (first, second)]
    return {
        "invariance": F.mse_loss(first, second),
        "variance": (spread[0] + spread[1]) / 2,
        "covariance": _covariances(first) + _covariances(second),
    }


def _covariances(rows: torch.Tensor) -> torch.Tensor:
    """The sum of the squared covariances between different columns, divided by their number."""
    centred = rows - rows.mean(dim=0)
    matrix = centred.T @ centred / (len(rows) - 1)
    return matrix.fill_diagonal_(0).square().sum() / rows.shape[1]


class Objective(Trainable):
    """A headless backbone with a projection head of three layers.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because VICReg uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.models.modules.heads import VICRegProjectionHead

        super().__init__(backbone)
        self.options = options
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = VICRegProjectionHead(width, options.hidden, options.projection)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        options = self.options
        # one pass for each view: each has its own batch statistics, as in the authors' code
        features = [self.backbone(view) for view in batch["views"]]
        first, second = (gathered(in_full(self.projector(part))) for part in features)
        with no_autocast(first):
            parts = terms(first, second)
        loss = options.invariance * parts["invariance"] + options.variance * parts["variance"]
        loss = loss + options.covariance * parts["covariance"]
        logged = {name: value.detach() for name, value in parts.items()}
        return {"loss": loss, **logged, "feature_std": feature_std(features[0])}
