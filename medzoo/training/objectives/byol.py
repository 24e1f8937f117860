"""BYOL: the network predicts, from one view of an image, what a slow average of itself gives for the other view.

Source: Grill et al. 2020, https://arxiv.org/abs/2006.07733. The loss is the mean of the two negative cosine similarities; the
paper's is four times this, plus 4.
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
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.paired_views import PairedViewOptions
from medzoo.training.pretraining.requirements import needs_feature_vector, needs_images, needs_lightly
from medzoo.training.pretraining.teacher import Taught, Teacher
from medzoo.training.trainable import in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options(PairedViewOptions):
    """Options of BYOL."""

    momentum: float = option(
        "share of the teacher's old weights in the first step; it rises to 1", 0.996, metavar="X", least=0, most=1
    )
    hidden: int = option("hidden width of the projection and prediction heads", 4096, metavar="N", least=1, most=65_536)
    projection: int = option("output width of both heads", 256, metavar="N", least=1, most=65_536)


def views(options: Options) -> list[View]:
    """The paper's two views, which differ in blur and solarization."""
    return options.views()


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """The heads have BatchNorm layers: without a second image, they give the same output for every image."""
    needs_lightly("byol")
    needs_feature_vector("byol", backbone)
    needs_images("byol", batch_size, 2, "its heads normalise by the other images of the batch")


class Objective(Taught):
    """A headless backbone with projection and prediction heads, and a teacher of backbone and projection.

    Args:
        backbone: a timm model that gives pooled features.
        options: see Options.
        kind: not used, because BYOL uses no labels.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.loss import NegativeCosineSimilarity
        from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead

        super().__init__(backbone, options.momentum)
        self.options = options
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = BYOLProjectionHead(width, options.hidden, options.projection)
        self.predictor = BYOLPredictionHead(options.projection, options.hidden, options.projection)
        self.teacher = Teacher(self.student())
        self.distance = NegativeCosineSimilarity()

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W)."""
        # one pass for each view, as published: a view is normalised by its own statistics
        student = self.student()
        projected = [student(view) for view in batch["views"]]
        predicted = [gathered(in_full(self.predictor(rows))) for rows in projected]
        targets = [gathered(in_full(self.teacher(view))) for view in batch["views"]]
        loss = (self.distance(predicted[0], targets[1]) + self.distance(predicted[1], targets[0])) / 2
        return {
            "loss": loss,
            **scalars(loss, teacher_momentum=self.momentum_at(step)),
            "feature_std": feature_std(predicted[0]),
        }
