"""What BYOL, MoCo v3 and SwAV have in common: refusals, the optional package, and losses in full precision."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from expect import raises
from pair_samples import batch_for, exact_objective
from torch import nn

from medzoo.errors import MissingExtraError, UsageError
from medzoo.training import objectives
from medzoo.training.objectives import byol, mocov3, swav

METHODS = pytest.mark.parametrize("module", [byol, mocov3, swav], ids=["byol", "mocov3", "swav"])


@METHODS
def test_networks_and_batches_that_cannot_be_trained(module, tiny_net):
    module.check(tiny_net(8), module.Options(), 16, 256)
    with raises(UsageError, "batch-too-small"):
        module.check(tiny_net(8), module.Options(), 16, 1)
    with raises(UsageError, "architecture-not-for-method"):
        module.check(nn.Identity(), module.Options(), 16, 256)


@METHODS
def test_without_lightly_a_method_is_listed_and_shows_its_options(module, tiny_net, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "lightly"] + ["lightly", "lightly.loss"]:
        monkeypatch.setitem(sys.modules, name, None)
    file = Path(objectives.__file__).parent / f"{module.__name__.rpartition('.')[2]}.py"
    read = runpy.run_path(str(file))
    assert read["views"](read["Options"]())
    with raises(MissingExtraError, "missing-lightly"):
        module.check(tiny_net(8), module.Options(), 16, 256)


@METHODS
def test_under_bf16_the_loss_is_computed_in_full(module, tiny_net):
    """The values are float32, nearly those of float32, and every weight has a gradient."""
    objective = exact_objective(module, tiny_net).float()
    batch = {"views": [view.float() for view in batch_for(module, objective)["views"]]}
    full = objective(batch, 0)
    with torch.autocast("cpu", torch.bfloat16):
        short = objective(batch, 0)
    short["loss"].backward()
    assert all(value.dtype == torch.float32 for value in short.values())
    assert torch.allclose(short["loss"], full["loss"], rtol=0.05, atol=0.02)
    assert all(value.grad is not None for value in objective.parameters() if value.requires_grad)


@METHODS
def test_only_the_loss_has_a_gradient(module, tiny_net):
    objective = exact_objective(module, tiny_net)
    values = objective(batch_for(module, objective), 0)
    assert {name for name, value in values.items() if value.requires_grad} == {"loss"}
