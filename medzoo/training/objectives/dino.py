"""DINO: a student learns the prototypes that a teacher, its moving average, gives to large views of the image.

Source: Caron et al. 2021, https://arxiv.org/abs/2104.14294. The temperature of the teacher rises in each step, not once per epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.training.inputs.views import View
from medzoo.training.pretraining.distillation import entropies, scalars
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.pretraining.self_distillation import DistillationOptions, SelfDistillation
from medzoo.training.pretraining.small_views import LARGE_VIEWS, SmallViewOptions, cut, in_groups, needs_small_views
from medzoo.training.trainable import in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options(SmallViewOptions, DistillationOptions):
    """Options of DINO."""


def views(options: Options) -> list[View]:
    """Two large views and the small ones."""
    return options.views()


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """The network has to process small views; the center is a mean over images."""
    needs_lightly("dino")
    needs_feature_vector("dino", backbone)
    needs_images("dino", batch_size, 2, "the center is the mean of the batch")
    if options.small_views:
        needs_small_views("dino", backbone, views(options)[-1].side(size))


class Objective(SelfDistillation):
    """A headless backbone with a head of prototypes, and the teacher of both.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because DINO uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.loss import DINOLoss

        super().__init__(backbone, options, heads=1)
        # it holds the center, a mean over the teacher's outputs of all processes
        self.loss = DINOLoss(
            options.prototypes, student_temp=options.temperature, center_momentum=options.center_momentum
        )

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with "views", first the two large ones, each (N,C,H,W)."""
        given = [cut(view, self.patch) for view in batch["views"]]
        features = in_groups(self.backbone, given)
        student = in_full(self.heads[0](features)).chunk(len(given))
        with torch.no_grad():
            network, head = self.teacher.parts()
            teacher = in_full(head(network(torch.cat(given[:LARGE_VIEWS]))))
        # each image counts equally, so the mean over the processes is the loss of the whole batch
        temperature = self.temperature_at(step)
        with no_autocast(teacher):
            watched = entropies((teacher - self.loss.center[0]) / temperature)
            loss = self.loss(list(teacher.chunk(LARGE_VIEWS)), list(student), teacher_temp=temperature)
        logged = scalars(loss, teacher_momentum=self.momentum_at(step), teacher_temperature=temperature)
        return {"loss": loss, **watched, **logged, "feature_std": feature_std(features.chunk(len(given))[0])}
