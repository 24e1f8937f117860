"""The outputs of a network for a split are those of its images as they are, also if few of them fit into memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from expect import raises

from medzoo.data.decode_cache.device import place
from medzoo.data.transforms.apply import InputConvention
from medzoo.errors import DeviceMemoryError
from medzoo.training.inputs.evaluate import evaluate_batches, evaluate_rows

CPU = torch.device("cpu")


class Asymmetric(torch.nn.Module):
    """Answers that tell left from right, top from bottom and red from blue."""

    def __init__(self, channels=3, side=16):
        super().__init__()
        self.weight = torch.randn(channels, side, side, generator=torch.Generator().manual_seed(0))

    def forward(self, batch):
        return torch.stack([(batch * self.weight).sum((1, 2, 3)), batch[:, 0, 0, 0], batch[:, -1, -1, 0]], 1)


GREY = InputConvention((0.5,), (0.25,), "per_image_minmax")
SHIFTED = InputConvention((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize("convention", [InputConvention(), SHIFTED, GREY], ids=["usual", "shifted", "grey minmax"])
@pytest.mark.parametrize(("dtype", "colour"), [(np.uint8, False), (np.uint8, True), (np.uint16, False)])
def test_an_evaluation_is_the_network_on_the_images_as_they_are(rows, convention, dtype, colour):
    """Neither mirrored nor cropped nor turned; expected values by hand, in float64."""
    top = np.iinfo(dtype).max
    images = np.random.default_rng(0).integers(0, top // 2, (7, 16, 16, 3) if colour else (7, 16, 16)).astype(dtype)
    data = replace(rows, images=images, ids=rows.ids[:7], scale=float(top))
    unit = images.astype(np.float64) / top
    if convention.rule == "per_image_minmax":
        axes = tuple(range(1, unit.ndim))
        low, high = unit.min(axes, keepdims=True), unit.max(axes, keepdims=True)
        unit = (unit - low) / (high - low)
    if colour and convention.channels == 1:
        unit = unit @ np.array([0.299, 0.587, 0.114])
    planes = np.moveaxis(unit, -1, 1) if unit.ndim == 4 else np.repeat(unit[:, None], convention.channels, 1)
    mean, std = (np.array(values).reshape(-1, 1, 1) for values in (convention.mean, convention.std))
    model = Asymmetric(convention.channels)
    expected = model(torch.from_numpy((planes - mean) / std)).numpy()
    made = evaluate_rows(model, data, convention, size=16, device=CPU, batch_size=3)
    assert np.abs(made - expected).max() < 1e-3 * np.abs(expected).max()
    assert np.abs(made[:, 1:] - expected[:, 1:]).max() < 1e-5  # two corners, to rounding


@pytest.mark.parametrize("size", [16, 20])
def test_an_evaluation_does_not_depend_on_where_rows_lie(rows, size):
    def model(batch):
        return batch.mean((2, 3))

    outputs = [
        evaluate_rows(model, data, InputConvention(), size=size, device=CPU, batch_size=7)
        for data in (rows, place(rows, CPU, "always"))
    ]
    assert outputs[0].shape == (22, 3) and np.abs(outputs[0] - outputs[1]).max() < 1e-6


class Small(torch.nn.Module):
    """A device on which only some images fit."""

    def __init__(self, most):
        super().__init__()
        self.most, self.sizes = most, []

    def forward(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return batch.mean((2, 3))


def test_fewer_images_at_a_time_if_memory_is_too_small(rows):
    network, counts = Small(5), []
    given = {"size": 16, "device": CPU}
    found = evaluate_rows(network, rows, InputConvention(), **given, batch_size=16, progress=counts.append)
    expected = evaluate_rows(Small(99), rows, InputConvention(), **given, batch_size=4)
    assert network.sizes[:3] == [16, 8, 4] and set(network.sizes[3:]) == {4, 2} and sum(counts) == 22
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("evaluate", [evaluate_rows, lambda *args, **given: next(evaluate_batches(*args, **given))])
def test_a_single_image_that_does_not_fit_is_an_error(rows, evaluate):
    """Batches keep their size: several networks see the same ones."""
    with raises(DeviceMemoryError, "evaluation-out-of-memory"):
        evaluate(Small(0), rows, InputConvention(), size=16, device=CPU, batch_size=4)


def test_another_error_is_not_hidden(rows):
    def network(batch):
        raise RuntimeError("sizes differ")

    with pytest.raises(RuntimeError, match="sizes differ"):
        evaluate_rows(network, rows, InputConvention(), size=16, device=CPU)
