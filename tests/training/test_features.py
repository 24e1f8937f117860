"""Kept features: found again only for the same weights, input, images and size, and equal to the network on the transform."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from devices import DEVICES, far
from tiny import decoded_rows

import medzoo
from medzoo.errors import UsageError
from medzoo.training.features import embed, network_hash, weights_hash
from medzoo.zoo.models.receipt import LoadReceipt

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


@pytest.mark.parametrize("change", ["mean", "std", "rule", "weights", "statistics", "images", "size", "stride", "pool"])
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
    elif change == "stride":  # of a layer with the same weights
        other.conv.stride = (1, 1)
    elif change == "pool":  # an attribute, which only the keywords of the load show
        other.load_receipt = LoadReceipt("tiny-ours", "tiny", model_args={"global_pool": "max"})
        other.forward = lambda x: other.head(other.norm(other.conv(x)).relu().amax((2, 3)))
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


def net_of(kind):
    """Networks with the same weights that compute something else."""
    torch.manual_seed(0)
    if kind == "other architecture":
        return medzoo.load("resnet50_v1-random")
    if kind == "other pooling":
        return medzoo.load("resnet50-random", global_pool="max")
    return medzoo.load("resnet50-random")


@pytest.mark.parametrize("kind", ["other architecture", "other pooling"])
def test_networks_with_the_same_weights_have_different_hashes(kind):
    model, other = net_of("usual"), net_of(kind)
    assert weights_hash(model) == weights_hash(other) and network_hash(model) != network_hash(other)
    assert network_hash(model) == network_hash(net_of("usual"))


class Activated(torch.nn.Module):
    """A module that prints a function of this process, with its address."""

    def __init__(self):
        super().__init__()
        self.layer, self.function = torch.nn.Linear(2, 2), lambda x: x
        torch.nn.init.ones_(self.layer.weight), torch.nn.init.ones_(self.layer.bias)

    def extra_repr(self):
        return f"function={self.function}"


def test_the_hash_of_a_network_is_that_of_any_process_device_and_wrapper(net):
    assert str(Activated()) != str(Activated()) and network_hash(Activated()) == network_hash(Activated())
    model = net()
    expected = network_hash(model)
    model.train()
    model.compile()
    assert network_hash(model) == expected
    assert network_hash(torch.compile(model)) == expected == network_hash(torch.nn.DataParallel(model))
    assert network_hash(torch.nn.DataParallel(torch.compile(model))) == expected


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
