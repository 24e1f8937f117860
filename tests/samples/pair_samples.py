"""What tests of objectives with several views compare: loss and gradient with a plain formula, and a teacher with its average."""

from dataclasses import replace

import torch
from contract_samples import small_options
from torch import nn

from medzoo.training.accelerator import make_accelerator
from medzoo.training.loop import Loop
from medzoo.training.run_state.run_folder import RunFolder


def exact_objective(module, net, **changes):
    """An objective of a tiny network in float64, without dropout, in training mode: 3 epochs of 2 steps."""
    torch.manual_seed(0)
    backbone = net(8)
    for part in backbone.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    objective = module.Objective(backbone, replace(small_options(module), **changes), "multiclass").double().train()
    objective.start(steps=6, epoch_steps=2, seed=0)
    return objective


def batch_for(module, objective, rows=6, seed=1):
    """A batch of noise in float64."""
    draw = torch.Generator().manual_seed(seed)
    sides = [one.side(16) for one in module.views(objective.options)]
    return {"views": [torch.randn(rows, 3, side, side, generator=draw, dtype=torch.float64) for side in sides]}


def check_loss(objective, loss, expected):
    """Equal to 1e-6, and so is the gradient of every trained weight; a weight without a gradient is an error."""
    trained = [value for value in objective.parameters() if value.requires_grad]
    assert loss.ndim == 0 and torch.allclose(loss, expected, rtol=1e-6, atol=1e-9)
    found, wanted = (torch.autograd.grad(value, trained) for value in (loss, expected))
    assert all(torch.allclose(*pair, rtol=1e-6, atol=1e-9) for pair in zip(found, wanted, strict=True))
    assert any(one.abs().max() > 1e-4 for one in found)


def cosine(one, two):
    """Of two vectors."""
    return (one * two).sum() / (one.square().sum() * two.square().sum()).sqrt()


def loop_of(folder, objective, batches, plan):
    """A loop before its first step."""
    loop = Loop(objective, batches, plan, RunFolder(folder, "pretrain", {}, {}), make_accelerator("fp32", "cpu"))
    loop.restore()
    return loop


def values_of(model):
    """Copies of all parameters."""
    return [value.detach().clone() for value in model.parameters()]


def check_teacher(loop, student, momenta):
    """After every step, the teacher is bit for bit the average of its old weights and the student's new ones.

    Args:
        loop: before its first step.
        student: what the teacher follows.
        momenta: the expected share of the old weights in some steps, by number.
    """
    teacher, logged = loop.objective.teacher, {}
    forward = loop.objective.forward

    def watched(batch, step):
        values = forward(batch, step)
        logged[step] = float(values["teacher_momentum"])
        return values

    loop.objective.forward = watched
    for step in range(loop.steps):
        before = values_of(teacher)
        loop.train_next()
        momentum = loop.objective.momentum_at(step)
        assert abs(logged[step] - momentum) < 1e-6 and not any(value.requires_grad for value in teacher.parameters())
        if step in momenta:
            assert abs(momentum - momenta[step]) < 1e-12
        pairs = zip(before, student.parameters(), strict=True)
        expected = [old.mul(momentum).add(new, alpha=1 - momentum) for old, new in pairs]
        assert all(map(torch.equal, teacher.parameters(), expected))
        moved = not all(map(torch.equal, before, expected))
        assert moved == (momentum < 1)
    assert not all(map(torch.equal, teacher.parameters(), student.parameters()))
