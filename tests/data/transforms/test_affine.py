"""Rotation, shift, shear and zoom are one map that equals torchvision's; earlier views keep their bits."""

import hashlib
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from medzoo.data.transforms.affine import affine, rotate
from medzoo.data.transforms.apply import Augmentation, augment, view_of_masks
from medzoo.data.transforms.random_params import Draws, draw

LAW = Augmentation(min_area=0.4, crop=0.5, flip=0.5, rotation=15, shift=0.1, shear=8, zoom=0.2, blur=0.3)
EARLIER = Augmentation(
    min_area=0.2, flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, tone=0.8, grey=0.2, blur=0.5, rotation=20
)
# the sha256 of what was drawn for EARLIER before crop, shift, shear and zoom could be drawn
DRAWN_EARLIER = "5fc6eebddcb134c31c6a46b31f6eadd93b53eb9818dd3e6ee101748d95315104"
MAPS = [
    (10.0, 3.3, -2.1, 5.0, 1.1),
    (-30.0, 0.0, 0.0, -20.0, 0.8),
    (0.0, 2.0, 1.0, 0.0, 1.0),
    (170.0, 1.0, 1.0, 30.0, 1.5),
    (0.0, 0.0, 0.0, 20.0, 1.0),
    (0.0, 0.0, 0.0, 0.0, 0.5),
]


def noise(count=12, channels=3, side=(40, 40)):
    return torch.rand(count, channels, *side, generator=torch.Generator().manual_seed(0))


def full(values, count):
    return [torch.full((count,), value, dtype=torch.float64) for value in values]


def drawn(law, count=4000, size=32, stream="v"):
    return draw(law, (40, 40), size, seed=0, epoch=0, indices=np.arange(count), stream=stream)


@pytest.mark.parametrize("shape", [(24, 24), (31, 20)])
@pytest.mark.parametrize("given", MAPS)
def test_a_map_equals_torchvision(given, shape):
    degrees, right, down, shear, zoom = given
    batch = noise(3, side=shape)
    theirs = -degrees, [right, down], zoom, [shear, 0.0]
    ours = affine(batch, *full(given, 3))
    assert (ours - tv.affine(batch, *theirs, interpolation=InterpolationMode.BILINEAR)).abs().max() < 1e-4
    masks = (batch[:, :1] * 5).floor()
    ours = affine(masks, *full(given, 3), "nearest")
    assert (ours == tv.affine(masks, *theirs, interpolation=InterpolationMode.NEAREST)).float().mean() > 0.98
    assert set(ours.unique().tolist()) <= set(masks.unique().tolist()) | {0.0}


def test_a_shift_by_whole_pixels_copies_them():
    batch = noise(2)
    moved = affine(batch, *full((0.0, 5.0, -3.0, 0.0, 1.0), 2), "nearest")
    assert torch.equal(moved[..., :-3, 5:], batch[..., 3:, :-5])
    assert moved[..., :5].abs().sum() == moved[..., -3:, :].abs().sum() == 0


def test_earlier_options_draw_the_same_numbers():
    found = draw(EARLIER, (40, 48), 32, seed=7, epoch=5, indices=np.arange(64), stream="view0")
    digest = hashlib.sha256()
    for name in (
        "top",
        "left",
        "height",
        "width",
        "flip",
        "angle",
        "brightness",
        "contrast",
        "saturation",
        "blurred",
        "sigma",
    ):
        digest.update(getattr(found, name).numpy().tobytes())
    assert digest.hexdigest() == DRAWN_EARLIER
    assert not found.right.any() and not found.down.any() and not found.shear.any() and (found.zoom == 1).all()


def test_a_rotation_alone_keeps_its_bits():
    """Against the formula for rotations only, which earlier versions used."""
    batch, degrees = noise(side=(33, 26)), torch.linspace(-180, 180, 12, dtype=torch.float64)
    angle = torch.deg2rad(degrees)[:, None, None]
    cosine, sine = torch.cos(angle).float(), torch.sin(angle).float()
    x, y = (torch.arange(26.0) - 12.5)[None, None, :], (torch.arange(33.0) - 16)[None, :, None]
    grid = torch.stack([(cosine * x - sine * y) * (2 / 26), (sine * x + cosine * y) * (2 / 33)], dim=-1)
    for mode in ("bilinear", "nearest"):
        earlier = functional.grid_sample(batch, grid, mode=mode, padding_mode="zeros", align_corners=False)
        assert torch.equal(rotate(batch, degrees, mode), earlier)


