"""On a GPU no step mixes tensors of two devices, and none waits for the device; found out without one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_gpu import fake_gpu
from loop_samples import objective_of
from tiny import TinySegmenter, decoded_rows, masked_rows
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorDeviceMismatchError

from medzoo.data.decode_cache.device import place
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.finetune import FineTuneObjective
from medzoo.training.inputs.batches import Batches, to_device
from medzoo.training.inputs.evaluate import evaluate_batches
from medzoo.training.inputs.views import View
from medzoo.training.losses import TaskLoss
from medzoo.training.objectives import list_methods
from medzoo.training.optimization.ema import Ema
from medzoo.training.pretraining.masking.patch_loss import MaskedPatches
from medzoo.training.segmentation.crops import CropBatches
from medzoo.training.segmentation.losses import SegmentationLoss, outputs_of
from medzoo.training.segmentation.sliding_window import slide
from medzoo.training.segmentation.tune import SegmentationObjective

EVERYTHING = Augmentation(
    min_area=0.3, flip=0.5, brightness=0.3, contrast=0.3, saturation=0.3, grey=0.3, blur=0.5, rotation=10, shift=0.1, zoom=0.1,
    shear=5, hue=0.1, gamma=0.2, gamma_chance=0.3, sharpen=0.5, sharpness=2.0, distort=0.9, solarize=0.5,
    windows=((0.0, 0.5), (0.2, 0.9)), window_jitter=0.1,
)  # fmt: skip
ROWS = {
    "grey": decoded_rows,
    "16 bits": lambda: replace(decoded_rows(), images=decoded_rows().images.astype(np.uint16), scale=65535.0),
    "colour": lambda: replace(decoded_rows(), images=np.repeat(decoded_rows().images[..., None], 3, axis=3)),
    "masks": masked_rows,
}


def first_batch(rows, device, views=EVERYTHING, cls=Batches, size=16):
    made = cls(place(rows, device, "always"), views, InputConvention(), size=size, batch_size=8, seed=0)
    return to_device(made[0], device)


def devices_of(values):
    return {value.device.type for value in values.values() if isinstance(value, torch.Tensor)}


def test_a_fake_gpu_refuses_what_a_gpu_refuses():
    with fake_gpu() as device:
        there = torch.ones(2, device=device)
        with pytest.raises(FakeTensorDeviceMismatchError):
            there + torch.ones(2)
        with pytest.raises(DataDependentOutputException):
            float(there.sum())


@pytest.mark.parametrize("name", ROWS)
def test_batches_of_rows_on_the_device(name):
    with fake_gpu() as device:
        batch = first_batch(ROWS[name](), device)
        assert devices_of(batch) == {"cuda"} and batch["image"].shape == (8, 3, 16, 16)
        assert ("mask" in batch) == (name == "masks")


def test_crops_of_larger_rows_on_the_device():
    """A segmentation whose stored images are larger than the input of the network."""
    with fake_gpu() as device:
        batch = first_batch(masked_rows(side=24), device, cls=CropBatches)
        assert devices_of(batch) == {"cuda"} and batch["mask"].shape == (8, 16, 16)


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("name", ROWS)
def test_an_evaluation(name, on_device, tiny_net):
    network = tiny_net().eval()
    with fake_gpu() as device:
        rows = place(ROWS[name](), device, "always" if on_device else "never")
        parts = list(
            evaluate_batches(network.to(device), rows, InputConvention(), size=12, device=device, batch_size=8)
        )
        assert [tuple(part.shape) for part in parts] == [(8, 3), (8, 3), (6, 3)]
        assert {part.device.type for part in parts} == {"cpu"}


def positions(mask, device):
    """`MaskedPatches.of` for half of the patches: a fake mask has no values to count."""
    count = mask.numel() // 2
    return MaskedPatches(mask.to(device), torch.arange(count).to(device), torch.ones(count).to(device))


@pytest.mark.parametrize("method", list_methods())
def test_a_step_of_every_method(method, tiny_net, monkeypatch):
    """Also its work around the optimizer's step, and its pictures at the end."""
    monkeypatch.setattr(MaskedPatches, "of", staticmethod(positions))
    objective, views = objective_of(method, tiny_net)
    objective.start(steps=12, epoch_steps=4, seed=0)
    objective.to(memory_format=torch.channels_last)
    with fake_gpu() as device:
        objective.to(device)
        batch = first_batch(decoded_rows(), device, views)
        values = objective(batch, 0)
        assert devices_of(values) == {"cuda"}
        objective.before_update(0)
        objective.after_update(0)
        with torch.no_grad():
            assert devices_of(objective.eval().pictures(batch, 0)) == {"cuda"}


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_a_step_of_a_fine_tuning(kind, tiny_net):
    weights = () if kind == "regression" else (1.0, 2.0, 1.0)
    objective = FineTuneObjective(tiny_net(1 if kind == "regression" else 3), TaskLoss(kind, weights=weights))
    labels = np.zeros((22, 3), np.float32) if kind == "multilabel" else decoded_rows().labels
    with fake_gpu() as device:
        objective.to(device)
        average = Ema(objective.backbone, 0.9)
        batch = first_batch(replace(decoded_rows(), labels=labels), device, [View(EVERYTHING)])
        assert devices_of(objective(batch, 0)) == {"cuda"}
        assert objective.terms(batch).device.type == "cuda"
        average.update()
        assert devices_of(average.tensors) == {"cuda"}


@pytest.mark.parametrize("name", ["dice_ce", "dice_focal"])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_step_of_a_segmentation(classes, name):
    weights = (1.0, 2.0, 1.0, 1.0)[: classes + 1]
    objective = SegmentationObjective(
        TinySegmenter(outputs_of(classes)), SegmentationLoss(classes, name, weights=weights)
    )
    with fake_gpu() as device:
        objective.to(device)
        batch = first_batch(masked_rows(classes=classes), device)
        assert devices_of(objective(batch, 0)) == {"cuda"}
        assert slide(objective.backbone, torch.zeros(2, 3, 24, 24, device=device), 16).device.type == "cuda"
