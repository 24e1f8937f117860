"""Views: equal to torchvision where it has the same thing, and independent of batch packing to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

from medzoo.data.rng import uniform
from medzoo.data.transforms.affine import rotate
from medzoo.data.transforms.apply import (
    Augmentation,
    InputConvention,
    augment,
    crop_boxes,
    normalise,
    to_unit,
    view_of_masks,
    whole,
    whole_masks,
)
from medzoo.data.transforms.random_params import CROP_TRIES, blur_radius, draw
from medzoo.data.transforms.resample import apply_taps, nearest, nearest_positions, resize_taps

EVERYTHING = Augmentation(
    min_area=0.2, flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, tone=0.8, grey=0.2, blur=0.5, rotation=20
)
FORMS = ["taps", "matmul"]
CLOSE = 1e-3  # of the range of values: what is promised; what is reached is 1e-5


def images(count=12, side=40, colour=True):
    shape = (count, side, side, 3) if colour else (count, side, side)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def views_of(batch, indices, epoch=3, **kwargs):
    return augment(batch, EVERYTHING, 32, seed=1, epoch=epoch, indices=np.asarray(indices), stream="view0", **kwargs)


def one(law, unit, size=16, **kwargs):
    return augment(unit, law, size, seed=0, epoch=0, indices=np.arange(len(unit)), stream="v", **kwargs)


def crop(batch, box, size, form):
    top, left, height, width = (torch.full((len(batch),), value) for value in box)
    rows, columns = (
        resize_taps(top, height, batch.shape[-2], size[0]),
        resize_taps(left, width, batch.shape[-1], size[1]),
    )
    return apply_taps(batch, rows, columns, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("colour", [True, False])
def test_packing_does_not_change_a_view(colour, form):
    unit = to_unit(images(colour=colour), 255.0)
    together = views_of(unit, range(12), form=form)
    for start, stop in [(0, 1), (3, 8), (11, 12), (0, 12)]:
        assert torch.equal(views_of(unit[start:stop], range(start, stop), form=form), together[start:stop])


@pytest.mark.parametrize("threads", [1, 2])
def test_packing_does_not_change_a_large_view(threads):
    """Of 224 px, where sums are shared by threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        unit = to_unit(images(5, 256, colour=False), 255.0)

        def large(start, stop):
            indices = np.arange(start, stop)
            return augment(unit[start:stop], EVERYTHING, 224, seed=0, epoch=0, indices=indices, stream="v")

        together = large(0, 5)
        assert all(torch.equal(large(k, k + 1)[0], together[k]) for k in range(5))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("colour", [True, False])
def test_both_forms_give_the_same_views(colour):
    unit = to_unit(images(colour=colour), 255.0)
    assert (views_of(unit, range(12), form="taps") - views_of(unit, range(12), form="matmul")).abs().max() < 1e-5


def test_epochs_differ_and_repeat():
    unit = to_unit(images(), 255.0)
    before = unit.clone()
    assert torch.equal(views_of(unit, range(12)), views_of(unit, range(12)))
    assert not torch.equal(views_of(unit, range(12)), views_of(unit, range(12), epoch=4))
    assert torch.equal(unit, before)


@pytest.mark.parametrize("form", FORMS)
def test_crops_equal_torchvision(form):
    unit = to_unit(images(), 255.0)
    boxes = crop_boxes(uniform("view0", 0, 0, np.arange(12), 2 * CROP_TRIES + 2), 40, 40, 0.2, 4 / 3)
    top, left, height, width = torch.from_numpy(boxes).unbind(1)
    ours = apply_taps(unit, resize_taps(top, height, 40, 24), resize_taps(left, width, 40, 24), form)
    for image, box, view in zip(unit, boxes, ours, strict=True):
        expected = tv.resized_crop(image, *[int(value) for value in box], [24, 24], antialias=True)
        assert (expected - view).abs().max() < 1e-5


@st.composite
def shapes_and_boxes(draw):
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    box = top, left, draw(st.integers(1, height - top)), draw(st.integers(1, width - left))
    # torch's own antialiased resize to a width of 1 gives the first row everywhere, so 2 is the smallest width here
    return (height, width), box, (draw(st.integers(1, 80)), draw(st.integers(2, 80)))


@settings(max_examples=150)
@given(shapes_and_boxes(), st.sampled_from([1, 3]))
def test_any_crop_equals_torchvision_in_both_forms(given, channels):
    (height, width), box, size = given
    batch = torch.from_numpy(
        np.random.default_rng(height * 97 + width).random((2, channels, height, width), np.float32)
    )
    expected = tv.resized_crop(batch, *box, list(size), antialias=True)
    for form in FORMS:
        assert (crop(batch, box, size, form) - expected).abs().max() < CLOSE


