"""Fixtures of a tiny network and tiny data."""

import pytest
import torch
from tiny import TinyNet, decoded_rows

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.views import View


@pytest.fixture
def rows() -> Decoded:
    return decoded_rows()


@pytest.fixture
def make_batches(rows):
    def make(views: int | list[View] = 1, seed: int = 0, workload: Decoded = rows, **kwargs) -> Batches:
        law = Augmentation(min_area=0.5, flip=0.5, brightness=0.2, contrast=0.2, blur=0.3, rotation=10)
        made = [View(law)] * views if isinstance(views, int) else views
        return Batches(workload, made, InputConvention(), size=16, batch_size=5, seed=seed, **kwargs)

    return make


@pytest.fixture
def tiny_net():
    def make(outputs: int = 3) -> TinyNet:
        torch.manual_seed(0)
        return TinyNet(outputs)

    return make
