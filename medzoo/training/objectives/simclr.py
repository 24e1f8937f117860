"""SimCLR: a contrastive loss that pulls two random views of an image together and pushes other images away.

Source: Chen et al. 2020, https://arxiv.org/abs/2002.05709. The negatives are all other images of the batch, over all processes.

The models of RadNet (Jonske et al. 2023, https://arxiv.org/abs/2306.17555) were trained with: --temperature 0.5 --projection 256
--projection-layers 3 --no-projection-norm --last-activation sigmoid --separate-views --min-area 0.08 --tone 0.8 --hue 0.2 --blur 0,
and with negatives from one GPU only: recipes/protocols/pretrain_jonske_simclr.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import blur_sigma_option, colour_jitter
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of SimCLR."""

    temperature: float = option("temperature of the similarities", 0.2, metavar="T", above=0)
    projection: int = option("output width of the projection head", 128, metavar="N", least=1, most=65_536)
    projection_layers: int = option("layers of the projection head", 2, unused=2, metavar="N", least=2, most=8)
    projection_norm: bool = option("BatchNorm after the hidden layers of the projection head", True, unused=True)
    projection_bias: bool = option(
        "biases in the layers of the projection head that have no BatchNorm", False, unused=False
    )
    last_activation: Literal["relu", "sigmoid"] = option(
        "activation before the last layer of the projection head; the others are relu", "relu", unused="relu"
    )
    separate_views: bool = option(
        "one pass for each view, so that BatchNorm sees one view at a time", False, unused=False
    )
    min_area: float = option("smallest share of the image in a view", 0.2, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness, contrast and saturation changes", 0.4, metavar="X", least=0, most=1)
    hue: float = option(
        "largest turn of the hue, as a share of the circle; for colour images",
        0.0,
        unused=0.0,
        metavar="SHARE",
        least=0,
        most=0.5,
    )
    blur: float = option("probability of a Gaussian blur", 0.5, metavar="P", least=0, most=1)
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)
    blur_sigma: float = blur_sigma_option()


def views(options: Options) -> list[View]:
    """Views as in the paper, with weaker changes; brightness, contrast and saturation change in four of five images."""
    augmentation = colour_jitter(
        options.tone,
        hue=options.hue,
        min_area=options.min_area,
        flip=options.flip,
        grey=options.grey,
        blur=options.blur,
        blur_sigma=options.blur_sigma,
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
    with no_autocast(both):  # which would round the similarities
        similarity = both @ both.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    count = len(first)
    partner = torch.arange(2 * count, device=both.device).roll(count)
    return F.cross_entropy(similarity, partner)


def projection_head(width: int, options: Options) -> nn.Sequential:
    """The projection head: linear layers with activations, and BatchNorm unless it is switched off.

    Args:
        width: of the features and of the hidden layers.
        options: see Options.

    >>> [type(layer).__name__ for layer in projection_head(8, Options())]
    ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = []
    hidden = options.projection_layers - 1
    for number in range(hidden):
        layers.append(nn.Linear(width, width, bias=options.projection_bias and not options.projection_norm))
        if options.projection_norm:
            layers.append(nn.BatchNorm1d(width))
        last = number == hidden - 1
        layers.append(nn.Sigmoid() if last and options.last_activation == "sigmoid" else nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.Linear(width, options.projection, bias=options.projection_bias))


class Objective(Trainable):
    """A headless backbone with a projection head.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because SimCLR uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone)
        self.options = options
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = projection_head(width, options)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        if self.options.separate_views:
            parts = [self.projector(self.backbone(view)) for view in batch["views"]]
        else:
            # one pass over both views: they share batch statistics, as in most implementations on one device
            parts = list(self.projector(self.backbone(torch.cat(batch["views"]))).chunk(2))
        one, two = (gathered(in_full(part)) for part in parts)
        return {"loss": nt_xent(one, two, self.options.temperature), "feature_std": feature_std(one)}
