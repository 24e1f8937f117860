"""DINO: a student learns the prototypes that a teacher, its moving average, gives to large views of the image.

Source: Caron et al. 2021, https://arxiv.org/abs/2104.14294. The temperature of the teacher rises in each step, not once per epoch;
hue and solarization do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.distillation import entropies, scalars
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.pretraining.self_distillation import SelfDistillation
from medzoo.training.pretraining.small_views import LARGE_VIEWS, crops, cut, in_groups, needs_small_views
from medzoo.training.trainable import in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of DINO."""

    prototypes: int = option("number of prototypes", 65_536, metavar="N", least=2, most=1_048_576)
    hidden: int = option("width of the hidden layers of the head", 2048, metavar="N", least=1, most=65_536)
    bottleneck: int = option("width of the head before the prototypes", 256, metavar="N", least=1, most=65_536)
    temperature: float = option("temperature of the student", 0.1, metavar="T", above=0)
    first_teacher_temperature: float = option("temperature of the teacher at the start", 0.04, metavar="T", above=0)
    teacher_temperature: float = option("temperature of the teacher after its warm-up", 0.07, metavar="T", above=0)
    temperature_epochs: float = option("length of this warm-up", 30.0, metavar="EPOCHS", least=0)
    momentum: float = option("momentum of the teacher at the start; it rises to 1", 0.996, metavar="M", least=0, most=1)
    center_momentum: float = option("momentum of the center", 0.9, metavar="M", least=0, most=1)
    frozen_prototype_epochs: float = option(
        "first epochs that leave the prototypes fixed", 1.0, metavar="EPOCHS", least=0
    )
    keep: Literal["teacher", "student"] = option(
        "the network in the checkpoint; after few steps, the teacher is still close to the start", "teacher"
    )
    small_views: int = option("number of small views", 8, metavar="N", least=0, most=64)
    small_side: float = option(
        "side of a small view as a share of --size (96 of 224 px)", 0.43, metavar="SHARE", above=0, most=1
    )
    min_area: float = option("smallest share of the image in a large view", 0.4, metavar="SHARE", above=0, most=1)
    small_area: float = option("largest share of the image in a small view", 0.4, metavar="SHARE", above=0.05, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness and contrast changes", 0.4, metavar="X", least=0, most=1)
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)


def views(options: Options) -> list[View]:
    """Two large views and the small ones."""
    return crops(
        area=options.min_area, small_area=options.small_area, small_views=options.small_views,
        small_side=options.small_side, flip=options.flip, tone=options.tone, grey=options.grey,
    )  # fmt: skip


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
