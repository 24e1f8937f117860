"""What is captured of a layer is what the layer gave, also where a later operation writes over its tensor."""

import pytest
import timm
import torch
from torch import nn

from medzoo.analysis.activations.capture import captured


class InPlace(nn.Module):
    """A layer whose output is overwritten: by an activation, and by a shortcut."""

    def __init__(self):
        super().__init__()
        self.norm, self.act = nn.BatchNorm2d(3), nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.act(self.norm(x))
        out += x
        return out


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_later_operation_in_place_does_not_change_it(mode):
    network, x = InPlace().eval(), torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with captured(network, ["norm", "act"]) as held, mode():
        network(x)
        assert torch.equal(held["norm"], network.norm(x)) and torch.equal(held["act"], network.norm(x).relu())
    assert (held["norm"] < 0).any()


def test_the_norm_of_a_resnet_is_not_its_activation():
    network = timm.create_model("resnet18", num_classes=0).eval()
    with captured(network, ["bn1", "act1", "layer1.0.bn1"]) as held, torch.inference_mode():
        network(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert (held["bn1"] < 0).any() and torch.equal(held["bn1"].relu(), held["act1"])
    assert (held["layer1.0.bn1"] < 0).any()


def test_what_is_not_a_tensor_is_kept_as_it_is():
    class Two(nn.Module):
        def forward(self, x):
            return x, x

    network = nn.Sequential(Two())
    with captured(network, ["0"]) as held:
        network(torch.zeros(1))
    assert isinstance(held["0"], tuple)
