"""A tiny network with everything that makes exact resume hard (dropout, batch norm, momentum), and tiny data."""

import numpy as np
import pytest
import torch
from torch import nn

from medzoo.data.cache import Decoded
from medzoo.data.views import Augmentation, InputConvention
from medzoo.training.batches import Batches


class TinyNet(nn.Module):
    num_features = 8

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


@pytest.fixture
def rows() -> Decoded:
    return decoded_rows()


@pytest.fixture
def make_batches(rows):
    def make(views: int = 1, seed: int = 0, workload: Decoded = rows, **kwargs) -> Batches:
        law = Augmentation(min_area=0.5, flip=0.5, brightness=0.2, contrast=0.2, blur=0.3, rotation=10)
        return Batches(workload, law, InputConvention(), size=16, batch_size=5, seed=seed, views=views, **kwargs)

    return make


@pytest.fixture
def tiny_net():
    def make(outputs: int = 3) -> TinyNet:
        torch.manual_seed(0)
        return TinyNet(outputs)

    return make
