"""Gram anchoring: the term is the formula, the anchor stays, a run resumes exactly, and similarities are kept."""

from dataclasses import replace

import pytest
import torch
from expect import raises
from loop_samples import PLAN, fit, objective_of, same_weights
from tiny import TinyNet, tiny_swin, tiny_vit

from medzoo.errors import UsageError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.objectives import method
from medzoo.training.pretrain import PretrainOptions
from medzoo.training.pretrain_run.gram import GramAnchored, gram_loss
from medzoo.training.run_state.run_folder import Interrupted, RunFolder


def test_the_term_is_the_formula():
    draw = torch.Generator().manual_seed(0)
    ours = torch.randn(3, 5, 7, generator=draw, dtype=torch.float64, requires_grad=True)
    theirs = torch.randn(3, 5, 4, generator=draw, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for image in range(3):
        for i in range(5):
            for j in range(5):
                one, two = (
                    part[image, i] @ part[image, j] / part[image, i].norm() / part[image, j].norm()
                    for part in (ours, theirs)
                )
                total = total + (one - two) ** 2
    loss = gram_loss(ours, theirs)
    assert torch.allclose(loss, total / 75, atol=1e-12)
    gradients = [torch.autograd.grad(value, ours, retain_graph=True)[0] for value in (loss, total / 75)]
    assert torch.allclose(*gradients, atol=1e-12)


def anchored(net, weight=1.0, start=0.0):
    torch.manual_seed(0)
    module = method("simclr")
    return GramAnchored(module.Objective(net, module.Options(projection=8), "unlabelled"), weight, start)


@pytest.mark.parametrize("make", [tiny_vit, tiny_swin], ids=["vit", "swin"])
def test_at_the_start_nothing_differs_and_later_the_term_pulls_back(make):
    objective = anchored(make()).eval()
    batch = {"views": [torch.randn(4, 3, 16, 16), torch.randn(4, 3, 16, 16)]}
    assert objective(batch, 0)["gram"] == 0
    with torch.no_grad():
        for value in objective.backbone.parameters():
            value.add_(0.2 * torch.randn_like(value))
    first = float(objective(batch, 0)["gram"])
    assert first > 1e-4
    optimizer = torch.optim.Adam(objective.backbone.parameters(), 1e-2)
    for _ in range(30):
        objective.weight = 1e4  # so that the term decides
        objective(batch, 0)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(objective(batch, 0)["gram"]) < first / 2


def test_the_term_begins_at_its_start():
    objective = anchored(tiny_vit(), weight=3.0, start=0.5).eval()
    objective.start(steps=10, epoch_steps=5, seed=0)
    with torch.no_grad():
        objective.backbone.blocks[0].mlp.fc1.weight.mul_(3.0)
    batch = {"views": [torch.randn(4, 3, 16, 16), torch.randn(4, 3, 16, 16)]}
    alone = objective.objective(batch, 0)["loss"]
    for step, weight in ((0, 0.0), (4, 0.0), (5, 3.0), (9, 3.0)):
        values = objective(batch, step)
        gram = values.get("gram", torch.zeros(()))
        assert torch.allclose(values["loss"], alone + weight * gram) and (gram > 0) == (weight > 0)


def test_the_anchor_is_no_part_of_a_saved_state():
    objective = anchored(tiny_vit())
    names = set(objective.state_dict())
    assert names == {f"objective.{name}" for name in objective.objective.state_dict()}
    assert not any(value is other for value in objective._anchor[0].parameters() for other in objective.parameters())


class MapNet(TinyNet):
    """A CNN with the map that timm's networks give."""

    def forward_features(self, x):
        return self.norm(self.conv(x)).relu()


def test_an_anchored_run_resumes_bit_for_bit(tmp_path, make_batches):
    def train(name, stop=None):
        torch.manual_seed(0)
        objective = anchored(MapNet(8), weight=0.5, start=0.3)
        run = RunFolder(tmp_path / name, "pretrain", {}, {})
        run.stop_at_step = stop
        with run.open():
            fit(objective, make_batches(2), replace(PLAN, epochs=2), run, make_accelerator("fp32", "cpu"))
        return objective, run

    straight, run = train("straight")
    assert any("gram" in row for row in run.rows())
    for stop in (1, 3, 5):
        with pytest.raises(Interrupted):
            train(f"cut{stop}", stop)
        resumed, _ = train(f"cut{stop}")
        assert same_weights(straight, resumed)


def test_a_network_without_a_map_is_refused(tiny_net):
    objective, _ = objective_of("simclr", tiny_net)
    with raises(UsageError, "network-without-tokens"):
        GramAnchored(objective, 1.0)


def test_a_map_of_one_position_has_no_similarities():
    """A ResNet at 32 px: the term would be 0 whatever the network learns."""
    import timm

    objective = anchored(timm.create_model("test_resnet", num_classes=0))
    with raises(UsageError, "gram-one-position"):
        objective({"views": [torch.randn(2, 3, 16, 16)] * 2}, 0)
    assert "gram" in objective({"views": [torch.randn(2, 3, 96, 96)] * 2}, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"architecture": "resnet18", "gram_weight": 1.0}, "gram-without-checkpoint"),
        ({"checkpoint": "resnet18-random", "gram_start": 0.5}, "gram-start-without-weight"),
    ],
)
def test_options_without_an_effect_are_refused(changes, code):
    with raises(UsageError, code):
        PretrainOptions(method="simclr", task="phantom_ct", out="runs/x", **changes).check()
