"""Objectives, found by file name, keep the contract; their losses equal plain definitions."""

import dataclasses

import pytest
import torch

from medzoo.errors import UnknownNameError
from medzoo.training.objectives import list_methods, method
from medzoo.training.objectives.simclr import nt_xent
from medzoo.training.objectives.supervised import Objective, Options


@pytest.mark.parametrize("name", list_methods())
def test_contract(name, tiny_net, make_batches):
    module = method(name)
    options = module.Options()
    assert all(field.metadata.get("help") for field in dataclasses.fields(options))
    assert module.views(options).min_area <= 1
    objective = module.Objective(tiny_net(3 if module.SUPERVISED else 8), options, "multiclass")
    objective.train()
    values = objective(make_batches(module.VIEWS)[0], 0)
    values["loss"].backward()
    assert values["loss"].ndim == 0 and all(p.grad is not None for p in objective.backbone.conv.parameters())


def test_unknown_method_has_a_hint():
    with pytest.raises(UnknownNameError, match="Did you mean simclr"):
        method("simcrl")


def test_nt_xent_is_the_papers_sum():
    torch.manual_seed(0)
    first, second, temperature = torch.randn(5, 4), torch.randn(5, 4), 0.3
    both = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    total = 0.0
    for i in range(10):
        j = (i + 5) % 10
        others = sum(torch.exp(both[i] @ both[k] / temperature) for k in range(10) if k != i)
        total -= torch.log(torch.exp(both[i] @ both[j] / temperature) / others)
    assert torch.allclose(nt_xent(first, second, temperature), total / 10, atol=1e-6)


def test_unknown_labels_do_not_count(tiny_net):
    objective = Objective(tiny_net(), Options(), "multilabel").eval()
    image = torch.randn(4, 3, 16, 16)
    label = torch.tensor([[0.0, 1, float("nan")], [1, 0, 1], [0, 0, float("nan")], [1, 1, 0]])
    loss = objective({"image": image, "label": label}, 0)["loss"]
    logits = objective.backbone(image)
    known = ~label.isnan()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], label[known])
    assert torch.allclose(loss, expected)
    everything_unknown = objective({"image": image, "label": torch.full((4, 3), float("nan"))}, 0)["loss"]
    assert everything_unknown == 0 and torch.isfinite(everything_unknown)
