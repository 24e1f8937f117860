"""Predictions on a device are those of the CPU, with embeddings and heat maps."""

from contextlib import contextmanager

import numpy as np
import pandas
import pytest
import torch
from devices import DEVICES, option_of
from predict_samples import by_hand, pngs, trained

import medzoo
from medzoo import precision
from medzoo.training.predict.network import Network

NAMES = ["probability_a", "probability_b", "probability_c"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workers", [0, 2])
def test_labels(tmp_path, device, workers):
    """Logits of float32 are wrong by up to 1e-5 of the largest one, which is below 10 here: so are probabilities, by 1e-4."""
    folder, paths = trained(tmp_path / "net"), pngs(tmp_path / "films", 6)
    frame = medzoo.predict(folder, paths, batch_size=4, num_workers=workers, device=option_of(device))
    expected = by_hand(folder, paths)
    assert isinstance(frame, pandas.DataFrame)
    np.testing.assert_allclose(frame[NAMES].to_numpy(), expected, atol=1e-4)
    assert frame.label.tolist() == ["abc"[k] for k in expected.argmax(1)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("architecture", "explain"), [("test_resnet", "gradcam"), ("test_vit", "attention")])
def test_embeddings_and_heat_maps(tmp_path, device, architecture, explain):
    folder = trained(tmp_path / "net", architecture=architecture)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    here, there = (
        Network(folder, embeddings=True, explain=explain, device=where)(images) for where in ("cpu", option_of(device))
    )
    for name in ("probabilities", "embeddings", "heat"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), atol=1e-4, err_msg=name)
    assert there.explained == here.explained and here.heat.max() == pytest.approx(1)


def test_a_gpu_computes_with_all_bits_of_float32(tmp_path, monkeypatch):
    """The network computes inside the block that turns TF32 off, for the kind of its device."""
    kinds, inside = [], []

    @contextmanager
    def block(kind):
        kinds.append(kind)
        inside.append(True)
        yield
        inside.pop()

    monkeypatch.setattr(precision, "full_float32", block)
    network = Network(trained(tmp_path / "net"), device="cpu")
    network.model.register_forward_hook(lambda *_: kinds.append(len(inside)))
    network(torch.zeros(1, 3, 64, 64))
    assert kinds == ["cpu", 1]
