"""Supervised classification: cross-entropy, or masked binary cross-entropy for several labels per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.distributed import mean_over_processes
from medzoo.training.inputs.views import View
from medzoo.training.losses import TaskLoss
from medzoo.training.options.fields import option
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = True


@dataclass(frozen=True)
class Options:
    """Options of supervised training."""

    label_smoothing: float = option(
        "share of the target spread over all classes; of several labels per image, over yes and no",
        0.0,
        metavar="SHARE",
        least=0,
        most=0.99,
    )
    min_area: float = option("smallest share of the image in a random crop", 0.35, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)


def views(options: Options) -> list[View]:
    """Random resized crop and flip, as ImageNet training has used since Szegedy et al. 2014."""
    return [View(Augmentation(min_area=options.min_area, flip=options.flip))]


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """Every network with a head can be trained with labels."""


class Objective(Trainable):
    """A loss between the outputs of the backbone's head and the labels.

    Args:
        backbone: a timm model whose head has one output per class.
        options: see Options.
        kind: the task's kind: "binary", "multiclass" or "multilabel".
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone)
        self.options, self.kind = options, kind
        self.loss = TaskLoss(kind, label_smoothing=options.label_smoothing)

    def terms(self, batch: dict[str, Any]) -> torch.Tensor:
        """The number of loss terms of a batch: the mean over the processes, which may have different numbers of known labels."""
        return mean_over_processes(self.loss.terms(batch["label"]))

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with "image" (N,C,H,W) and "label" ((N,) int, or (N,K) float with NaN for unknown)."""
        logits, label = in_full(self.backbone(batch["image"])), batch["label"]
        values = {"loss": self.loss(logits, label, batch["terms"] if "terms" in batch else self.terms(batch))}
        if self.kind != "multilabel":
            values["accuracy"] = (logits.argmax(1) == label).float().mean()
        return values
