"""Batches do not depend on workers, on where an epoch is entered, or on how many processes share them."""

import numpy as np
import pytest
import torch

from medzoo.errors import UsageError


def collect(batches, first=0, workers=0):
    return [(batch["image"], batch["label"], batch["index"]) for batch in batches.from_step(first, workers)]


def same(one, two):
    return len(one) == len(two) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and (a[2] == b[2]).all()
        for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(make_batches, workers):
    batches = make_batches()
    batches.set_epoch(2)
    assert same(collect(batches), collect(batches, workers=workers))


@pytest.mark.parametrize("first", [1, 3])
def test_entering_an_epoch_late(make_batches, first):
    batches = make_batches()
    batches.set_epoch(1)
    assert same(collect(batches)[first:], collect(batches, first))


def test_epochs_and_seeds_differ(make_batches):
    one, two, other = make_batches(), make_batches(), make_batches(seed=1)
    two.set_epoch(1)
    assert not same(collect(one), collect(two)) and not same(collect(one), collect(other))


@pytest.mark.parametrize("world", [1, 5])
def test_processes_share_each_batch(make_batches, world):
    whole = collect(make_batches())
    shares = [collect(make_batches(rank=rank, world=world)) for rank in range(world)]
    for step, (images, _, index) in enumerate(whole):
        together = np.concatenate([share[step][2] for share in shares])
        assert sorted(together) == sorted(index)
        for rank, share in enumerate(shares):
            assert torch.equal(share[step][0], images[rank::world])


def test_a_batch_larger_than_the_data_is_the_data(rows, make_batches):
    batches = make_batches()
    assert len(batches) == 4 and batches.batch_size == 5
    from medzoo.training.batches import Batches

    big = Batches(rows, batches.augmentation, batches.convention, size=16, batch_size=500, seed=0)
    assert len(big) == 1 and len(big[0]["label"]) == len(rows.ids)


def test_two_views_differ(make_batches):
    first, second = make_batches(views=2)[0]["views"]
    assert first.shape == second.shape == (5, 3, 16, 16) and not torch.equal(first, second)


def test_unequal_shares_are_refused(make_batches):
    with pytest.raises(UsageError, match="shared equally by 2"):
        make_batches(rank=0, world=2)
