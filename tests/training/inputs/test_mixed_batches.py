"""Mixed batches: every data set has its share of an epoch, images are those of their own data set, and processes share an epoch."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from tiny import decoded_rows

from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.errors import UsageError
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.mixed_batches import MixedBatches, shares
from medzoo.training.inputs.views import View

LAW = Augmentation(min_area=0.5, flip=0.5, brightness=0.2)
GREY = decoded_rows(21)
COLOUR = replace(
    decoded_rows(6, side=24), ids=[f"c{k}" for k in range(6)],
    images=np.repeat(decoded_rows(6, side=24).images[..., None].astype(np.uint16) * 257, 3, axis=-1), scale=65535.0,
)  # fmt: skip


def mixed(weights=(1.0, 1.0), views=1, **options):
    usual = {"size": 16, "batch_size": 6, "seed": 3}
    return MixedBatches([GREY, COLOUR], weights, [View(LAW)] * views, InputConvention(), **{**usual, **options})


def epoch_of(batches, epoch=0):
    batches.set_epoch(epoch)
    return [batches[number] for number in range(len(batches))]


def test_by_size_every_image_comes_once():
    found = [name for batch in epoch_of(mixed((21, 6), batch_size=9)) for name in mixed().ids_of(batch["index"])]
    assert sorted(found) == sorted(GREY.ids + COLOUR.ids)


@pytest.mark.parametrize("weights", [(1, 1), (1, 8), (8, 1), (1e-9, 1)])
def test_weights_are_shares_of_every_epoch(weights):
    batches = mixed(weights, batch_size=9)
    for epoch in range(3):
        found = Counter(name for batch in epoch_of(batches, epoch) for name in batches.ids_of(batch["index"]))
        small = [found[name] for name in COLOUR.ids]
        assert sum(small) == shares(weights, 27)[1]
        assert max(small) - min(small) <= 1, "a repeated data set comes as a whole before it comes again"
        large = [found[name] for name in GREY.ids]
        assert max(large) - min(large) <= 1 and sum(large) + sum(small) == 27


def test_epochs_differ_and_repeat():
    batches = mixed()
    orders = [np.concatenate([batch["index"] for batch in epoch_of(batches, epoch)]).tolist() for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]


def test_an_image_that_comes_again_looks_different():
    batches = mixed((1e-9, 1), batch_size=27)
    batch = epoch_of(batches)[0]
    names = batches.ids_of(batch["index"])
    rows = [number for number, name in enumerate(names) if name == names[0]]
    assert len(rows) == 5 or len(rows) == 4
    assert not torch.equal(batch["image"][rows[0]], batch["image"][rows[1]])


def test_an_image_is_that_of_its_own_data_set():
    """Grey and colour, 8 and 16 bits, other sizes."""
    batches = mixed((21, 6), batch_size=27, views=2)
    batch = epoch_of(batches, 1)[0]
    for row, number in enumerate(batch["index"]):
        source, own = (GREY, number) if number < 21 else (COLOUR, number - 21)
        alone = Batches(source, [View(LAW)] * 2, InputConvention(), size=16, batch_size=2, seed=3)
        alone.set_epoch(1)
        same = alone.batch_of(source, np.array([own]), np.array([number]))
        assert all(torch.equal(one[row], two[0]) for one, two in zip(batch["views"], same["views"], strict=True))
        assert batch["label"][row] == source.labels[own]


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_and_workers_share_an_epoch(workers):
    whole = epoch_of(mixed(batch_size=6))
    parts = [list(mixed(batch_size=6, rank=rank, world=2).from_step(1, workers)) for rank in range(2)]
    for one, *two in zip(whole[1:], *parts, strict=True):
        for rank, part in enumerate(two):
            assert (part["index"] == one["index"][rank::2]).all()
            assert torch.equal(part["image"], one["image"][rank::2])


def test_a_batch_that_processes_cannot_share():
    with raises(UsageError, "batch-not-divisible"):
        mixed(batch_size=5, world=2)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=6), st.integers(0, 10_000))
def test_shares_add_up_and_are_near_their_weight(weights, total):
    counts = shares(weights, total)
    assert sum(counts) == total and min(counts) >= 0
    assert all(
        abs(count - weight / sum(weights) * total) < 1.001 for count, weight in zip(counts, weights, strict=True)
    )
