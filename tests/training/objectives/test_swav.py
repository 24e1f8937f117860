"""SwAV: its loss is the paper's, codes share out the batch and the queue, and prototypes have length 1."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from expect import raises
from loop_samples import PLAN
from pair_samples import batch_for, check_loss, exact_objective, loop_of
from tiny import tiny_swin
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.objectives import swav

SMALL = swav.Options(hidden=16, projection=16, prototypes=5)


def codes(scores, epsilon):
    """Three rounds of Sinkhorn's algorithm: every prototype gets an equal share, then every row has the sum 1."""
    table = torch.exp(scores / epsilon)
    for _ in range(3):
        table = table / table.sum(0, keepdim=True) / table.shape[1]
        table = table / table.sum(1, keepdim=True)
    return table


def paper_loss(objective, batch, queue=None):
    """-sum q log p over pairs of a large view (q) and another view (p)."""
    options, count = objective.options, len(batch["views"])
    (head,) = objective.prototypes.heads
    outputs = [
        objective.projector(objective.backbone(torch.cat(part))) for part in (batch["views"][:2], batch["views"][2:])
    ]
    scores = [F.normalize(rows, dim=1) @ head.weight.T for part in outputs for rows in part.split(6)]
    assert len(scores) == count
    total = 0.0
    for view in (0, 1):
        older = [] if queue is None else [queue[view] @ head.weight.T]
        target = codes(torch.cat([scores[view], *older]).detach(), options.epsilon)[:6]
        for other in range(count):
            if other != view:
                for row in range(6):
                    spread = torch.log_softmax(scores[other][row] / options.temperature, dim=0)
                    total = total - (target[row] * spread).sum() / 6 / (count - 1) / 2
    return total


@pytest.mark.parametrize("small_views", [6, 1])
def test_the_loss_is_the_papers(tiny_net, small_views):
    objective = exact_objective(swav, tiny_net, small_views=small_views, prototypes=5, temperature=0.2, epsilon=0.1)
    batch = batch_for(swav, objective)
    check_loss(objective, objective(batch, 0)["loss"], paper_loss(objective, batch))


def test_two_large_views_are_enough(tiny_net):
    objective = exact_objective(swav, tiny_net, small_views=0, prototypes=5)
    batch = batch_for(swav, objective)
    assert len(batch["views"]) == 2
    values = objective(batch, 0)
    values["loss"].backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in objective.parameters())


def test_rows_of_a_queue_are_part_of_the_codes(tiny_net):
    """Only its filled part: 6 rows after one step, and the newest 8 after two."""
    objective = exact_objective(swav, tiny_net, prototypes=5, queue=8, queue_epoch=0)
    rows = []
    for step in range(3):
        batch = batch_for(swav, objective, seed=step)
        queue = torch.cat(rows[::-1], dim=1)[:, :8] if rows else None
        check_loss(objective, objective(batch, step)["loss"], paper_loss(objective, batch, queue))
        large = torch.cat(batch["views"][:2])
        rows.append(F.normalize(objective.projector(objective.backbone(large)), dim=1).detach().view(2, 6, -1))
        objective(batch, step)
        objective.after_update(step)
    assert torch.allclose(objective.queue, torch.cat(rows[::-1], dim=1)[:, :8])
    assert "queue" in objective.state_dict()


def test_a_queue_starts_in_its_epoch(tiny_net):
    objective = exact_objective(swav, tiny_net, prototypes=5, queue=8, queue_epoch=1)  # 2 steps an epoch
    filled = []
    for step in range(4):
        batch = batch_for(swav, objective, seed=step)
        objective(batch, step)
        objective.after_update(step)
        filled.append(int(objective.queue[0].any(dim=1).sum()))
    assert filled == [0, 0, 6, 8]
    late = exact_objective(swav, tiny_net, prototypes=5)
    late.load_state_dict({key: value for key, value in objective.state_dict().items() if key != "queue"})
    batch = batch_for(swav, objective, seed=9)
    assert torch.equal(late(batch, 2)["loss"], objective(batch, 2)["loss"])  # the rows that step 2 adds count later
    assert not torch.allclose(late(batch, 3)["loss"], objective(batch, 3)["loss"])


