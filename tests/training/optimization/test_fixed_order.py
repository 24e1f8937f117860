"""A training step uses no operation whose result a GPU adds in a changing order and for which torch has no other algorithm.

A CPU shows which operations a step has; torch's documentation of `use_deterministic_algorithms` lists those that a GPU refuses.
Bilinear resizing is not listed here: with deterministic algorithms, torch replaces it on a GPU.
"""

import re

import pytest
import torch
from contract_samples import net_for, small_options
from tiny import TinyNet, tiny_vit
from torch.utils._python_dispatch import TorchDispatchMode

from medzoo.training.objectives import list_methods, method

REFUSED = re.compile(
    r"aten::(_?upsample_(linear1d|bicubic2d|trilinear3d|bilinear2d_aa|bicubic2d_aa)_backward|_?adaptive_(avg|max)_pool[23]d_backward"
    r"|avg_pool3d_backward|fractional_max_pool[23]d_backward|max_unpool\w+|reflection_pad\w+_backward|_?ctc_loss_backward|histc"
    r"|grid_sampler_[23]d_backward|put_?|nll_loss2d_forward|kthvalue|median|bincount|scatter_reduce_?)$"
)


class Operations(TorchDispatchMode):
    """The names of all operations, forward and backward."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.name().partition(".")[0])
        return function(*args, **(kwargs or {}))


def operations(call):
    with Operations() as seen:
        call().backward()
    return seen.names


def refused(names):
    return sorted(name for name in names if REFUSED.match(name))


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


def test_the_check_sees_such_an_operation():
    given = torch.randn(1, 1, 8, 8, requires_grad=True)
    for call in (
        lambda: torch.nn.functional.interpolate(given, (4, 4), mode="bicubic", antialias=True).sum(),
        lambda: torch.nn.functional.adaptive_avg_pool2d(given, 3).sum(),
    ):
        assert refused(operations(call))
