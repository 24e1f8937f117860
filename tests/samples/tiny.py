"""A tiny network with everything that makes exact resume hard (dropout, batch norm, momentum), and tiny data."""

from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from medzoo.data.decode_cache.decoded import Decoded


class TinyNet(nn.Module):
    """A network with what the loop asks of a timm network: a classifier, and groups of layers."""

    num_features = 8
    pretrained_cfg = MappingProxyType({"classifier": "head"})
    group_matcher = staticmethod(lambda coarse=False: {"stem": "^conv", "blocks": [("^norm", (0,))]})

    def get_classifier(self) -> nn.Module:
        return self.head

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(8, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))


def decoded_rows(count: int = 22, classes: int = 3, side: int = 16) -> Decoded:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = rng.integers(0, 90, (count, side, side), dtype=np.uint8) + (labels * 70).astype(np.uint8)[:, None, None]
    names = [f"i{k}" for k in range(count)]
    return Decoded(images=images, labels=labels.astype(np.int64), ids=names, groups=names, scale=255.0, sha256="0" * 64)
