"""The head of DINO: from features to similarities with prototypes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class PrototypeHead(nn.Module):
    """Three linear layers, and the cosine similarities of their output with learned prototypes.

    It computes what lightly's DINOProjectionHead computes with `norm_last_layer`. That one uses a form of weight normalisation
    that cannot be copied, and a teacher is a copy.

    Args:
        width: of the features.
        hidden: width of the hidden layers.
        bottleneck: width of the normalised output.
        prototypes: their number.

    Source: https://arxiv.org/abs/2104.14294

    >>> PrototypeHead(8, 16, 4, 32)(torch.ones(2, 8)).shape
    torch.Size([2, 32])
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Linear(bottleneck, prototypes, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The similarities (N, prototypes) of features (N, width)."""
        rows = F.normalize(self.layers(features), dim=-1)
        return F.linear(rows, F.normalize(self.prototypes.weight, dim=1))
