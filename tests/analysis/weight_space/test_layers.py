"""Tensors of a network and their kinds."""

import torch
from timm.models import create_model
from tiny import TinyNet, tiny_vit

from medzoo.analysis.weight_space.layers import common_layers, distance_and_cosine, layer_tensors


def kinds(network):
    return {one.name: one.kind for one in layer_tensors(network)}


def test_kinds_of_a_cnn_and_a_transformer():
    found = kinds(TinyNet())
    assert found == {
        "conv.weight": "weight", "conv.bias": "bias", "norm.weight": "scale", "norm.bias": "shift",
        "norm.running_mean": "running mean", "norm.running_var": "running variance", "head.weight": "weight",
        "head.bias": "bias",
    }  # fmt: skip
    found = kinds(tiny_vit())
    assert found["pos_embed"] == found["cls_token"] == "other" and found["blocks.0.norm1.weight"] == "scale"


def test_every_float_of_the_weights_file_is_there_once():
    network = create_model("test_convnext", pretrained=False)
    names = [one.name for one in layer_tensors(network)]
    stored = [name for name, value in network.state_dict().items() if value.is_floating_point()]
    assert sorted(names) == sorted(stored)


def test_common_layers():
    first, second = TinyNet(), TinyNet(outputs=5)
    del second.conv
    second.extra = torch.nn.Linear(2, 2)
    found = common_layers(layer_tensors(first), layer_tensors(second))
    assert [one.name for one, _ in found.other_shape] == ["head.weight", "head.bias"]
    assert found.only_first == ("conv.weight", "conv.bias") and found.only_second == ("extra.weight", "extra.bias")
    assert [one.layer for one, _ in found.pairs] == ["norm"] * 4


def test_distance_of_zeros():
    zero, one = torch.zeros(3), torch.ones(3)
    assert distance_and_cosine(zero, one) == (None, None)
    assert distance_and_cosine(one, zero) == (1.0, None)
