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
from medzoo.training.options.fields import option

SUPERVISED = False  # FILL IN: True if forward reads batch["label"]
VIEWS = 2  # FILL IN: 1 gives batch["image"], more give batch["views"], a list


# FILL IN: the hyperparameters. Each becomes an option of recipes/pretrain.py, with its help line, default and limits.
@dataclass(frozen=True)
class Options:
    """Options of the template."""

    projection: int = option("width of the projection that the loss sees", 64, metavar="N", least=1, most=65_536)
    min_area: float = option("smallest share of the image a view keeps", 0.3, metavar="SHARE", above=0, most=1)
    flip: float = option("chance of a left-right flip", 0.5, metavar="P", least=0, most=1)


# FILL IN: how an image is changed at random; `Augmentation` lists what there is.
def views(options: Options) -> Augmentation:
    """Random crops and flips."""
    return Augmentation(min_area=options.min_area, flip=options.flip)


class Objective(nn.Module):
    """A headless backbone under a linear projection.

    Args:
        backbone: a timm model that gives pooled features (N,D); with SUPERVISED, logits (N,K).
        options: see Options.
        kind: the task's kind; not used here.
    """

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        super().__init__()
        self.backbone, self.options = backbone, options
        # FILL IN: the layers that are dropped after training. Make them here, not in forward: the optimizer must know them.
        width = int(backbone.num_features)  # type: ignore[arg-type]
        self.projector = nn.Linear(width, options.projection)

    # FILL IN: the loss. Random numbers come from torch's generator only: the loop seeds it for each step, so that a run that
    # was stopped and resumed ends with the same weights.
    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with two "views", each (N,C,H,W); further scalars are logged."""
        projected = self.projector(self.backbone(torch.cat(batch["views"]))).float()
        # with several processes, `gathered` gives the rows of all of them
        first, second = (F.normalize(gathered(part), dim=1) for part in projected.chunk(2))
        similarity = (first * second).sum(dim=1).mean()
        spread = torch.cat([first, second]).std(dim=0).mean()
        return {"loss": 1 - similarity - spread, "similarity": similarity.detach()}
