"""SwAV: views of an image predict each other's cluster; the clusters share the images of a batch equally.

Source: Caron et al. 2020, https://arxiv.org/abs/2006.09882. Codes are computed from the rows of all processes. Colours
change half as much as in the authors' code, which has tone 0.8 and hue 0.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.distributed import gathered, processes
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import blur_sigma_option, colour_jitter, hue_option
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.pretraining.small_views import allow_sizes, cut, in_groups, needs_small_views, patch_side
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of SwAV."""

    temperature: float = option("temperature of the predicted clusters", 0.1, metavar="T", above=0)
    epsilon: float = option(
        "softness of the clusters that are predicted; smaller is harder", 0.05, metavar="X", least=0.02, most=1
    )
    prototypes: int = option(
        "number of clusters; at most the images of a batch and of the queue", 128, metavar="N", least=2, most=65_536
    )
    frozen_prototype_epochs: int = option(
        "first epochs in which the clusters stay as they are", 1, metavar="N", least=0, most=100_000
    )
    queue: int = option(
        "images of earlier batches that also form clusters, 0 for none", 0, metavar="N", least=0, most=1_000_000
    )
    queue_epoch: int = option("first epoch that fills the queue, from 0", 15, metavar="N", least=0, most=100_000)
    hidden: int = option("hidden width of the projection head", 2048, metavar="N", least=1, most=65_536)
    projection: int = option("output width of the projection head", 128, metavar="N", least=1, most=65_536)
    small_views: int = option("number of small views of an image", 6, metavar="N", least=0, most=32)
    small_share: float = option(
        "side of a small view as a share of --size", 96 / 224, metavar="SHARE", shown="96/224", above=0, most=1
    )
    min_area: float = option("smallest share of the image in a large view", 0.14, metavar="SHARE", above=0, most=1)
    small_area: float = option(
        "largest share of the image in a small view; the smallest is 0.05", 0.14, metavar="SHARE", above=0.05, most=1
    )
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness, contrast and saturation changes", 0.4, metavar="X", least=0, most=1)
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)
    blur: float = option("probability of a Gaussian blur", 0.5, metavar="P", least=0, most=1)
    hue: float = hue_option(0.1)
    blur_sigma: float = blur_sigma_option()


def views(options: Options) -> list[View]:
    """Two large views, then the small ones."""
    large = colour_jitter(
        options.tone,
        hue=options.hue,
        min_area=options.min_area,
        flip=options.flip,
        grey=options.grey,
        blur=options.blur,
        blur_sigma=options.blur_sigma,
    )
    small = View(replace(large, min_area=0.05, max_area=options.small_area), share=options.small_share)
    return [View(large)] * 2 + [small] * options.small_views


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """As the paper says, fewer images than clusters cannot be divided equally among them; a queue adds images."""
    needs_lightly("swav")
    needs_feature_vector("swav", backbone)
    needs_images("swav", batch_size, 2, "the images of a batch are divided among clusters")
    if (rows := batch_size + options.queue) < options.prototypes:
        raise UsageError(
            f"Method swav cannot divide {rows} images (--batch-size and --queue) equally among {options.prototypes} clusters. "
            f"Lower --prototypes to {rows} or less, or set --queue to {options.prototypes - batch_size} or more.",
            code="batch-too-small",
        )
    if options.small_views:
        needs_small_views("swav", backbone, views(options)[-1].side(size))


class Objective(Trainable):
    """A headless backbone with a projection head and prototypes, the centres of the clusters.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because SwAV uses no labels.
    """

    queue: torch.Tensor | None

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.loss import SwaVLoss
        from lightly.models.modules import SwaVProjectionHead, SwaVPrototypes

        super().__init__(allow_sizes(backbone))
        self.options, self.patch = options, patch_side(backbone)
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = SwaVProjectionHead(width, options.hidden, options.projection)
        self.prototypes = SwaVPrototypes(options.projection, options.prototypes)
        self.prototypes.heads[0].register_parameter("bias", None)  # the paper's similarity is the cosine alone
        self.prototypes.normalize()
        self.loss = SwaVLoss(options.temperature, sinkhorn_epsilon=options.epsilon)
        # one queue for each large view, equal in all processes; the newest rows come first
        self.register_buffer("queue", torch.zeros(2, options.queue, options.projection) if options.queue else None)
        self.newest: torch.Tensor | None = None

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with "views": two large ones, then small ones, each (N,C,H,W)."""
        # one pass for each size, as published; the rows of an image stay together while they are gathered
        given = [cut(view, self.patch) for view in batch["views"]]
        chunks = in_groups(lambda images: in_full(self.projector(self.backbone(images))), given).chunk(len(given))
        rows = F.normalize(gathered(torch.stack(chunks, dim=1)), dim=2)
        # in the order of the batch, of which the processes take turns: so a queue keeps the same rows for any number of them
        rows = rows.unflatten(0, (processes(), -1)).transpose(0, 1).flatten(0, 1)
        with no_autocast(rows):  # which would round the similarities
            similar = self.prototypes(rows).unbind(1)
            loss = self.loss(list(similar[:2]), list(similar[2:]), self._similar_in_queue(len(rows), step)).sum()
        self.newest = rows[:, :2].detach().transpose(0, 1)
        used = torch.cat(similar[:2]).detach().div(self.options.temperature).softmax(dim=1).mean(dim=0)
        return {
            "loss": loss,
            "prototype_entropy": torch.special.entr(used).sum() / log(self.options.prototypes),
            "feature_std": feature_std(self.newest[0]),
        }

    def _similar_in_queue(self, batch_rows: int, step: int) -> list[torch.Tensor] | None:
        """The similarities of the rows in the queue to the prototypes; the filled part is known from the step."""
        if self.queue is None:
            return None
        filled = batch_rows * max(0, step - self.options.queue_epoch * self.epoch_steps)
        with torch.no_grad():
            return list(self.prototypes(self.queue[:, :filled]))

    def before_update(self, step: int) -> None:
        """Keep the prototypes in the first epochs: the optimizer leaves weights without a gradient unchanged."""
        if step < self.options.frozen_prototype_epochs * self.epoch_steps:
            for value in self.prototypes.parameters():
                value.grad = None

    def after_update(self, step: int) -> None:
        """Give the prototypes their length 1 again, and add the rows of the step to the queue."""
        self.prototypes.normalize()
        if self.queue is not None and self.newest is not None and step >= self.options.queue_epoch * self.epoch_steps:
            self.queue.copy_(torch.cat([self.newest, self.queue], dim=1)[:, : self.options.queue])
        self.newest = None
