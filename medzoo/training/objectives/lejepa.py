"""LeJEPA: all views of an image are close to the mean of its large views, and projections of a batch have a normal distribution.

Source: Balestriero and LeCun 2025, https://arxiv.org/abs/2511.08544. It has no teacher. The distribution is that of all
processes. Every view is blurred and solarized with the same probability, as by the authors (https://github.com/rbalestr-lab/lejepa).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from medzoo.data.rng import noise_seed
from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.optimization.micro_batches import seed_noise
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import solarize_option
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.pretraining.small_views import (
    LARGE_VIEWS,
    SmallViewOptions,
    allow_sizes,
    cut,
    in_groups,
    needs_small_views,
    patch_side,
)
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False
ALL_PROCESSES = -1  # in place of a process's number: the numbers are the same in all processes


@dataclass(frozen=True)
class Options(SmallViewOptions):
    """Options of LeJEPA."""

    sigreg: float = option(
        "weight of the distribution's distance from a normal one, the rest is for invariance", 0.05,
        metavar="SHARE", least=0, most=1,
    )  # fmt: skip
    directions: int = option(
        "random directions in which the distribution is compared", 1024, metavar="N", least=1, most=65_536
    )
    hidden: int = option("width of the hidden layers of the projection head", 2048, metavar="N", least=1, most=65_536)
    projection: int = option("output width of the projection head", 64, metavar="N", least=1, most=65_536)
    blur: float = option("probability of a Gaussian blur of a view", 0.5, metavar="P", least=0, most=1)
    solarize: float = solarize_option(0.2, "each view")
    small_views: int = option("number of small views", 6, metavar="N", least=1, most=64)
    small_side: float = option(
        "side of a small view as a share of --size (98 of 224 px)", 0.4375, metavar="SHARE", above=0, most=1
    )
    min_area: float = option("smallest share of the image in a large view", 0.3, metavar="SHARE", above=0, most=1)
    small_area: float = option("largest share of the image in a small view", 0.3, metavar="SHARE", above=0.05, most=1)


def views(options: Options) -> list[View]:
    """Two large views and the small ones, blurred and solarized alike."""
    return [
        replace(one, augmentation=replace(one.augmentation, blur=options.blur, solarize=options.solarize))
        for one in options.views()
    ]


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """A distribution needs at least two images, and the network has to process small views."""
    needs_lightly("lejepa")
    needs_feature_vector("lejepa", backbone)
    needs_images("lejepa", batch_size, 2, "the loss uses the distribution over the batch")
    needs_small_views("lejepa", backbone, views(options)[-1].side(size))


class Objective(Trainable):
    """A headless backbone with a projection head of three layers.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because LeJEPA uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.loss.lejepa_loss import SIGReg
        from lightly.models.modules.heads import LeJEPAProjectionHead

        super().__init__(allow_sizes(backbone))
        self.options, self.patch = options, patch_side(backbone)
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = LeJEPAProjectionHead(width, options.hidden, options.projection)
        self.distance = SIGReg(num_vectors=options.directions)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with "views", first the large ones, each (N,C,H,W)."""
        from lightly.loss.lejepa_loss import lejepa_invariance_loss

        # features (V * N, D), projections (V, N, D) of the images of all processes
        number, weight = len(batch["views"]), self.options.sigreg
        features = in_groups(self.backbone, [cut(view, self.patch) for view in batch["views"]])
        projected = in_full(self.projector(features))
        rows = gathered(projected.unflatten(0, (number, -1)).transpose(0, 1)).transpose(0, 1)
        with no_autocast(rows):
            distance = self._distance(rows, step)
            invariance = lejepa_invariance_loss(all_proj=rows, global_proj=rows[:LARGE_VIEWS])
        return {
            "loss": weight * distance + (1 - weight) * invariance,
            "sigreg": distance.detach(),
            "invariance": invariance.detach(),
            "feature_std": feature_std(features.unflatten(0, (number, -1))[0]),
        }

    def _distance(self, rows: torch.Tensor, step: int) -> torch.Tensor:
        """SIGReg, whose random directions are a function of the seed and the step, equal in all processes."""
        device = rows.device
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            seed_noise(noise_seed(self.seed, step, ALL_PROCESSES), device)
            distance: torch.Tensor = self.distance(rows)
        return distance
