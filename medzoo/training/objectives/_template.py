"""TEMPLATE of an objective. FILL IN: the method in one sentence.

Source: FILL IN: authors, year, link. What differs from the paper.
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
from medzoo.training.pretraining.requirements import needs_images
from medzoo.training.trainable import Trainable, in_full

SUPERVISED = False  # FILL IN: True if forward reads batch["label"]


# FILL IN: the hyperparameters. Each becomes an option of recipes/pretrain.py, with its help line, default and limits.
@dataclass(frozen=True)
class Options:
    """Options of the template."""

    projection: int = option("width of the projection that the loss sees", 64, metavar="N", least=1, most=65_536)
    min_area: float = option("smallest share of the image a view keeps", 0.3, metavar="SHARE", above=0, most=1)
    flip: float = option("chance of a left-right flip", 0.5, metavar="P", least=0, most=1)


# FILL IN: how an image is changed at random; `Augmentation` lists what there is. One view gives batch["image"], more give
# batch["views"], a list in this order. View(..., share=0.4) has 0.4 times the side of the training's size.
def views(options: Options) -> list[View]:
    """Two random crops, flipped or not."""
    return [View(Augmentation(min_area=options.min_area, flip=options.flip))] * 2


# FILL IN: what the method needs; `medzoo/training/pretraining/requirements.py` has the usual checks.
def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """The spread of a batch needs two images."""
    needs_images("template", batch_size, 2, "the loss uses the spread of the batch")


class Objective(Trainable):
    """A headless backbone under a linear projection.

    Args:
        backbone: a timm model that gives pooled features (N,D); with SUPERVISED, logits (N,K).
        options: see Options.
        kind: the task's kind; not used here.
    """

    masks_images = False  # FILL IN: True if forward shows the network masked or corrupted images

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__(backbone)
        self.options = options
        # FILL IN: the layers that are dropped after training. Make them here, not in forward: the optimizer must know them.
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = nn.Linear(width, options.projection)

    # FILL IN: the loss. Random numbers of an image (a mask) come from `self.random_numbers`, all others from torch's generator,
    # which the loop seeds for each step: so a run that was stopped and resumed ends with the same weights. What follows the
    # weights after a step (a teacher) goes into `after_update`, and what it needs into buffers or modules, which are saved.
    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W); further scalars are logged."""
        projected = in_full(self.projector(self.backbone(torch.cat(batch["views"]))))
        # with several processes, `gathered` gives the rows of all of them
        first, second = (F.normalize(gathered(part), dim=1) for part in projected.chunk(2))
        similarity = (first * second).sum(dim=1).mean()
        spread = torch.cat([first, second]).std(dim=0).mean()
        return {"loss": 1 - similarity - spread, "similarity": similarity.detach()}
