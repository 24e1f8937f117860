"""Pooling by matrix products gives what torch's layer gives, and replaces it everywhere."""

import pytest
import torch
from torch import nn

from medzoo.training.layers.fixed_order_pool import FixedOrderPool, fix_order_of_pools


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (6, 6), (2, 5)])
@pytest.mark.parametrize("shape", [(7, 7), (6, 12), (2, 3), (1, 1), (14, 9)])
def test_means_and_gradients_are_those_of_torch(size, shape):
    ours = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    made, expected = FixedOrderPool(size)(ours), nn.AdaptiveAvgPool2d(size)(theirs)
    torch.testing.assert_close(made, expected)
    weights = torch.randn_like(made)
    (made * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_under_autocast_it_is_as_exact_as_torch():
    planes = torch.randn(2, 3, 14, 14).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        made = FixedOrderPool((3, 3))(planes)
    expected = nn.functional.adaptive_avg_pool2d(planes.float(), 3)
    torch.testing.assert_close(made, expected.bfloat16(), rtol=2**-8, atol=0)  # its last bit


def test_all_layers_that_pool_to_several_places_are_replaced():
    inner = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d((None, 3)))
    network = fix_order_of_pools(nn.Sequential(nn.Conv2d(1, 1, 1), inner, nn.AdaptiveAvgPool2d((3, 1))))
    assert [type(layer) for layer in inner] == [nn.AdaptiveAvgPool2d, FixedOrderPool, nn.AdaptiveAvgPool2d]
    assert inner[1].size == (2, 2) and network[2].size == (3, 1)
