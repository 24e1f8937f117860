"""A training step uses no operation whose result a GPU adds in a changing order and for which torch has no other algorithm."""

import pytest
import torch
from contract_samples import net_for, small_options
from fixed_order import operations, refused
from tiny import TinyNet, tiny_vit

import medzoo
from medzoo.training.objectives import list_methods, method


@pytest.mark.parametrize("network", [TinyNet, tiny_vit], ids=["cnn", "vit"])
@pytest.mark.parametrize("name", list_methods())
def test_a_step_of_each_method(name, network, make_batches):
    module = method(name)
    options = small_options(module)
    objective = module.Objective(net_for(module, net=network), options, "multiclass").train()
    objective.start(steps=20, epoch_steps=4, seed=0)
    batch = make_batches(module.views(options))[0]
    names = operations(lambda: objective(batch, 0)["loss"])
    assert "aten::mul" in str(names) and not refused(names)


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("resnet10t-random", "unet"),
        ("resnet10t-random", "upernet"),
        ("vit_tiny_patch16_224-random", "dpt"),
        ("vit_tiny_patch16_224-random", "linear"),
    ],
)
def test_a_step_of_each_decoder(name, decoder):
    pytest.importorskip("segmentation_models_pytorch")
    size = {} if decoder in ("unet", "upernet") else {"size": 64}
    network = medzoo.segmenter(name, 3, decoder=decoder, **size).train()
    assert not refused(operations(lambda: network(torch.randn(2, 3, 64, 64)).square().sum()))


def test_the_check_sees_such_an_operation():
    given = torch.randn(1, 1, 8, 8, requires_grad=True)
    for call in (
        lambda: torch.nn.functional.interpolate(given, (4, 4), mode="bicubic", antialias=True).sum(),
        lambda: torch.nn.functional.adaptive_avg_pool2d(given, 3).sum(),
    ):
        assert refused(operations(call))
