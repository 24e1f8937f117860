"""Derivatives of the stacked losses against automatic differentiation in float64."""

import pytest
import torch

from medzoo.training.probes.outputs import class_outputs, label_outputs


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_derivatives(kind):
    torch.manual_seed(0)
    row_weights = torch.rand(7, dtype=torch.float64) + 0.1
    if kind == "softmax":
        labels = torch.tensor([0, 2, 3, 3, 2, 0, 2])
        outputs = class_outputs(labels, row_weights)
        shape, copies = (2, 2, 7), 2
    else:
        labels = torch.tensor([[0, 1], [1, 1], [0, float("nan")], [1, 0], [1, 0], [0, 0], [float("nan"), 1]]).double()
        outputs = label_outputs(labels, row_weights)
        shape, copies = (1, 4, 7), 2
    loss = outputs.loss(copies, torch.float64)
    scores, moved = (torch.randn(shape, dtype=torch.float64) for _ in range(2))

    def value(at):
        """(P,) mean losses, written as in a textbook."""
        if kind == "softmax":
            full = torch.einsum("ck,kpn->pcn", outputs.basis(), at)
            number = torch.tensor([0, 1, 2, 2, 1, 0, 1]).expand(2, 7)
            each = torch.nn.functional.cross_entropy(full, number, reduction="none")
            return (each * row_weights).sum(1) / row_weights.sum()
        targets = labels.T.repeat(2, 1)
        each = torch.nn.functional.binary_cross_entropy_with_logits(at[0], targets.nan_to_num(), reduction="none")
        weights = row_weights * ~targets.isnan()
        return (each * weights).sum(1) / weights.sum(1)

    at = scores.clone().requires_grad_()
    first = torch.autograd.grad(value(at).sum(), at, create_graph=True)[0]
    assert torch.allclose(first, loss.at(scores).residual(), atol=1e-14)
    second = torch.autograd.grad((first * moved).sum(), at)[0]
    assert torch.allclose(second, loss.at(scores).times(moved), atol=1e-14)
    one, two = loss.slopes(scores, moved)
    assert torch.allclose(one, (first * moved).sum((0, 2)), atol=1e-14)
    assert torch.allclose(two, (second * moved).sum((0, 2)), atol=1e-14)
    kept = torch.arange(shape[1]) % 2 == 1
    half = loss.subset(kept).at(scores[:, kept]).subset(torch.ones(int(kept.sum()), dtype=torch.bool))
    assert torch.allclose(half.residual(), first[:, kept], atol=1e-14)


@pytest.mark.parametrize("classes", [3, 7])
def test_the_basis_is_orthonormal_and_its_columns_sum_to_zero(classes):
    basis = class_outputs(torch.arange(classes), torch.ones(classes).double()).basis()
    assert torch.allclose(basis.T @ basis, torch.eye(classes - 1).double(), atol=1e-14)
    assert basis.sum(0).abs().max() < 1e-14
