"""Timm's optimizers in torch's fused form, which must change the same weights as the plain one."""

import pytest
import timm
import torch
from torch import nn

from medzoo.training.optimization.optimizer import make_optimizer

FUSED, PLAIN = ("adamw", "adam", "sgd"), ("lars", "lamb", "lion")
NETWORKS = (
    "test_resnet",
    "test_efficientnet",
    "test_vit",
    "test_convnext",
)  # convolutions of 1 x 1, depthwise, attention


def trained(model, name, fused, steps=2):
    """The weights after some steps on the same images."""
    model.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(model, name, 1e-3, 0.05)
    assert all(group["fused"] for group in optimizer.param_groups) == (name in FUSED)
    if not fused:
        for group in optimizer.param_groups:
            group["fused"] = False
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        images = torch.randn(4, 3, 64, 64, generator=generator).to(memory_format=torch.channels_last)
        model(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return optimizer, [value.detach().clone() for value in model.parameters()]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_fused_form_trains_like_the_plain_one(network):
    made = []  # by SGD: Adam divides by the gradient, which is rounding noise for a bias before BatchNorm
    for fused in (False, True):
        torch.manual_seed(0)
        model = timm.create_model(network, num_classes=2, img_size=64) if network == "test_vit" else None
        made.append(trained(model or timm.create_model(network, num_classes=2), "sgd", fused))
    (_, plain), (optimizer, fused) = made
    assert all(group["fused"] for group in optimizer.param_groups)  # gradients have the order of their parameters
    for one, other in zip(plain, fused, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FUSED)
def test_gradients_in_another_order_than_their_parameters_are_applied_to_the_right_ones(name):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    before, gradient = layer.weight.detach().clone(), torch.zeros(8, 4, 3, 3)
    gradient[1, 2, 0, 1] = 1.0
    layer.weight.grad, layer.bias.grad = gradient, torch.zeros(8)
    assert layer.weight.grad.stride() != layer.weight.stride()
    make_optimizer(layer, name, 1e-2, 0.0).step()
    assert torch.equal((layer.weight != before).nonzero(), torch.tensor([[1, 2, 0, 1]]))


@pytest.mark.parametrize("name", PLAIN)
def test_other_optimizers_have_no_fused_form(name):
    optimizer = make_optimizer(nn.Linear(4, 2), name, 1e-2, 0.0)
    assert not any(group.get("fused") for group in optimizer.param_groups)