def test_packing_and_form_do_not_change_a_view():
    batch = noise()

    def views(start, stop, form):
        indices = np.arange(start, stop)
        return augment(batch[start:stop], LAW, 32, seed=1, epoch=2, indices=indices, stream="view0", form=form)

    together = {form: views(0, 12, form) for form in ("taps", "matmul")}
    for form, all_views in together.items():
        assert all(torch.equal(views(k, k + 1, form)[0], all_views[k]) for k in range(12))
    assert (together["taps"] - together["matmul"]).abs().max() < 1e-5


@pytest.mark.gpu
def test_a_gpu_gives_the_same_views():
    batch = noise()
    known = {"seed": 1, "epoch": 2, "indices": np.arange(12), "stream": "view0"}
    there = augment(batch.cuda(), LAW, 32, **known).cpu()
    # a pixel at a border may fall inside on one device and outside on the other
    assert ((augment(batch, LAW, 32, **known) - there).abs() < 1e-4).float().mean() > 0.999


def test_a_share_of_the_images_is_cropped():
    found = drawn(Augmentation(min_area=0.3, crop=0.25))
    whole = (found.height == 40) & (found.width == 40) & (found.top == 0) & (found.left == 0)
    assert abs(float((~whole).float().mean()) - 0.25) < 0.03
    cropped, always = ~whole, drawn(Augmentation(min_area=0.3))
    assert torch.equal(found.top[cropped], always.top[cropped])
    assert torch.equal(found.width[cropped], always.width[cropped])
    assert (drawn(Augmentation(min_area=0.3, crop=0.0)).height == 40).all()


@pytest.mark.parametrize(
    ("name", "law", "low", "high"),
    [
        ("right", Augmentation(shift=0.25), -8, 8),
        ("down", Augmentation(shift=0.25), -8, 8),
        ("shear", Augmentation(shear=6), -6, 6),
        ("zoom", Augmentation(zoom=0.1), 0.9, 1.1),
    ],
)
def test_each_part_of_the_map_is_uniform(name, law, low, high):
    values = getattr(drawn(law), name).numpy()
    assert law.is_affine and values.min() >= low and values.max() <= high
    middle, spread = (low + high) / 2, (high - low) / 2
    assert (
        np.abs(np.quantile(values, [0.1, 0.5, 0.9]) - (middle + spread * np.array([-0.8, 0, 0.8]))).max() < 0.1 * spread
    )


def test_no_part_of_the_map_follows_another():
    found = drawn(LAW)
    names = [one.name for one in fields(Draws) if one.name in ("flip", "angle", "right", "down", "shear", "zoom")]
    table = np.corrcoef([getattr(found, name).numpy().astype(float) for name in names])
    assert np.abs(table - np.eye(len(names))).max() < 0.08


def test_a_mask_moves_with_its_image():
    field = np.zeros((12, 64, 64), np.uint8)
    field[:, 12:40, 20:50] = 1
    image = torch.from_numpy(field)[:, None].float()
    law = Augmentation(min_area=0.3, crop=0.5, flip=0.5, rotation=25, shift=0.1, shear=10, zoom=0.2)
    found = draw(law, (64, 64), 48, seed=3, epoch=0, indices=np.arange(12), stream="view0")
    moved = view_of_masks(torch.from_numpy(field), law, found, 48)
    seen = augment(image, law, 48, seed=3, epoch=0, indices=np.arange(12), stream="view0")[:, 0]
    sure = (seen < 0.01) | (seen > 0.99)
    assert moved.dtype == torch.uint8 and sure.float().mean() > 0.8
    assert torch.equal(moved[sure] == 1, seen[sure] > 0.5)
