"""Views: equal to torchvision where it has the same thing, and independent of batch packing to the last bit."""

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

from medzoo.data.counter import uniform
from medzoo.data.views import (
    CROP_TRIES,
    Augmentation,
    InputConvention,
    augment,
    crop_boxes,
    normalise,
    resample_rows,
    to_unit,
    whole,
)

EVERYTHING = Augmentation(
    min_area=0.2, flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, tone=0.8, grey=0.2, blur=0.5
)


def images(count=12, side=40, colour=True):
    shape = (count, side, side, 3) if colour else (count, side, side)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def draw(batch, indices, epoch=3, **kwargs):
    return augment(batch, EVERYTHING, 32, seed=1, epoch=epoch, indices=np.asarray(indices), stream="view0", **kwargs)


@pytest.mark.parametrize("colour", [True, False])
def test_packing_does_not_change_a_view(colour):
    unit = to_unit(images(colour=colour), 255.0)
    together = draw(unit, range(12))
    for start, stop in [(0, 1), (3, 8), (11, 12), (0, 12)]:
        assert torch.equal(draw(unit[start:stop], range(start, stop)), together[start:stop])


def test_epochs_differ_and_repeat():
    unit = to_unit(images(), 255.0)
    assert torch.equal(draw(unit, range(12)), draw(unit, range(12)))
    assert not torch.equal(draw(unit, range(12)), draw(unit, range(12), epoch=4))


def test_crops_equal_torchvision():
    unit = to_unit(images(), 255.0)
    boxes = crop_boxes(uniform("view0", 0, 0, np.arange(12), 2 * CROP_TRIES + 2), 40, 40, 0.2, 4 / 3)
    rows, columns = resample_rows(boxes[:, 0], boxes[:, 2], 40, 24), resample_rows(boxes[:, 1], boxes[:, 3], 40, 24)
    ours = rows[:, None] @ unit @ columns[:, None].transpose(-1, -2)
    for image, box, view in zip(unit, boxes, ours, strict=True):
        expected = tv.resized_crop(image, *[int(value) for value in box], [24, 24], antialias=True)
        assert (expected - view).abs().max() < 1e-5


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


def test_whole_resizes_as_torchvision():
    unit = to_unit(images(), 255.0)
    assert (whole(unit, 23) - tv.resize(unit, [23, 23], antialias=True)).abs().max() < 1e-5
    assert whole(unit, 40) is unit


def test_flip_only_flips():
    unit = to_unit(images(side=16), 255.0)
    flipped = augment(unit, Augmentation(flip=1.0), 16, seed=0, epoch=0, indices=np.arange(12), stream="v")
    assert torch.equal(flipped, unit.flip(-1))


def test_nothing_allowed_changes_nothing():
    unit = to_unit(images(side=16), 255.0)
    assert torch.equal(augment(unit, Augmentation(), 16, seed=0, epoch=0, indices=np.arange(12), stream="v"), unit)


def test_values_stay_in_range():
    view = draw(to_unit(images(), 255.0), range(12))
    assert view.min() >= 0 and view.max() <= 1 + 1e-6


def test_sixteen_bit_keeps_its_levels():
    ramp = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256)
    assert len(torch.unique(to_unit(ramp, 65535.0))) == 65536


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
