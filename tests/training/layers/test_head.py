"""The head: its initial weights, dropout before it, and the unit of a regression."""

import pytest
import torch
import torch.nn.functional as F

from medzoo.training.layers.head import add_dropout, rescale_output, start_head


def test_the_initial_weights_of_the_head(tiny_net):
    net = tiny_net()
    before = net.head.weight.detach().clone()
    start_head(net, 0.0)
    assert torch.equal(net.head.weight, before)
    torch.manual_seed(0)
    net.head = torch.nn.Linear(2_000, 5)
    start_head(net, 0.01)
    assert float(net.head.weight.detach().std()) == pytest.approx(0.01, rel=0.05) and not net.head.bias.any()


def test_dropout_is_of_the_features_and_only_in_training(tiny_net):
    net, images = tiny_net(), torch.rand(64, 3, 16, 16)
    net.drop, net.norm.momentum = torch.nn.Identity(), 0.0
    plain, keys = net.eval()(images), list(net.state_dict())
    handle = add_dropout(net, 0.5)
    assert torch.equal(net(images), plain) and list(net.state_dict()) == keys
    seen = []
    net.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net.train()(images)
    assert 0.3 < float((seen[0] == 0).float().mean()) < 0.8
    handle.remove()
    assert torch.equal(net.eval()(images), plain) and add_dropout(net, 0.0) is None


def test_a_regression_is_given_back_in_its_unit(tiny_net):
    net, images = tiny_net(1).eval(), torch.rand(4, 3, 16, 16)
    standard = net(images).detach()
    rescale_output(net, mean=60.0, std=9.0)
    assert torch.allclose(net(images), standard * 9 + 60, atol=1e-4)
    assert F.mse_loss(net(images), standard) > 1
