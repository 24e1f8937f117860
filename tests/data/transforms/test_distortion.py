"""Distortions: equal to scipy for the same displacement, the same for image and mask, and of every batch the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medzoo.data.transforms.apply import Augmentation, augment, view_of_masks
from medzoo.data.transforms.distortion import CELLS, Distortion, spread_taps
from medzoo.data.transforms.random_params import draw
from medzoo.data.transforms.resample import apply_taps

LAW = Augmentation(distort=1.0, elastic_affine=3.6, optical_limit=2.0)
SOME = replace(LAW, distort=0.4, min_area=0.5, flip=0.5, brightness=0.2, blur=0.2)
MOVED = replace(SOME, rotation=25, shift=0.1, shear=8, zoom=0.2)


def smooth(count=12, channels=1, side=48):
    """Random images without sharp edges, so that two interpolations nearly agree with one."""
    noise = np.random.default_rng(0).random((count, channels, side, side))
    blurred = ndimage.gaussian_filter(noise, (0, 0, 4, 4), mode="wrap")
    low, high = blurred.min((2, 3), keepdims=True), blurred.max((2, 3), keepdims=True)
    return torch.from_numpy((blurred - low) / (high - low)).float()


def drawn(law, count=12, size=48, side=48, epoch=0):
    return draw(law, (side, side), size, seed=3, epoch=epoch, indices=np.arange(count), stream="v")


def seen(law, batch, first=0, size=48, epoch=0, **options):
    indices = np.arange(first, first + len(batch))
    return augment(batch, law, size, seed=3, epoch=epoch, indices=indices, stream="v", **options)


def gaussian(size, sigma, cells):
    """Weights of the points of the coarse grid for every pixel, from the formula."""
    distance = np.arange(size)[:, None] / sigma - (np.arange(cells) - 4)
    weights = np.exp(-0.5 * distance**2)
    return weights / weights.sum(1, keepdims=True)


def places_by_numpy(distortion, size, sigma):
    """x and y from the upper left pixel, not yet reflected; for each kind its formula."""
    down, across = np.mgrid[:size, :size].astype(float)
    middle = (size - 1) / 2
    for noise, corners in zip(distortion.noise.numpy(), distortion.corners.numpy(), strict=True):
        weights = gaussian(size, sigma, noise.shape[-1])
        moved = [weights @ one @ weights.T for one in noise]
        inner = [mirrored(place, size) for place in (across + moved[0], down + moved[1])]
        x, y = corners @ np.stack([*(one.ravel() - middle for one in inner), np.ones(size * size)])
        yield x.reshape(size, size) + middle, y.reshape(size, size) + middle
    for widths in distortion.widths.numpy():
        ends = np.arange(CELLS + 1) * size / CELLS
        x, y = (np.interp(np.arange(size) + 0.5, ends, np.r_[0, np.cumsum(one) * size / CELLS]) - 0.5 for one in widths)
        yield np.broadcast_to(x, (size, size)), np.broadcast_to(y[:, None], (size, size))
    for lens in distortion.lens.numpy():
        x, y = (across - middle) / size, (down - middle) / size
        radius = np.hypot(x, y)
        factor = 1 + lens * radius**2 + lens * radius**4
        yield x * factor * size + middle, y * factor * size + middle


def mirrored(place, size):
    """Positions as indices of an infinitely mirrored image, whose border pixels occur once."""
    place = np.mod(place, 2 * (size - 1))
    return np.minimum(place, 2 * (size - 1) - place)


@pytest.mark.parametrize("size", [48, 47])
def test_views_equal_scipy(size):
    batch = smooth(30, 2, size)
    found, views = drawn(LAW, 30, size, size), seen(LAW, batch, size=size)
    masks = (batch[:, 0] * 4).to(torch.uint8)
    moved = view_of_masks(masks, LAW, found, size)
    counts = [len(found.distortion.noise), len(found.distortion.widths), len(found.distortion.lens)]
    assert min(counts) > 3 and sum(counts) == 30
    places = places_by_numpy(found.distortion, size, LAW.elastic_sigma)
    for row, (x, y) in zip(found.distortion.rows.tolist(), places, strict=True):
        for ours, image in zip(views[row], batch[row].numpy(), strict=True):
            theirs = ndimage.map_coordinates(image, [y, x], order=1, mode="mirror")
            assert np.abs(ours.numpy() - theirs).max() < 1e-3
        theirs = ndimage.map_coordinates(masks[row].numpy(), [y, x], order=0, mode="mirror")
        assert (moved[row].numpy() == theirs).mean() > 0.995


def test_an_elastic_field_has_the_statistics_of_smoothed_noise():
    """Dense noise that scipy smooths, as in albumentations: equal spread, and equal correlation of neighbours."""
    law = replace(LAW, elastic_affine=0.0, elastic_alpha=30.0)
    found = drawn(law, 400, 192, 192).distortion
    middle = np.arange(192) - 95.5
    ours = found.positions[0][: len(found.noise)].numpy() - middle
    ours = ours[:, 24:-24, 24:-24]  # where nothing is reflected
    noise = np.random.default_rng(0).uniform(-1, 1, (len(ours), 192, 192))
    theirs = ndimage.gaussian_filter(noise, (0, 6, 6))[:, 24:-24, 24:-24] * 30
    assert ours.std() == pytest.approx(theirs.std(), rel=0.03) and abs(ours.mean()) < 0.05
    for lag in (3, 8, 14):
        correlation = [np.corrcoef(one[..., lag:].ravel(), one[..., :-lag].ravel())[0, 1] for one in (ours, theirs)]
        assert correlation == pytest.approx([np.exp(-(lag**2) / (4 * 6**2))] * 2, abs=0.03)
    assert ours.std((0, 1)).std() / ours.std() < 0.1  # all pixels move as much, those on the coarse grid too


def test_weights_of_the_spread_sum_to_one():
    weights = spread_taps(31, 2.5, 2, torch.device("cpu")).weight
    assert weights.shape == (2, 31, 9) and (weights.sum(-1) - 1).abs().max() < 1e-6


def test_both_forms_give_the_same_field():
    """The form of accelerators, on the CPU."""
    noise = drawn(LAW).distortion.noise
    taps = spread_taps(48, 6.0, len(noise), noise.device)
    assert len(noise) > 1
    assert (apply_taps(noise, taps, taps, "taps") - apply_taps(noise, taps, taps, "matmul")).abs().max() < 1e-4


@pytest.mark.parametrize("size", [1, 2, 7, 48])
def test_no_strength_changes_nothing(size):
    law = Augmentation(distort=1.0, elastic_alpha=0.0, grid_limit=0.0, optical_limit=0.0)
    batch = torch.rand(30, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert (seen(law, batch, size=size) - batch).abs().max() < 1e-4
    masks = (batch[:, 0] * 5).to(torch.uint8)
    assert torch.equal(view_of_masks(masks, law, drawn(law, 30, size, size), size), masks)
    assert torch.equal(seen(Augmentation(), batch, size=size), batch)


@pytest.mark.parametrize("law", [LAW, SOME, MOVED, replace(MOVED, distort=1.0)])
@pytest.mark.parametrize("size", [48, 33])
def test_a_mask_moves_with_its_image(law, size):
    """The shape of the mask painted into the image."""
    field = np.zeros((30, 64, 64), np.uint8)
    field[:, 12:40, 20:50] = 1
    field[:, 45:60, 5:15] = 1
    painted = replace(law, blur=0.0, brightness=0.0)
    view = seen(painted, torch.from_numpy(field)[:, None].float(), size=size)[:, 0]
    moved = view_of_masks(torch.from_numpy(field), painted, drawn(painted, 30, size, 64), size)
    sure = (view < 0.01) | (view > 0.99)
    assert moved.dtype == torch.uint8 and sure.float().mean() > 0.7 and moved.float().mean() > 0.05
    assert (moved[sure] == 1).eq(view[sure] > 0.5).float().mean() > 0.9999
    assert not torch.equal(
        moved, view_of_masks(torch.from_numpy(field), Augmentation(), drawn(Augmentation(), 30, size, 64), size)
    )


def test_other_views_keep_their_bits():
    """An image that is not distorted is as without the option, and distorted ones are some of them."""
    for law in (SOME, MOVED):
        batch = smooth(40, 3)
        rows = drawn(law, 40).distortion.rows
        others = np.setdiff1d(np.arange(40), rows.numpy())
        with_option, without = seen(law, batch), seen(replace(law, distort=0.0), batch)
        assert torch.equal(with_option[others], without[others]) and 5 < len(rows) < 30
        assert all(not torch.equal(with_option[row], without[row]) for row in rows)


def test_an_affine_map_and_a_distortion_are_one_after_the_other():
    """In one resampling; for smooth images this nearly equals two."""
    affine = Augmentation(rotation=20, shift=0.05, zoom=0.1)
    batch = smooth(30, 2)
    both = seen(replace(LAW, rotation=20, shift=0.05, zoom=0.1), batch)
    twice = seen(LAW, seen(affine, batch))
    inside = (twice > 0) & (both > 0)  # at the black border, two interpolations differ
    assert ((both - twice).abs()[inside] < 0.05).float().mean() > 0.97
    assert (seen(affine, batch) - both).abs().mean() > 0.02


def test_the_three_kinds_are_equally_likely():
    found = drawn(replace(LAW, distort=0.3), 9000, 8, 8).distortion
    counts = np.array([len(found.noise), len(found.widths), len(found.lens)])
    assert np.abs(counts / 9000 - 0.1).max() < 0.012 and len(set(found.rows.tolist())) == counts.sum()
    assert np.quantile(found.lens, [0.1, 0.5, 0.9]) == pytest.approx([-1.6, 0.0, 1.6], abs=0.15)
    assert np.quantile(found.widths, [0.0, 0.5, 1.0]) == pytest.approx([0.7, 1.0, 1.3], abs=0.03)
    assert drawn(Augmentation(), 9000, 8, 8).distortion is None


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 70), side=st.integers(1, 60), moves=st.booleans())
def test_packing_does_not_change_a_view_of_any_size(size, side, moves):
    law = replace(MOVED if moves else LAW, blur=0.0)
    batch = torch.rand(6, 3, side, side, generator=torch.Generator().manual_seed(1))
    before, masks = batch.clone(), (batch[:, 0] * 200).to(torch.uint8)
    together, found = seen(law, batch, size=size), drawn(law, 6, size, side)
    assert torch.equal(batch, before) and torch.equal(seen(law, batch, size=size), together)
    for row in range(6):
        assert torch.equal(seen(law, batch[row : row + 1], row, size)[0], together[row])
        alone = draw(law, (side, side), size, seed=3, epoch=0, indices=np.array([row]), stream="v")
        one = view_of_masks(masks[row : row + 1], law, alone, size)
        assert torch.equal(one[0], view_of_masks(masks, law, found, size)[row])
    assert together.min() >= 0 and together.max() <= 1 + 1e-5
    if found.distortion is not None:
        assert all(place.abs().max() <= (size - 1) / 2 + 1e-4 for place in found.distortion.positions)


def test_epochs_differ_and_repeat():
    batch = smooth()
    assert torch.equal(seen(LAW, batch), seen(LAW, batch)) and not torch.equal(
        seen(LAW, batch), seen(LAW, batch, epoch=1)
    )
    elastic = [one.noise for one in (drawn(LAW).distortion, drawn(LAW, epoch=1).distortion)]
    assert not torch.equal(elastic[0][0], elastic[1][0]) and not torch.equal(elastic[0][0], elastic[0][1])


def test_an_affine_map_that_is_too_large_for_the_image_is_limited():
    found = drawn(replace(LAW, elastic_affine=1000.0), 200, 9, 9).distortion
    assert found.corners.isfinite().all() and found.corners[..., :2].abs().max() < 3


def test_the_fold_repeats_for_places_far_outside():
    empty = torch.zeros(0)
    lens = Distortion(
        21,
        6.0,
        torch.zeros(1).long(),
        empty.view(0, 2, 1, 1),
        empty.view(0, 2, 3),
        empty.view(0, 2, 5),
        torch.full((1,), 40.0),
    )
    x, y = lens.positions
    wanted = next(places_by_numpy(lens, 21, 6.0))
    assert np.abs(x[0].numpy() + 10 - mirrored(wanted[0], 21)).max() < 1e-3
    assert np.abs(y[0].numpy() + 10 - mirrored(wanted[1], 21)).max() < 1e-3


@pytest.mark.gpu
@pytest.mark.parametrize("law", [LAW, MOVED])
def test_a_gpu_gives_the_same_views(law):
    batch = smooth(12, 3)
    there = seen(law, batch.cuda()).cpu()
    assert ((seen(law, batch) - there).abs() < 1e-3).float().mean() > 0.999