@settings(max_examples=60)
@given(shapes_and_boxes())
def test_any_mask_is_cropped_as_by_torchvision(given):
    (height, width), (top, left, tall, wide), size = given
    masks = torch.from_numpy(np.random.default_rng(height).integers(0, 5, (2, height, width), dtype=np.uint8))
    rows = nearest_positions(torch.full((2,), top), torch.full((2,), tall), size[0])
    columns = nearest_positions(torch.full((2,), left), torch.full((2,), wide), size[1])
    expected = tv.resized_crop(
        masks[:, None].float(), top, left, tall, wide, list(size), interpolation=InterpolationMode.NEAREST_EXACT
    )
    # where a pixel's middle falls between two, torchvision's float32 may go to the other one
    assert (nearest(masks, rows, columns) == expected[:, 0]).float().mean() > 0.9
    if size == (tall, wide):
        assert (nearest(masks, rows, columns) == masks[:, top : top + tall, left : left + wide]).all()


@pytest.mark.parametrize("shape", [(24, 24), (31, 20)])
@pytest.mark.parametrize("angle", [-30.0, -7.0, 0.0, 3.5, 90.0, 180.0])
def test_turns_equal_torchvision(angle, shape):
    batch = torch.rand(3, 3, *shape, generator=torch.Generator().manual_seed(0))
    ours = rotate(batch, torch.full((3,), angle, dtype=torch.float64))
    assert (ours - tv.rotate(batch, angle, InterpolationMode.BILINEAR)).abs().max() < 1e-4
    masks = (batch[:, :1] * 5).floor()
    ours = rotate(masks, torch.full((3,), angle, dtype=torch.float64), "nearest")
    assert (ours == tv.rotate(masks, angle, InterpolationMode.NEAREST)).float().mean() > 0.99
    assert set(ours.unique().tolist()) <= set(masks.unique().tolist()) | {0.0}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [16, 40, 64])
def test_blurs_equal_torchvision(form, size):
    unit = to_unit(images(side=size), 255.0)
    law = Augmentation(blur=1.0)
    drawn = draw(law, (size, size), size, seed=0, epoch=0, indices=np.arange(12), stream="v")
    kernel = 2 * blur_radius(Augmentation(), size) + 1
    assert len(drawn.blurred) == 12 and drawn.sigma.min() >= 0.1 and drawn.sigma.max() <= 0.1 + size / 32
    for image, sigma, blurred in zip(unit, drawn.sigma.tolist(), one(law, unit, size, form=form), strict=True):
        assert (tv.gaussian_blur(image, [kernel, kernel], [sigma, sigma]) - blurred).abs().max() < 1e-5


@pytest.mark.parametrize("colour", [True, False])
def test_tones_equal_torchvision(colour):
    unit = to_unit(images(side=16, colour=colour), 255.0)
    law = Augmentation(brightness=0.4, contrast=0.4, saturation=0.4)
    drawn = draw(law, (16, 16), 16, seed=0, epoch=0, indices=np.arange(12), stream="v")
    for row, (image, ours) in enumerate(zip(unit, one(law, unit), strict=True)):
        image = tv.adjust_brightness(image, float(drawn.brightness[row]))
        image = tv.adjust_contrast(image, float(drawn.contrast[row]))
        if colour:
            image = tv.adjust_saturation(image, float(drawn.saturation[row]))
        assert (image - ours).abs().max() < CLOSE


def test_boxes_stay_inside_and_follow_the_law():
    boxes = crop_boxes(uniform("a", 0, 0, np.arange(5000), 2 * CROP_TRIES + 2), 50, 90, 0.3, 4 / 3)
    top, left, height, width = boxes.T
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 50).all() and (left + width <= 90).all()
    torch.manual_seed(0)
    theirs = np.array(
        [RandomResizedCrop.get_params(torch.empty(1, 50, 90), (0.3, 1.0), (3 / 4, 4 / 3)) for _ in range(5000)]
    )
    assert np.abs(boxes.mean(0) - theirs.mean(0)).max() < 0.7
    assert (
        np.abs(
            np.percentile(height * width, [5, 50, 95]) / np.percentile(theirs[:, 2] * theirs[:, 3], [5, 50, 95]) - 1
        ).max()
        < 0.04
    )


def test_angles_are_uniform():
    drawn = draw(Augmentation(rotation=10), (8, 8), 8, seed=0, epoch=0, indices=np.arange(4000), stream="v")
    assert drawn.angle.min() >= -10 and drawn.angle.max() < 10 and abs(float(drawn.angle.mean())) < 0.3
    assert abs(float(drawn.angle.std()) - 20 / 12**0.5) < 0.1


