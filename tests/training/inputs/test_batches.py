"""Batches do not depend on workers, on where an epoch is entered, or on how many processes share them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from expect import raises

from medzoo.data.decode_cache.device import place, to_tensor
from medzoo.data.label_policy import LabelPolicy
from medzoo.data.rng import uniform
from medzoo.data.transforms import apply as views
from medzoo.data.transforms.apply import to_unit
from medzoo.errors import UsageError
from medzoo.training.inputs import batches


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


def row_by_row(batches, epoch):
    """The view of each row of an epoch, whichever batch it is in."""
    batches.set_epoch(epoch)
    return {int(row): image for images, _, index in collect(batches) for row, image in zip(index, images, strict=True)}


def test_every_row_has_another_view_in_every_epoch(make_batches):
    """Not only another order: this law turns and tones every image, so that no two views of a row are equal."""
    views = [row_by_row(make_batches(), epoch) for epoch in range(3)]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        both = views[first].keys() & views[second].keys()
        assert len(both) >= 18 and not any(torch.equal(views[first][row], views[second][row]) for row in both)


@pytest.mark.parametrize("rule", ["unit", "per_image_minmax"])
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_view_is_drawn_by_seed_epoch_and_row(rows, make_batches, epoch, rule):
    """The same numbers as `augment` gives for the row's place in the split; before it the rule, then mean and std."""
    batches = make_batches(seed=7)
    batches.convention = replace(batches.convention, rule=rule)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for row, image in row_by_row(batches, epoch).items():
        unit = torch.from_numpy(rows.images[row : row + 1] / np.float32(255))[:, None]
        if rule == "per_image_minmax":
            unit = (unit - unit.min()) / (unit.max() - unit.min())
        drawn = views.augment(
            unit, batches.views[0].augmentation, 16, seed=7, epoch=epoch, indices=np.array([row]), stream="view0"
        )
        assert (image - (drawn[0] - mean) / std).abs().max() < 1e-5


def test_rows_have_another_order_and_other_companions_in_every_epoch(make_batches):
    """And the rows of the incomplete batch, which an epoch leaves out, are not always the same."""
    orders, batches = [], make_batches()
    for epoch in range(4):
        batches.set_epoch(epoch)
        orders.append([batch["index"].tolist() for batch in batches.from_step(0, 0)])
    sets = [set(map(frozenset, order)) for order in orders]
    assert not sets[0] & sets[1] and not sets[1] & sets[2]
    assert len({frozenset(range(22)) - {row for batch in order for row in batch} for order in orders}) > 1
    batches.set_epoch(1)
    assert [batch["index"].tolist() for batch in batches.from_step(0, 0)] == orders[1]


def test_labels_and_numbers_are_those_of_the_rows(rows, make_batches):
    seen = []
    for _, labels, index in collect(make_batches()):
        assert (labels.numpy() == rows.labels[index]).all()
        seen += index.tolist()
    assert len(seen) == len(set(seen)) == 20  # each row once; the incomplete batch waits for another epoch


def test_soft_labels_are_drawn_anew_in_every_epoch(rows, make_batches):
    """Uncertain labels only, within the policy's bounds, by (seed, epoch, row)."""
    labels = np.tile(np.array([[0, 1, np.nan]], np.float32), (len(rows.ids), 1))
    uncertain = np.zeros(labels.shape, bool)
    uncertain[::2, 0] = True
    soft = replace(rows, labels=labels, uncertain=uncertain, policy=LabelPolicy("soft", 0.6, 0.8))

    def drawn(epoch, seed=0):
        batches = make_batches(workload=soft, seed=seed)
        batches.set_epoch(epoch)
        return {
            int(row): label.numpy()
            for _, given, index in collect(batches)
            for row, label in zip(index, given, strict=True)
        }

    one, again, later, other = drawn(0), drawn(0), drawn(1), drawn(0, seed=1)
    for row, label in one.items():
        assert label[1] == 1 and np.isnan(label[2]) and (0.6 <= label[0] < 0.8 if row % 2 == 0 else label[0] == 0)
        assert label[0] == again[row][0]
    for changed in (later, other):
        shared = [row for row in one.keys() & changed.keys() if row % 2 == 0]
        assert shared and all(one[row][0] != changed[row][0] for row in shared)


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
    from medzoo.training.inputs.batches import Batches

    big = Batches(rows, batches.views, batches.convention, size=16, batch_size=500, seed=0)
    assert len(big) == 1 and len(big[0]["label"]) == len(rows.ids)


def test_two_views_differ(make_batches):
    first, second = make_batches(views=2)[0]["views"]
    assert first.shape == second.shape == (5, 3, 16, 16) and not torch.equal(first, second)


def test_unequal_shares_are_refused(make_batches):
    with raises(UsageError, "batch-not-divisible"):
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
            patch.setattr(views, "_default_form", lambda device: form)
            made = list(there.from_step(0, 2))
        for one, other in zip(expected, made, strict=True):
            assert (one["index"] == other["index"]).all() and torch.equal(one["label"], other["label"])
            for first, second in zip(one["views"], other["views"], strict=True):
                assert (first - second).abs().max() <= difference
            assert all(torch.equal(first, second) for first, second in zip(one["masks"], other["masks"], strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_numbers_of_images_stay_on_the_host(make_batches, workers):
    """Random numbers are made from them there; a tensor would go to the device with the images."""
    for batch in make_batches().from_step(0, workers):
        there = batches.to_device(batch, torch.device("meta"))
        assert there["image"].device.type == "meta" and uniform("", 0, 0, there["index"], 3).shape == (
            len(batch["image"]),
            3,
        )


@pytest.mark.parametrize("target", [None, "cpu", "cuda"])
@pytest.mark.parametrize("on_host", [True, False])
def test_only_batches_of_the_host_that_go_to_a_gpu_are_pinned(rows, make_batches, monkeypatch, target, on_host):
    """Rows on a device make batches there, which cannot be pinned."""
    given = {}
    monkeypatch.setattr(batches, "DataLoader", lambda dataset, **options: given.update(options) or [])
    data = rows if on_host else place(rows, torch.device("cpu"), "always")
    list(make_batches(workload=data).from_step(0, 2, None if target is None else torch.device(target)))
    assert given["pin_memory"] == (on_host and target == "cuda")
    assert given["num_workers"] == (2 if on_host else 0)


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_pinned_batches_are_the_same(make_batches, workers):
    made = make_batches(views=2)
    pairs = list(zip(made.from_step(0, workers, torch.device("cuda")), made.from_step(0, 0), strict=True))
    for pinned, plain in pairs:
        assert all(view.is_pinned() for view in pinned["views"]) and pinned["label"].is_pinned()
        assert all(torch.equal(*both) for both in zip(pinned["views"], plain["views"], strict=True))
        assert torch.equal(pinned["label"], plain["label"]) and (pinned["index"] == plain["index"]).all()
    assert pairs


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