def test_prototypes_stay_in_the_first_epochs_and_are_trained_then(tmp_path, tiny_net, make_batches):
    options = replace(SMALL, frozen_prototype_epochs=2)
    objective = swav.Objective(tiny_net(8), options, "multiclass")
    loop = loop_of(tmp_path, objective, make_batches(swav.views(options)), PLAN)
    (weight,) = objective.prototypes.parameters()  # the paper's prototypes have no bias
    start = weight.detach().clone()
    for step in range(loop.steps):
        before = weight.detach().clone()
        loop.train_next()
        assert torch.allclose(weight.norm(dim=1), torch.ones(5), atol=1e-6)
        assert torch.allclose(weight, before, atol=1e-6) == (step < 8)
    assert not torch.allclose(weight, start, atol=1e-3)


def test_no_epoch_has_frozen_prototypes_if_chosen(tmp_path, tiny_net, make_batches):
    options = replace(SMALL, frozen_prototype_epochs=0)
    objective = swav.Objective(tiny_net(8), options, "multiclass")
    loop = loop_of(tmp_path, objective, make_batches(swav.views(options)), PLAN)
    before = objective.prototypes.heads[0].weight.detach().clone()
    loop.train_next()
    loop.train_next()
    assert not torch.allclose(objective.prototypes.heads[0].weight, before, atol=1e-5)


def test_a_batch_is_at_least_as_large_as_the_number_of_clusters(tiny_net):
    swav.check(tiny_net(8), swav.Options(prototypes=40), 16, 40)
    with raises(UsageError, "batch-too-small", match=r"39.*40.*--queue to 1 or"):
        swav.check(tiny_net(8), swav.Options(prototypes=40), 16, 39)
    swav.check(tiny_net(8), swav.Options(prototypes=40, queue=20), 16, 20)
    with raises(UsageError, "batch-too-small"):
        swav.check(tiny_net(8), swav.Options(prototypes=40, queue=19), 16, 20)


def test_a_network_of_one_size_has_no_small_views():
    net = tiny_swin()
    with raises(UsageError, "architecture-not-for-method"):
        swav.check(net, SMALL, 16, 8)
    assert net.training
    swav.check(net, replace(SMALL, small_views=0), 16, 8)


def test_the_check_of_small_views_changes_nothing(tiny_net):
    net = tiny_net(8).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    swav.check(net, SMALL, 16, 8)
    assert net.training and all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_entropy_of_the_clusters(tiny_net):
    """1 if all are used equally, and near 0 if all images are in one."""
    objective = exact_objective(swav, tiny_net, prototypes=5, temperature=0.01)
    batch, (head,) = batch_for(swav, objective), objective.prototypes.heads
    assert 0.05 < objective(batch, 0)["prototype_entropy"] < 0.999
    nn.init.zeros_(head.weight)
    assert abs(objective(batch, 0)["prototype_entropy"] - 1) < 1e-9
    last = objective.projector.layers[-1]
    nn.init.zeros_(last.weight)  # all images have the same projection, and the first prototype is in its direction
    with torch.no_grad():
        head.weight[0] = F.normalize(last.bias, dim=0)
    assert objective(batch, 0)["prototype_entropy"] < 1e-6


def test_two_large_and_several_small_views():
    options = swav.Options(small_views=3, small_share=0.25, min_area=0.2, small_area=0.1, tone=0.3, blur=0.4)
    made = swav.views(options)
    assert [view.side(64) for view in made] == [64, 64, 16, 16, 16]
    assert [(view.augmentation.min_area, view.augmentation.max_area) for view in made] == [(0.2, 1)] * 2 + [
        (0.05, 0.1)
    ] * 3
    assert all((view.augmentation.brightness, view.augmentation.blur) == (0.3, 0.4) for view in made)
    assert [view.side(224) for view in swav.views(swav.Options())] == [224] * 2 + [96] * 6
