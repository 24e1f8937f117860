"""Gram anchoring: the term is the formula and begins at 0, costs no second pass, and a run resumes exactly."""

import copy
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch._dynamo
from contract_samples import VARIANTS, case_of, net_for
from expect import raises
from loop_samples import PLAN, fit, objective_of, same_weights
from map_net import MapNet
from tiny import tiny_swin, tiny_vit
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.objectives import list_methods
from medzoo.training.pretrain import PretrainOptions
from medzoo.training.pretrain_run.gram import GramAnchored, gram_loss
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

CASES = [*list_methods(), *VARIANTS]


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


def anchored(net, weight=1.0, start=0.0, name="simclr"):
    torch.manual_seed(0)
    module, options = case_of(name)
    return GramAnchored(module.Objective(net, options, "multiclass"), weight, start)


def batch_for(name, count=6, side=16, dtype=torch.float64):
    """Random views, with labels."""
    module, options = case_of(name)
    draw = torch.Generator().manual_seed(1)
    views = [
        torch.randn(count, 3, view.side(side), view.side(side), generator=draw, dtype=dtype)
        for view in module.views(options)
    ]
    batch = {"label": torch.arange(count) % 3, "index": np.arange(count)}
    return {**batch, **({"image": views[0]} if len(views) == 1 else {"views": views})}


def changed(objective, by=0.2):
    """Other weights than those of the anchor."""
    with torch.no_grad():
        for value in objective.backbone.parameters():
            value.add_(by * torch.randn_like(value))


def networks_of(name):
    """Tiny networks that a method takes: with BatchNorm and dropout, and with dropped paths."""
    module, _ = case_of(name)
    outputs = 3 if module.SUPERVISED else 8
    made = {type(net).__name__: net for net in (net_for(module, net=MapNet), tiny_vit(outputs))}
    if name == "simmim":
        made["SwinTransformer"] = tiny_swin(outputs)
    return list(made.values())


@pytest.mark.parametrize("name", CASES)
def test_the_term_is_0_while_the_weights_are_those_of_the_anchor(name):
    """In training mode: with statistics of the batch, dropout and dropped paths; whatever the running statistics are."""
    for net in networks_of(name):
        objective = anchored(net, name=name).double().train()
        objective.start(steps=4, epoch_steps=4, seed=0)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.fill_(3.0)
        for step in range(2):  # the second with other running statistics
            assert float(objective(batch_for(name), step)["gram"].detach()) < 1e-24, type(net).__name__
        changed(objective)
        assert objective(batch_for(name), 0)["gram"] > 1e-6


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_the_term_begins_at_0_with_networks_of_timm(name):
    side = {"img_size": 96} if name == "test_vit" else {}
    objective = anchored(timm.create_model(name, num_classes=0, **side)).double().train()
    for mode in (False, True):
        values = objective.train(mode)(batch_for("simclr", 2, 96), 0)
        assert values["gram"] == 0 and values["loss"].requires_grad


@pytest.mark.parametrize("name", CASES)
def test_the_objective_computes_what_it_computes_without_the_term(name):
    """Loss, logged values, running statistics of all layers, and the noise that comes after the step."""
    for net in networks_of(name):
        objective = anchored(net, weight=7.0, name=name).double().train()
        objective.start(steps=4, epoch_steps=4, seed=0)
        changed(objective)
        state = {key: value.clone() for key, value in objective.state_dict().items()}

        def run(part, objective=objective, state=state):
            objective.load_state_dict(state)
            torch.manual_seed(5)
            values = part(batch_for(name), 0)
            after = {key: value.clone() for key, value in objective.state_dict().items()}
            return values, {**after, "noise": torch.rand(4)}

        (alone, expected), (values, after) = run(objective.objective), run(objective)
        assert torch.equal(values.pop("loss"), alone.pop("loss") + 7.0 * values.pop("gram"))
        assert values.keys() == alone.keys() and all(torch.equal(values[key], alone[key]) for key in alone)
        assert all(torch.equal(expected[key], after[key]) for key in expected)


