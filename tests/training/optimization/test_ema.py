"""The moving average follows its formula, and leaves the trained weights alone."""

import pytest
import torch

from medzoo.training.optimization.ema import Ema


@pytest.fixture
def net(tiny_net):
    return tiny_net()


def test_the_average_follows_its_formula(net):
    ema, expected = Ema(net, 0.9), {key: value.double() for key, value in net.state_dict().items()}
    for step in range(5):
        torch.manual_seed(step)
        with torch.no_grad():
            for value in net.parameters():
                value.add_(torch.randn_like(value))
            net.norm.running_mean.add_(1.0)
            net.norm.num_batches_tracked.add_(1)
        ema.update()
        expected = {key: 0.9 * old + 0.1 * net.state_dict()[key].double() for key, old in expected.items()}
    for key, value in ema.tensors.items():
        if value.is_floating_point():
            assert torch.allclose(value.double(), expected[key], atol=1e-6), key
    assert ema.tensors["norm.num_batches_tracked"] == 5  # a counter is copied


def test_the_average_is_applied_inside_a_block_only(net):
    ema = Ema(net, 0.5)
    with torch.no_grad():
        net.head.weight.add_(1.0)
    ema.update()
    trained = net.head.weight.clone()
    with ema.applied():
        assert torch.allclose(net.head.weight, trained - 0.5)
    assert torch.equal(net.head.weight, trained)
