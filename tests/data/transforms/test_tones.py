"""Hue, gamma, grey, solarization, sharpness equal Pillow, torchvision and the standard library, in as many images as told."""

import colorsys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms.v2 import functional as tv

from medzoo.data.transforms.apply import Augmentation, augment, to_unit
from medzoo.data.transforms.random_params import blur_radius, draw
from medzoo.data.transforms.tones import sharpened, solarized, turn_hue

EVERYTHING = Augmentation(
    brightness=0.4, contrast=0.4, saturation=0.4, hue=0.3, tone=0.6, grey=0.2, gamma=0.5, gamma_chance=0.6, blur=0.5,
    sharpen=0.6, sharpness=3.0, solarize=0.4,
)  # fmt: skip


def images(count=12, side=16, colour=True):
    shape = (count, side, side, 3) if colour else (count, side, side)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def drawn(law, count, side=16):
    return draw(law, (side, side), side, seed=0, epoch=0, indices=np.arange(count), stream="v")


def seen(law, unit, first=0, **options):
    indices = np.arange(first, first + len(unit))
    return augment(unit, law, unit.shape[-1], seed=0, epoch=0, indices=indices, stream="v", **options)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.07, 1 / 3, 0.5])
def test_the_hue_equals_torchvision_and_colorsys(turn):
    batch = to_unit(images(2), 255.0)
    batch[0, :, 0] = torch.tensor([0.0, 0.5, 1.0])[:, None]
    batch[0, :, 1], batch[1, 2] = 0.25, 0.0
    found = turn_hue(batch, torch.full((2,), turn))
    assert (found - tv.adjust_hue(batch, turn)).abs().max() < 1e-5
    for given_, made in zip(
        batch.permute(0, 2, 3, 1).reshape(-1, 3), found.permute(0, 2, 3, 1).reshape(-1, 3), strict=True
    ):
        hue, saturation, value = colorsys.rgb_to_hsv(*given_.tolist())
        assert made.tolist() == pytest.approx(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), abs=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("shape", [(16, 16), (3, 7), (2, 5)])
def test_sharpness_equals_pillow_and_torchvision(shape, factor):
    given_ = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    batch = to_unit(given_[None], 255.0)
    found = sharpened(batch, factor)
    assert (found - tv.adjust_sharpness(batch, factor)).abs().max() < 1e-5
    if min(shape) > 2:
        theirs = np.asarray(ImageEnhance.Sharpness(Image.fromarray(given_)).enhance(factor))
        # Pillow rounds the smoothed image to whole levels, and then the result
        assert np.abs(found[0].permute(1, 2, 0).numpy() * 255 - theirs).max() <= 0.5 * abs(1 - factor) + 1.001


@pytest.mark.parametrize("colour", [True, False])
def test_solarization_equals_pillow_and_torchvision_exactly(colour):
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    given_ = np.concatenate([np.stack([every] * 3, -1) if colour else every, images(3, colour=colour)])
    bytes_ = torch.from_numpy(given_ if colour else given_[..., None]).permute(0, 3, 1, 2)
    found = (solarized(to_unit(given_, 255.0)) * 255).round().to(torch.uint8)
    assert torch.equal(found, tv.solarize(bytes_, 128))
    for image, made in zip(given_, found, strict=True):
        theirs = np.asarray(ImageOps.solarize(Image.fromarray(image), 128))
        assert np.array_equal(theirs, made.permute(1, 2, 0).numpy() if colour else made[0].numpy())


def test_a_share_of_the_images_is_solarized_and_all_other_numbers_stay():
    with_, without = (drawn(replace(EVERYTHING, solarize=share), 8000) for share in (0.2, 0.0))
    assert abs(len(with_.solarized) / 8000 - 0.2) < 0.02 and len(without.solarized) == 0
    assert len(drawn(Augmentation(solarize=1.0), 50).solarized) == 50
    for one in fields(with_):
        if one.name not in ("solarized", "distortion"):
            assert torch.equal(getattr(with_, one.name), getattr(without, one.name)), one.name
    marks = torch.zeros(4, 8000)
    for mark, rows in zip(marks, (with_.solarized, with_.blurred, with_.sharpened, with_.hued), strict=True):
        mark[rows] = 1
    assert np.abs(np.corrcoef(marks.numpy())[0, 1:]).max() < 0.05, "chosen independently of the other changes"


def test_numbers_from_before_solarization_stay():
    """Written down before it existed: a new random number comes after all others."""
    found = drawn(EVERYTHING, 6)
    assert [found.blurred.tolist(), found.sharpened.tolist(), found.bent.tolist()] == [[4, 5], [0, 1, 2], [3, 4, 5]]
    sums = [float(values.sum()) for values in (found.brightness, found.sigma, found.hue, found.gamma)]
    assert drawn(Augmentation(distort=0.5), 12).distortion.rows.tolist() == [5, 2, 3, 4, 6, 7, 1, 8]
    assert sums == pytest.approx(
        [6.382469509914517, 0.3151451929472387, -0.30094391726888714, 3.0550299799069762], rel=1e-14
    )


