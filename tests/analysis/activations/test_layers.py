"""Which layers are compared: five over the depth, by name, or in pairs of different names."""

import pytest
import timm
from expect import raises
from torch import nn

from medzoo.analysis.activations.layers import five_layers, layer_pairs
from medzoo.errors import UnknownNameError, UsageError


@pytest.fixture(scope="module")
def resnet():
    return timm.create_model("resnet18", num_classes=0)


@pytest.fixture(scope="module")
def vit():
    return timm.create_model("vit_tiny_patch16_224", num_classes=0)


@pytest.mark.parametrize(
    ("name", "count"),
    [("convnext_atto", 4), ("densenet121", 5), ("swin_tiny_patch4_window7_224", 4), ("efficientnet_b0", 5)],
)
def test_every_family_has_layers(name, count):
    network = timm.create_model(name, num_classes=0)
    names = five_layers(network)
    assert len(names) == count and set(names) <= set(dict(network.named_modules()))


def test_a_network_without_a_list_asks_for_names():
    with raises(UsageError, "layers-not-listed", match="0, 1"):
        five_layers(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))


def test_five_layers_pair_by_depth(resnet, vit):
    pairs = layer_pairs(resnet, vit, None)
    assert [(one.first, one.second) for one in pairs][::4] == [("act1", "blocks.0"), ("layer4", "blocks.11")]
    assert pairs[0].title == "act1 = blocks.0" and layer_pairs(resnet, resnet, None)[0].title == "act1"


def test_layers_by_name_and_in_pairs(resnet, vit):
    pairs = layer_pairs(resnet, vit, ["layer2=blocks.4", "layer4=norm"])
    assert [(one.first, one.second) for one in pairs] == [("layer2", "blocks.4"), ("layer4", "norm")]


def test_networks_with_other_numbers_of_stages_need_pairs(resnet):
    with raises(UsageError, "layers-do-not-pair", match="stages"):
        layer_pairs(resnet, timm.create_model("convnext_atto"), None)


@pytest.mark.parametrize("given", ["layr2", "layer2=layr3"])
def test_a_layer_that_does_not_exist_names_near_ones(resnet, given):
    with raises(UnknownNameError, "unknown-layer", match="layer"):
        layer_pairs(resnet, resnet, [given])