@pytest.mark.parametrize("name", CASES)
def test_tokens_come_from_the_pass_of_the_objective(name):
    """It saw the first view, without a mask. Methods that mask images get one more pass, of the whole view."""
    module, _ = case_of(name)
    net = net_for(module, net=MapNet)
    objective, seen = anchored(net, name=name).double().train(), []
    objective.start(steps=4, epoch_steps=4, seed=0)
    first = next(part for part in net.modules() if isinstance(part, nn.Conv2d))
    handle = first.register_forward_hook(lambda layer, given, made: seen.append(given[0].detach()))
    batch = batch_for(name)
    view = batch["image"] if "image" in batch else batch["views"][0]
    objective.objective(batch, 0)
    passes = len(seen)
    objective(batch, 0)
    assert len(seen) == 2 * passes + objective.objective.masks_images
    whole = seen[-1] if objective.objective.masks_images else seen[0]
    assert torch.equal(whole[: len(view)], view)
    assert "forward_features" not in vars(net) and not objective._passes._passes
    handle.remove()


def test_a_network_that_computes_its_features_elsewhere_gets_a_second_pass():
    """Running statistics move once a step, as without the term."""

    class Other(MapNet):
        def forward(self, x):
            return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))

    objective = anchored(Other(8)).double().train()
    assert objective(batch_for("simclr"), 0)["gram"] < 1e-24
    assert objective.backbone.norm.num_batches_tracked == 1 and objective.backbone.norm.track_running_stats


@pytest.mark.parametrize("make", [lambda: MapNet(8), tiny_vit, tiny_swin], ids=["cnn", "vit", "swin"])
def test_the_term_pulls_back(make):
    objective = anchored(make()).double().train()
    batch = batch_for("simclr")
    changed(objective)
    first = float(objective(batch, 0)["gram"].detach())
    assert first > 1e-4
    optimizer = torch.optim.Adam(objective.backbone.parameters(), 1e-2)
    for _ in range(30):
        objective.weight = 1e4  # so that the term decides
        objective(batch, 0)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(objective(batch, 0)["gram"].detach()) < first / 2


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


