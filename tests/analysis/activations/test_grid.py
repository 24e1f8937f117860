"""Activations of every kind of layer become positions x channels."""

import timm
import torch
from expect import raises
from torch import nn

from medzoo.analysis.activations.capture import captured
from medzoo.analysis.activations.grid import as_grid, common_grid
from medzoo.errors import UsageError


def grid_of(name, layer, side=64, **options):
    network = timm.create_model(name, num_classes=0, **options).eval()
    with captured(network, [layer]) as held, torch.inference_mode():
        network(torch.rand(2, 3, side, side))
    return as_grid(held[layer], network, layer)


def test_feature_maps_tokens_and_vectors():
    assert grid_of("resnet18", "layer2").shape == (2, 8, 8, 128)
    assert grid_of("vit_tiny_patch16_224", "blocks.1", img_size=64).shape == (2, 4, 4, 192)  # without the class token
    assert grid_of("swin_tiny_patch4_window7_224", "layers.1", img_size=64).shape == (2, 8, 8, 192)
    assert grid_of("resnet18", "global_pool").shape == (2, 1, 1, 512)


def test_a_token_keeps_its_place():
    network = nn.Identity()
    network.num_prefix_tokens = 1
    tokens = torch.arange(10.0).reshape(1, 10, 1)
    assert as_grid(tokens, network, "blocks.0")[0, :, :, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_something_else_is_an_error():
    for wrong in ((torch.zeros(1), torch.zeros(1)), torch.zeros(2), torch.zeros(1, 2, 3, 4, 5)):
        with raises(UsageError, "layer-output-not-a-grid", match="my_layer"):
            as_grid(wrong, nn.Identity(), "my_layer")


def test_the_larger_grid_is_averaged():
    large = torch.arange(16.0).reshape(1, 4, 4, 1)
    reduced, same = common_grid(large, torch.zeros(1, 2, 2, 3))
    assert reduced[0, :, :, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]] and same.shape == (1, 2, 2, 3)
