"""BYOL: the network predicts, from one view of an image, what a slow average of itself gives for the other view.

Source: Grill et al. 2020, https://arxiv.org/abs/2006.07733. The loss is the mean of the two negative cosine similarities; the
paper's is four times this, plus 4. Views are not solarized, and hue is not jittered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.paired_views import paired_views
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.pretraining.teacher import Teacher
from medzoo.training.trainable import Trainable, half_cosine, in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options:
    """Options of BYOL."""

    momentum: float = option(
        "share of the teacher's old weights in the first step; it rises to 1", 0.996, metavar="X", least=0, most=1
    )
    hidden: int = option("hidden width of the projection and prediction heads", 4096, metavar="N", least=1, most=65_536)
    projection: int = option("output width of both heads", 256, metavar="N", least=1, most=65_536)
    min_area: float = option("smallest share of the image in a view", 0.08, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option(
        "strength of brightness and contrast changes; half of it for saturation", 0.4, metavar="X", least=0, most=1
    )
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)
    blur: float = option("probability of a Gaussian blur of the first view", 1.0, metavar="P", least=0, most=1)
    second_blur: float = option("probability of a Gaussian blur of the second view", 0.1, metavar="P", least=0, most=1)


def views(options: Options) -> list[View]:
    """The paper's two views, which differ in the blur."""
    return paired_views(
        min_area=options.min_area, flip=options.flip, tone=options.tone, grey=options.grey, blur=options.blur,
        second_blur=options.second_blur,
    )  # fmt: skip


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """The heads have BatchNorm layers: without a second image, they give the same output for every image."""
    needs_lightly("byol")
    needs_feature_vector("byol", backbone)
    needs_images("byol", batch_size, 2, "its heads normalise by the other images of the batch")


class Objective(Trainable):
    """A headless backbone with projection and prediction heads, and a teacher of backbone and projection.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because BYOL uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.loss import NegativeCosineSimilarity
        from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead

        super().__init__(backbone)
        self.options = options
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = BYOLProjectionHead(width, options.hidden, options.projection)
        self.predictor = BYOLPredictionHead(options.projection, options.hidden, options.projection)
        self.teacher = Teacher(self._student())
        self.distance = NegativeCosineSimilarity()

    def _student(self) -> nn.Sequential:
        """What the teacher follows; the checkpoint keeps the backbone of the student."""
        return nn.Sequential(self.backbone, self.projector)

    def _momentum(self, step: int) -> float:
        return half_cosine(self.options.momentum, 1.0, step, self.steps)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        # one pass for each view, as published: a view is normalised by its own statistics
        student = self._student()
        projected = [student(view) for view in batch["views"]]
        predicted = [gathered(in_full(self.predictor(rows))) for rows in projected]
        targets = [gathered(in_full(self.teacher(view))) for view in batch["views"]]
        loss = (self.distance(predicted[0], targets[1]) + self.distance(predicted[1], targets[0])) / 2
        return {
            "loss": loss,
            "teacher_momentum": loss.detach().new_full((), self._momentum(step)),
            "feature_std": feature_std(predicted[0]),
        }

    def after_update(self, step: int) -> None:
        """Move the teacher."""
        self.teacher.follow(self._student(), self._momentum(step))
