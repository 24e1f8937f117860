"""Views on a device are those of the host: drawn alike to the last bit, and computed alike up to rounding.

On the CPU, the way of an accelerator is taken there: rows as tensors, and crops as products of matrices.

Pixels are float32 in [0, 1], and both ways compute the same weights in float64, so most pixels agree to about 1e-6. Three changes
are not continuous: a pixel at the border of a rotated image can fall inside or outside, one at half of the range is solarized or
not, and a hue can start from another corner. So one pixel in a thousand may differ by more than half a level of 8 bits.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from contract_samples import case_of
from devices import DEVICES
from tiny import decoded_rows, masked_rows

from medzoo.data.decode_cache.device import DeviceRows, on_device, place
from medzoo.data.transforms import apply
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.data.transforms.random_params import draw
from medzoo.training.inputs.batches import Batches, to_device
from medzoo.training.inputs.views import View
from medzoo.training.segmentation.crops import CropBatches

LEVEL, SHARE = 0.5 / 255, 1e-3
SIDE, STORED = 48, 64
FINETUNE = Augmentation(
    min_area=0.3, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2, gamma=0.2, gamma_chance=0.3, rotation=15, shift=0.1,
    shear=5, zoom=0.1, sharpen=0.3, sharpness=2.0, distort=0.5,
)  # fmt: skip
CT = replace(FINETUNE, windows=((0.1, 0.4), (0.2, 0.9)), window_jitter=0.1)


def views_of(name):
    if name in ("finetune", "ct"):
        return [View(CT if name == "ct" else FINETUNE)]
    module, options = case_of(name)
    return module.views(options)


NAMES = ["finetune", "ct", "simclr", "dino", "lejepa", "mae"]
ROWS = {
    "grey": lambda: smooth(decoded_rows(12, side=STORED)),
    "colour": lambda: colour(smooth(decoded_rows(12, side=STORED))),
    "16 bits": lambda: sixteen(smooth(decoded_rows(12, side=STORED))),
}


def smooth(rows):
    """Images with gradients, as photographs have: pure noise puts every pixel at an edge."""
    ramp = np.add.outer(np.arange(STORED), np.arange(STORED)) * (180 / (2 * STORED))
    return replace(rows, images=(rows.images // 4 + ramp[None]).astype(np.uint8))


def colour(rows):
    grey = rows.images
    return replace(rows, images=np.stack([grey, 255 - grey, grey // 2 + 30], axis=-1))


def sixteen(rows):
    return replace(rows, images=rows.images.astype(np.uint16) * 257, scale=65535.0)


def batches(cls, rows, views, rule="unit", size=SIDE):
    made = cls(rows, views, InputConvention(rule=rule), size=size, batch_size=6, seed=3)
    made.set_epoch(2)
    return made


def images_of(batch):
    return [batch["image"]] if "image" in batch else batch["views"]


@pytest.fixture
def there(monkeypatch):
    """Rows on a device, and what is computed from them in its way."""
    monkeypatch.setattr(apply, "_default_form", lambda device: "matmul")
    return lambda rows, device: place(rows, torch.device(device), "always")


def parted(one, two):
    """The share of pixels that differ by more than LEVEL in [0, 1]."""
    std = torch.tensor(InputConvention().std).view(1, 3, 1, 1)
    assert one.shape == two.shape and torch.isfinite(one).all()
    return float((((one.cpu() - two.cpu()).abs() * std) > LEVEL).float().mean())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("stored", ROWS)
@pytest.mark.parametrize("name", NAMES)
def test_the_views_of_a_device_are_those_of_the_host(name, stored, device, request):
    rows, views = ROWS[stored](), views_of(name)
    rule = "per_image_minmax" if stored == "16 bits" else "unit"
    host = [batches(Batches, rows, views, rule)[number] for number in range(2)]
    place_there = request.getfixturevalue("there")
    made = batches(Batches, place_there(rows, device), views, rule)
    for number, expected in enumerate(host):
        found = made[number]
        assert (found["index"] == expected["index"]).all() and torch.equal(found["label"], expected["label"])
        parts = list(zip(images_of(found), images_of(expected), strict=True))
        assert len(parts) == len(views)
        for one, two in parts:
            assert one.device.type == device and one.is_contiguous()
            assert parted(one, two) <= SHARE


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_random_parameters_do_not_depend_on_the_device(name, device):
    for number, one in enumerate(views_of(name)):
        given = {"seed": 3, "epoch": 2, "indices": np.arange(20), "stream": f"view{number}"}
        here = draw(one.augmentation, (STORED, STORED), SIDE, **given)
        torch.rand(7, device=device)  # torch's generators have no part in it
        there = draw(one.augmentation, (STORED, STORED), SIDE, **given, device=torch.device(device))
        for field in fields(here):
            first, second = getattr(here, field.name), getattr(there, field.name)
            if field.name != "distortion":
                assert second.device.type == device and torch.equal(first, second.cpu()), field.name
        if here.distortion is not None:
            for name_, value in vars(here.distortion).items():
                if isinstance(value, torch.Tensor):
                    assert torch.equal(value, getattr(there.distortion, name_).cpu()), name_


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cls", [Batches, CropBatches])
@pytest.mark.parametrize("moved", [False, True], ids=["crops and flips", "also rotated"])
def test_masks_of_a_device_are_those_of_the_host(cls, moved, device, request):
    """Crops and flips choose pixels in float64: the same ones. A rotation computes places in float32, where halves can part."""
    law = Augmentation(min_area=0.4, flip=0.5, **({"rotation": 20, "shift": 0.1, "distort": 0.3} if moved else {}))
    rows = masked_rows(12, classes=2, side=STORED)
    host = batches(cls, rows, law)[0]
    found = batches(cls, request.getfixturevalue("there")(rows, device), law)[0]
    assert found["mask"].device.type == device and found["mask"].dtype == torch.uint8 and host["mask"].any()
    differ = float((found["mask"].cpu() != host["mask"]).float().mean())
    assert differ <= (SHARE if moved else 0)
    if not moved:
        assert parted(found["image"], host["image"]) <= SHARE


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("stored", ROWS)
def test_rows_on_a_device_are_the_stored_ones(stored, device):
    rows = ROWS[stored]()
    kept = DeviceRows(rows.images, torch.device(device))
    for chosen in (np.array([3, 0, 3]), slice(2, 9), np.array([], np.int64)):
        found = kept[chosen]
        assert found.device.type == device and np.array_equal(found.cpu().numpy(), rows.images[chosen])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing_on_a_device(workers, device):
    rows, views, where = ROWS["grey"](), views_of("simclr"), torch.device(device)
    torch.zeros(1, device=where)  # a worker is a fork of a process that uses the device

    def collected(count):
        return [to_device(batch, where) for batch in batches(Batches, rows, views).from_step(0, count)]

    for one, two in zip(collected(0), collected(workers), strict=True):
        for first, second in zip(one["views"], two["views"], strict=True):
            assert first.device.type == device and torch.equal(first, second)


@pytest.mark.parametrize("device", DEVICES)
def test_rows_on_a_device_start_no_worker(device, there, monkeypatch):
    """A forked worker cannot use a GPU."""
    made = batches(Batches, there(ROWS["grey"](), device), views_of("simclr"))
    monkeypatch.setattr("medzoo.training.inputs.batches.worker_start", lambda: pytest.fail("a worker started"))
    assert on_device(made.data).type == device
    assert len(list(made.from_step(0, 2))) == 2
