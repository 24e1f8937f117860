"""Similarities of activations on a device are those of arrays: sums are float64 there, too, so they agree to 1e-6 or better.

On the CPU, tensors take the way of those on an accelerator.
"""

import numpy as np
import pytest
import torch
from activation_samples import related
from devices import DEVICES

from medzoo.analysis.similarity import inputs, measures
from medzoo.analysis.similarity.cka import linear_cka_from_covariances
from medzoo.analysis.similarity.moments import Moments


@pytest.fixture(autouse=True)
def on_device(monkeypatch):
    monkeypatch.setattr(inputs, "is_on_cpu", lambda values: False)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", measures.__all__)
def test_a_measure(name, device):
    x, y = (side.astype(np.float32) for side in related(1, n=200))
    measure = getattr(measures, name)
    assert measure(*(torch.from_numpy(side).to(device) for side in (x, y))) == pytest.approx(measure(x, y), abs=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", measures.__all__)
def test_a_measure_of_bfloat16(name, device):
    """numpy has no such type."""
    x, y = (torch.from_numpy(side).to(device, torch.bfloat16) for side in related(1, n=200))
    measure = getattr(measures, name)
    assert measure(x, y) == pytest.approx(measure(x.double(), y.double()), abs=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("products", ["float64", "float32"])
def test_covariances_of_batches(device, products):
    """Products in float32 have 24 bits, and their sums are float64: 1e-6 of the largest one."""
    x, y = (side.astype(np.float32) for side in related(2, n=300))
    here, there = Moments(4, 6), Moments(4, 6, products=products)
    for first in range(0, 300, 64):
        parts = x[first : first + 64], y[first : first + 64]
        here.update(*parts)
        there.update(*(torch.from_numpy(part).to(device) for part in parts))
    assert there._xx.device.type == device and there.n == 300
    found, expected = there.covariances(), here.covariances()
    for one, two in zip(found, expected, strict=True):
        assert isinstance(one, np.ndarray) and np.abs(one - two).max() < 1e-6 * np.abs(two).max()
    assert linear_cka_from_covariances(*found) == pytest.approx(linear_cka_from_covariances(*expected), abs=1e-6)