@pytest.mark.parametrize("size", [23, 55])
@pytest.mark.parametrize("form", FORMS)
def test_whole_resizes_as_torchvision(form, size):
    unit = to_unit(images(), 255.0)
    assert (whole(unit, size, form) - tv.resize(unit, [size, size], antialias=True)).abs().max() < 1e-5
    assert whole(unit, 40) is unit
    masks = torch.from_numpy(images(colour=False))
    assert whole_masks(masks, size).shape == (12, size, size) and whole_masks(masks, 40) is masks


def test_flip_only_flips():
    unit = to_unit(images(side=16), 255.0)
    assert torch.equal(one(Augmentation(flip=1.0), unit), unit.flip(-1))


def test_nothing_allowed_changes_nothing():
    unit = to_unit(images(side=16), 255.0)
    assert torch.equal(one(Augmentation(), unit), unit)


def test_a_mask_moves_with_its_image():
    """An image that is its own mask stays it under crops, flips and turns, but for the borders."""
    field = np.zeros((12, 64, 64), np.uint8)
    field[:, 12:40, 20:50] = 1
    law = Augmentation(min_area=0.3, flip=0.5, rotation=25)
    unit = to_unit(field * np.uint8(255), 255.0)
    drawn = draw(law, (64, 64), 48, seed=3, epoch=0, indices=np.arange(12), stream="view0")
    moved = view_of_masks(torch.from_numpy(field), law, drawn, 48)
    image = augment(unit, law, 48, seed=3, epoch=0, indices=np.arange(12), stream="view0")[:, 0]
    assert moved.dtype == torch.uint8 and set(moved.unique().tolist()) == {0, 1}
    sure = (image < 0.01) | (image > 0.99)
    assert sure.float().mean() > 0.8 and torch.equal(moved[sure] == 1, image[sure] > 0.5)


def test_values_stay_in_range():
    view = views_of(to_unit(images(), 255.0), range(12))
    assert view.min() >= 0 and view.max() <= 1 + 1e-6


def test_an_evaluation_in_half_precision_resizes_in_full():
    unit = to_unit(images(), 255.0)
    with torch.autocast("cpu", torch.bfloat16):
        for form in FORMS:
            assert torch.equal(whole(unit, 23, form), whole(unit.clone(), 23, form))
            assert (whole(unit, 23, form) - tv.resize(unit, [23, 23], antialias=True)).abs().max() < 1e-5


def test_sixteen_bit_keeps_its_levels():
    ramp = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256)
    assert len(torch.unique(to_unit(ramp, 65535.0))) == 65536
    assert torch.equal(to_unit(torch.from_numpy(ramp.astype(np.int32)), 65535.0), to_unit(ramp, 65535.0))


def test_grey_is_replicated_and_colour_becomes_grey():
    convention = InputConvention()
    grey = normalise(torch.full((2, 1, 4, 4), 0.5), convention)
    assert grey.shape == (2, 3, 4, 4)
    assert torch.allclose(
        grey[0, :, 0, 0] * torch.tensor(convention.std) + torch.tensor(convention.mean), torch.tensor(0.5)
    )
    assert normalise(torch.rand(2, 3, 4, 4), InputConvention((0.5,), (0.25,))).shape == (2, 1, 4, 4)


def test_per_image_minmax_stretches_each_image():
    unit = to_unit(np.array([[[10, 20]], [[0, 4]]], dtype=np.uint8), 255.0, "per_image_minmax")
    assert unit.flatten().tolist() == [0, 1, 0, 1]


def test_per_image_minmax_keeps_colours():
    """One lowest and one highest value for all channels, or a tint would be stretched away."""
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[..., 0], image[..., 1], image[0, 0, 0, 2] = 100, 50, 200
    unit = to_unit(image, 255.0, "per_image_minmax")
    assert unit[0, :, 0, 0].tolist() == [0.5, 0.25, 1.0] and unit[0, :, 1, 1].tolist() == [0.5, 0.25, 0.0]


def test_colour_becomes_grey_by_its_luminance():
    """BT.601, as Pillow's conversion to L; then mean and std in this order."""
    primaries = torch.eye(3).view(3, 3, 1, 1)
    made = normalise(primaries, InputConvention((0.5,), (0.25,)))
    assert made.flatten().tolist() == pytest.approx([(luma - 0.5) / 0.25 for luma in (0.299, 0.587, 0.114)])
    rgb = normalise(primaries, InputConvention((0.1, 0.2, 0.3), (0.5, 0.25, 0.125)))
    assert rgb[0, :, 0, 0].tolist() == pytest.approx([1.8, -0.8, -2.4])
