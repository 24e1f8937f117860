"""SimCLR: a contrastive loss that pulls two random views of an image together and pushes other images away.

Source: Chen et al. 2020, https://arxiv.org/abs/2002.05709. The negatives are all other images of the batch, over all processes; hue
is not jittered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of SimCLR."""

    temperature: float = option("temperature of the similarities", 0.2, metavar="T", above=0)
    projection: int = option("output width of the projection head", 128, metavar="N", least=1, most=65_536)
    min_area: float = option("smallest share of the image in a view", 0.2, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness, contrast and saturation changes", 0.4, metavar="X", least=0, most=1)
    blur: float = option("probability of a Gaussian blur", 0.5, metavar="P", least=0, most=1)
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)


def views(options: Options) -> list[View]:
    """The paper's views; brightness, contrast and saturation change in four of five images."""
    strength = options.tone
    augmentation = Augmentation(
        min_area=options.min_area,
        flip=options.flip,
        brightness=strength,
        contrast=strength,
        saturation=strength,
        tone=0.8,
        grey=options.grey,
        blur=options.blur,
    )
    return [View(augmentation)] * 2


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """An image is compared with the other images, so it needs at least one."""
    needs_feature_vector("simclr", backbone)
    needs_images("simclr", batch_size, 2, "each image is compared with the others")


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Normalised temperature-scaled cross-entropy of N pairs.

    Args:
        first: (N, D) projections of one view.
        second: (N, D) projections of the other.
        temperature: divides the cosine similarities.

    >>> pair = torch.eye(2)
    >>> round(float(nt_xent(pair, pair, 1.0)), 4)
    0.5514
    """
    both = F.normalize(in_full(torch.cat([first, second])), dim=1)
    similarity = both @ both.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    count = len(first)
    partner = torch.arange(2 * count, device=both.device).roll(count)
    return F.cross_entropy(similarity, partner)


class Objective(Trainable):
    """A headless backbone with a two-layer projection head.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because SimCLR uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone)
        self.options = options
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, options.projection, bias=False),
        )

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        first, second = batch["views"]
        # one pass over both views: they share batch statistics, as in most implementations on one device
        projected = self.projector(self.backbone(torch.cat([first, second])))
        one, two = (gathered(in_full(part)) for part in projected.chunk(2))
        return {"loss": nt_xent(one, two, self.options.temperature)}
