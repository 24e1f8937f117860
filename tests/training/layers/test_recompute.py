"""Layers that are computed again give the same gradient; networks with BatchNorm are refused."""

import pytest
import timm
import torch
from contract_samples import small_options
from expect import raises
from tiny import TinyNet, tiny_swin, tiny_vit

from medzoo.errors import UsageError
from medzoo.training.layers.recompute import recompute_layers
from medzoo.training.objectives import method


@pytest.mark.parametrize(
    ("name", "net"), [("mae", tiny_vit), ("simmim", tiny_swin), ("simclr", tiny_vit), ("mocov3", tiny_vit)]
)
def test_the_gradient_is_the_same_with_the_same_noise(name, net, make_batches):
    """Stochastic depth is drawn again as it was."""
    module = method(name)
    batch = make_batches(module.views(small_options(module)))[0]
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        backbone = net()
        if again:
            recompute_layers(backbone)
        objective = module.Objective(backbone, small_options(module), "unlabelled").train()
        objective.start(steps=8, epoch_steps=4, seed=0)
        calls = []
        block = backbone.blocks[0] if hasattr(backbone, "blocks") else backbone.layers[0].blocks[0]
        block.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(1)
        objective(batch, 0)["loss"].backward()
        found.append(
            (
                torch.cat([value.grad.flatten() for value in objective.parameters() if value.grad is not None]),
                len(calls),
            )
        )
    assert torch.equal(found[0][0], found[1][0]) and found[1][1] == 2 * found[0][1]


def test_networks_that_cannot_recompute():
    """In both modes: a network that was just loaded is in evaluation mode, and trains afterwards."""
    for net in (TinyNet(8), TinyNet(8).eval(), timm.create_model("resnet18").eval(), torch.nn.Linear(2, 2)):
        with raises(UsageError, "recompute-not-possible"):
            recompute_layers(net)
