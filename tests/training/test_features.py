"""Kept features: found again only for the same weights, input, images and size, and equal to the network on the transform."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from devices import DEVICES, far
from tiny import decoded_rows

import medzoo
from medzoo.errors import UsageError
from medzoo.training.features import embed, weights_hash

OTHER = {"mean": (0.2, 0.3, 0.4), "std": (0.5, 0.6, 0.7)}


@pytest.fixture
def net(tiny_net):
    """A headless TinyNet with a configuration; `changes` go into that."""

    def make(**changes):
        model = tiny_net(5)
        model.pretrained_cfg = {
            "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "input_size": (3, 16, 16), "first_conv": "conv", **changes,
        }  # fmt: skip
        return model

    return make


@pytest.fixture
def computed(monkeypatch):
    """How often features were computed."""
    from medzoo.training import features

    calls, original = [], features.evaluate_rows
    monkeypatch.setattr(features, "evaluate_rows", lambda *a, **k: (calls.append(1), original(*a, **k))[1])
    return calls


def test_the_same_is_computed_once(net, computed, rows):
    one, two = embed(net(), rows), embed(net(), rows)
    assert len(computed) == 1 and np.array_equal(one.array, two.array) and one.array.shape == (22, 5)
    assert one.ids == rows.ids and one.groups == rows.groups and (one.labels == rows.labels).all()
    embed(net(), rows, cache=False)
    assert len(computed) == 2


@pytest.mark.parametrize("change", ["mean", "std", "rule", "weights", "statistics", "images", "size"])
def test_what_changes_a_feature_is_computed_anew(net, computed, rows, change):
    model, other, data, size = net(), net(), rows, 16
    if change in OTHER:
        other = net(**{change: OTHER[change]})
    elif change == "rule":
        other = net(notes=("medzoo input rule: per_image_minmax",))
    elif change == "weights":
        other.conv.weight.data += 0.1
    elif change == "statistics":  # of the norm: no parameter, and part of the answer all the same
        other.norm.running_mean += 0.5
    elif change == "images":
        data = replace(rows, images=255 - rows.images, sha256="1" * 64)
    else:
        size = 20
    one, two = embed(model, rows, size=16), embed(other, data, size=size)
    assert len(computed) == 2 and not np.allclose(one.array, two.array)
    fresh = embed(other, data, size=size, cache=False)
    assert np.array_equal(two.array, fresh.array)


@pytest.mark.parametrize("device", DEVICES)
def test_features_of_a_device_are_those_of_a_plain_pass(net, rows, device):
    """float32 against float64: one convolution and one layer round by about 1e-6, and by Winograd's method by up to 1e-4."""
    model = net().eval()
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(np.repeat(rows.images[:, None], 3, 1) / 255.0 - 0.5) / 0.5)
    found = embed(model.float(), rows, device=device, cache=False)
    assert next(model.parameters()).device.type == device and far(found.array, expected) < 1e-4


def test_features_are_those_of_evaluation_mode(net, rows):
    model = net().train()
    found = embed(model, rows, cache=False)
    with torch.inference_mode():
        unit = (torch.from_numpy(rows.images / 255.0).float()[:, None].expand(-1, 3, -1, -1) - 0.5) / 0.5
        expected = net().eval()(unit)
    assert np.abs(found.array - expected.numpy()).max() < 1e-5


def test_statistics_and_names_are_part_of_the_hash(net):
    model = net()
    hashes = {weights_hash(model)}
    model.norm.running_var += 1
    hashes.add(weights_hash(model))
    model.norm.num_batches_tracked += 1
    hashes.add(weights_hash(model))
    model.head.bias.data[0] += 1e-6
    hashes.add(weights_hash(model))
    assert len(hashes) == 4 and all(len(text) == 64 for text in hashes)


def test_a_feature_is_the_network_on_the_transform(tiny_hub):
    """Of a stored network, for images of the network's own size: nothing is resized, mirrored or cropped."""
    task = medzoo.load_task("phantom_oct,n=8,n_validation=4,n_test=6,image_size=32")
    model = medzoo.load("lab/tiny", hub=tiny_hub)
    view = medzoo.transform(model)
    found = medzoo.embed(model, (task, "test"))
    with torch.inference_mode():
        expected = torch.cat([model(view(task.read("test", row)[0])[None]) for row in range(6)]).numpy()
    assert np.abs(found.array - expected).max() < 1e-5 * max(1, np.abs(expected).max())
    assert found.ids == task.column("test", "id") and (found.labels == task.labels("test")).all()


def test_maps_are_no_features(tiny_net, rows):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "input_size": (3, 16, 16), "first_conv": "0"}
    with pytest.raises(UsageError):
        embed(model, decoded_rows(2))
