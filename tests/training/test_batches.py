"""Batches do not depend on workers, on where an epoch is entered, or on how many processes share them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medzoo.data import views
from medzoo.data.device import place, to_tensor
from medzoo.data.views import InputConvention, to_unit
from medzoo.errors import UsageError
from medzoo.training.batches import evaluate_rows


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


def with_masks(rows):
    masks = (rows.images > 120).astype(np.uint8) * 2
    return replace(rows, masks=masks)


@pytest.mark.parametrize(("form", "difference"), [("taps", 0.0), ("matmul", 1e-4)])
def test_batches_do_not_depend_on_where_rows_lie(rows, make_batches, monkeypatch, form, difference):
    """To the last bit on a CPU, and to rounding by the form of other devices (values span about 5)."""
    host = make_batches(views=2, workload=with_masks(rows))
    there = make_batches(views=2, workload=place(with_masks(rows), torch.device("cpu"), "always"))
    for epoch in (0, 2):
        host.set_epoch(epoch)
        there.set_epoch(epoch)
        assert len(host) == len(there)
        expected = list(host.from_step(0, 2))
        with monkeypatch.context() as patch:
            patch.setattr(views, "_usual", lambda device: form)
            made = list(there.from_step(0, 2))
        for one, other in zip(expected, made, strict=True):
            assert (one["index"] == other["index"]).all() and torch.equal(one["label"], other["label"])
            for first, second in zip(one["views"], other["views"], strict=True):
                assert (first - second).abs().max() <= difference
            assert all(torch.equal(first, second) for first, second in zip(one["masks"], other["masks"], strict=True))


def test_sixteen_bits_and_colour_survive_the_way_to_a_device(rows):
    wide = np.random.default_rng(0).integers(0, 65536, (5, 4, 4, 3), dtype=np.uint16)
    data = replace(rows, images=wide, ids=rows.ids[:5], scale=65535.0)
    there = place(data, torch.device("cpu"), "always")
    assert there.images.shape == wide.shape and (there.images[1:4].numpy() == wide[1:4]).all()
    assert torch.equal(to_unit(there.images[np.array([4, 0])], 65535.0), to_unit(wide[[4, 0]], 65535.0))
    assert (to_tensor(wide, torch.device("cpu")).numpy() == wide).all()


def test_masks_come_with_their_images(rows, make_batches):
    batch = make_batches(workload=with_masks(rows))[0]
    assert batch["mask"].shape == (5, 16, 16) and batch["mask"].dtype == torch.uint8
    assert set(batch["mask"].unique().tolist()) <= {0, 2} and "mask" not in make_batches()[0]


@pytest.mark.parametrize("size", [16, 20])
def test_an_evaluation_does_not_depend_on_where_rows_lie(rows, size):
    def model(batch):
        return batch.mean((2, 3))

    outputs = [
        evaluate_rows(model, data, InputConvention(), size=size, device=torch.device("cpu"), batch_size=7)
        for data in (rows, place(rows, torch.device("cpu"), "always"))
    ]
    assert outputs[0].shape == (22, 3) and np.abs(outputs[0] - outputs[1]).max() < 1e-6