def test_the_anchor_stays_and_moves_to_a_device_with_the_objective():
    objective = anchored(MapNet(8))
    anchor = objective._anchor[0]
    start = {key: value.clone() for key, value in anchor.state_dict().items()}
    optimizer = torch.optim.Adam(objective.parameters(), 0.1)
    objective.train()(batch_for("simclr", dtype=torch.float32), 0)["loss"].backward()
    optimizer.step()
    assert all(torch.equal(start[key], value) for key, value in anchor.state_dict().items())
    objective.to("meta")
    assert {value.device.type for value in anchor.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("make", [lambda: MapNet(8), tiny_swin], ids=["cnn", "swin"])
def test_an_anchored_run_resumes_bit_for_bit(tmp_path, make_batches, make):
    def train(name, stop=None):
        torch.manual_seed(0)
        objective = anchored(make(), weight=0.5, start=0.3)
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


WORK = """
import json, sys
rank, world, port = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sys.path[:0] = sys.argv[4:]
import torch
from torch import distributed, nn
torch.set_num_threads(1)
if world > 1:
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
import numpy as np
from contract_samples import case_of, net_for
from map_net import MapNet
from medzoo.training.layers.joint_batch_norm import joint_batch_norm
from medzoo.training.objectives import list_methods
from medzoo.training.pretrain_run.gram import GramAnchored

ROWS, STEPS = 16, 3
made = {}
for name in list_methods():
    module, options = case_of(name)
    torch.manual_seed(0)
    backbone = net_for(module, net=MapNet)
    for part in backbone.modules():  # noise is a process's own
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if hasattr(part, "drop_prob"):
            part.drop_prob = 0.0
    objective = GramAnchored(module.Objective(backbone, options, "multiclass"), 100.0)
    objective = joint_batch_norm(objective).double().train()
    objective.start(steps=STEPS, epoch_steps=STEPS, seed=0)
    model = nn.parallel.DistributedDataParallel(objective) if world > 1 else objective
    optimizer = torch.optim.SGD([value for value in objective.parameters() if value.requires_grad], 0.1)
    draw = torch.Generator().manual_seed(1)
    steps = []
    for step in range(STEPS):
        sides = [one.side(16) for one in module.views(options)]
        views = [torch.randn(ROWS, 3, side, side, generator=draw, dtype=torch.float64) for side in sides]
        mine = slice(rank, None, world)
        batch = {"label": (torch.arange(ROWS) % 3)[mine], "index": np.arange(ROWS)[mine]}
        batch |= {"image": views[0][mine]} if len(views) == 1 else {"views": [view[mine] for view in views]}
        values = model(batch, step)
        values["loss"].backward()
        gradient = [value.grad.flatten() for value in objective.parameters() if value.grad is not None]
        steps.append([float(values["loss"].detach()), float(values["gram"]), torch.cat(gradient).tolist()])
        objective.before_update(step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        objective.after_update(step)
    made[name] = steps
print(json.dumps(made))
if world > 1:
    distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def both(warm):
    def run(world):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = str(taken.getsockname()[1])
        samples = str(Path(__file__).parents[2] / "samples")
        environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
        started = [warm.start(WORK, str(rank), str(world), port, samples, env=environment) for rank in range(world)]
        return [json.loads(process.communicate(timeout=300)[0]) for process in started]

    return run(1)[0], run(2)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_methods())
def test_two_processes_learn_what_one_learns(both, name):
    """Loss, term and gradient of three steps; the anchor's batch statistics are those of all processes, too."""
    alone, together = both
    for step, (loss, gram, gradient) in enumerate(alone[name]):
        assert gram < 1e-24 if step == 0 else gram > 1e-9
        assert sum(made[name][step][0] for made in together) / 2 == pytest.approx(loss, rel=1e-9)
        assert sum(made[name][step][1] for made in together) / 2 == pytest.approx(gram, rel=1e-7, abs=1e-24)
        for made in together:
            assert made[name][step][2] == pytest.approx(gradient, rel=1e-6, abs=1e-6 * max(map(abs, gradient)))


@pytest.mark.long
def test_a_compiled_network_has_the_same_term():
    """Also in the next step, without another compilation."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    net = tiny_vit()
    objectives = [anchored(copy.deepcopy(net), weight=5.0).train() for _ in range(2)]
    objectives[1].backbone.compile(options={"fallback_random": True})
    for objective in objectives:
        torch.manual_seed(3)
        changed(objective)
    batch = batch_for("simclr", dtype=torch.float32)
    for step in range(3):
        made = []
        for objective in objectives:
            torch.manual_seed(step)
            made.append(objective(batch, step))
        assert all(torch.allclose(made[0][key], made[1][key], rtol=1e-4, atol=1e-6) for key in ("loss", "gram"))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_a_network_without_a_map_is_refused(tiny_net):
    objective, _ = objective_of("simclr", tiny_net)
    with raises(UsageError, "network-without-tokens"):
        GramAnchored(objective, 1.0)


def test_a_map_of_one_position_has_no_similarities():
    """A ResNet at 32 px: the term would be 0 whatever the network learns."""
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


def test_small_drifts_count_in_bf16_too():
    torch.manual_seed(0)
    anchor = torch.randn(2, 9, 16)
    tokens = anchor + 1e-3 * torch.randn(2, 9, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = gram_loss(tokens, anchor)
    assert float(found) == pytest.approx(float(gram_loss(tokens, anchor)), rel=1e-4) and float(found) > 0