def test_grey_equals_pillow():
    given_ = images(3)
    for ours, image in zip(seen(Augmentation(grey=1.0), to_unit(given_, 255.0)), given_, strict=True):
        theirs = np.asarray(Image.fromarray(image).convert("L"))
        assert torch.allclose(ours[0], ours[1], atol=1e-6) and torch.allclose(ours[1], ours[2], atol=1e-6)
        assert np.abs(ours[0].numpy() * 255 - theirs).max() < 1


@pytest.mark.parametrize("colour", [True, False])
def test_everything_equals_torchvision_in_this_order(colour):
    unit = to_unit(images(40, colour=colour), 255.0)
    found = drawn(EVERYTHING, 40)
    turns, exponents = (
        dict(zip(rows.tolist(), values.tolist(), strict=True))
        for rows, values in ((found.hued, found.hue), (found.bent, found.gamma))
    )
    sigmas = dict(zip(found.blurred.tolist(), found.sigma.tolist(), strict=True))
    kernel = [2 * blur_radius(Augmentation(), 16) + 1] * 2
    assert all(5 < len(each) < 35 for each in (turns, exponents, sigmas, found.sharpened, found.solarized))
    for row, (image, ours) in enumerate(zip(unit, seen(EVERYTHING, unit.clone()), strict=True)):
        image = tv.adjust_brightness(image, float(found.brightness[row]))
        image = tv.adjust_contrast(image, float(found.contrast[row]))
        if colour:
            image = tv.adjust_saturation(image, float(found.saturation[row]))
            image = tv.adjust_hue(image, turns.get(row, 0.0))
        image = tv.adjust_gamma(image, exponents.get(row, 1.0))
        if row in sigmas:
            image = tv.gaussian_blur(image, kernel, [sigmas[row]] * 2)
        if row in found.solarized.tolist():
            image = tv.solarize(image, 0.5)
        if row in found.sharpened.tolist():
            image = tv.adjust_sharpness(image, 3.0)
        assert (image - ours).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("tone", "chance", "both"), [(0.15, 0.15, 0.0), (0.5, 0.5, 0.0), (0.8, 0.6, 0.4), (1.0, 0.3, 0.3)]
)
def test_gamma_and_tones_are_of_different_images_where_possible(tone, chance, both):
    law = Augmentation(hue=0.1, tone=tone, gamma=0.2, gamma_chance=chance)
    found = drawn(law, 8000)
    hued, bent = set(found.hued.tolist()), set(found.bent.tolist())
    assert abs(len(hued) / 8000 - tone) < 0.02 and abs(len(bent) / 8000 - chance) < 0.02
    assert abs(len(hued & bent) / 8000 - both) < 0.02 and (both or not hued & bent)


def test_strengths_are_uniform_and_shares_are_as_told():
    found = drawn(Augmentation(hue=0.2, gamma=0.2, sharpen=0.2), 8000)
    assert abs(len(found.sharpened) / 8000 - 0.2) < 0.02 and len(found.hued) == len(found.bent) == 8000
    for values, middle in ((found.hue, 0.0), (found.gamma, 1.0)):
        quantiles = np.quantile(values.numpy(), [0.0, 0.1, 0.5, 0.9, 1.0]) - middle
        assert np.abs(quantiles - 0.2 * np.array([-1, -0.8, 0, 0.8, 1])).max() < 0.01
    assert abs(np.corrcoef(found.hue.numpy(), found.gamma.numpy())[0, 1]) < 0.05


def test_no_strength_changes_nothing():
    unit = to_unit(images(), 255.0)
    assert torch.equal(seen(Augmentation(gamma=0.0, hue=0.0, sharpen=0.0), unit), unit)
    assert (seen(Augmentation(sharpen=1.0, sharpness=1.0), unit) - unit).abs().max() < 1e-6
    unsure = Augmentation(hue=0.3, tone=0.0, gamma=0.3, gamma_chance=0.0)
    assert torch.equal(seen(unsure, unit), unit)
    grey = to_unit(images(colour=False), 255.0)
    assert torch.equal(seen(Augmentation(hue=0.3, grey=1.0), grey), grey)


@settings(max_examples=30, deadline=None)
@given(side=st.integers(2, 35), colour=st.booleans())
def test_packing_does_not_change_a_view_of_any_size(side, colour):
    unit = to_unit(images(5, side, colour=colour), 255.0)
    before = unit.clone()
    together = seen(EVERYTHING, unit)
    assert torch.equal(unit, before) and torch.equal(seen(EVERYTHING, unit), together)
    for row in range(5):
        assert torch.equal(seen(EVERYTHING, unit[row : row + 1], row)[0], together[row])
    assert together.min() >= 0 and together.max() <= 1 + 1e-6
