"""DINO: the loss, the center, the teacher and its schedules are those of the paper."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from expect import raises
from lightly.models.modules import DINOProjectionHead
from loop_samples import PLAN
from objective_samples import assert_same_gradients, batch_of, gradients, plain_net, plain_vit, started
from safetensors.torch import load_file
from tiny import tiny_swin

from medzoo.errors import UsageError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.loop import Loop
from medzoo.training.objectives import dino
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.pretrain_run.gram import GramAnchored
from medzoo.training.pretraining.prototype_head import PrototypeHead
from medzoo.training.run_state.run_folder import RunFolder

OPTIONS = dino.Options(prototypes=12, hidden=10, bottleneck=6, small_views=2, momentum=0.5, temperature_epochs=2)
SIDES = [16, 16, 8, 8]


def made(net=plain_net, **changes):
    return dino.Objective(net(), replace(OPTIONS, **changes), "multiclass")


def both(objective, batch):
    """(V, N, K) of the student, (2, N, K) of the teacher."""
    large, small = batch["views"][:2], batch["views"][2:]
    network, head = objective.teacher.net
    features = [objective.backbone(torch.cat(part)) for part in (large, small) if part]
    with torch.no_grad():
        teacher = head(network(torch.cat(large)))
    student = objective.heads[0](torch.cat(features))
    return student.unflatten(0, (len(batch["views"]), -1)), teacher.unflatten(0, (2, -1))


def formula(student, teacher, centre, temperature):
    """The mean cross-entropy over all pairs of a large view of the teacher and another view of the student."""
    total, pairs = 0.0, 0
    for t, theirs in enumerate(teacher):
        target = ((theirs - centre) / temperature).softmax(-1)
        for s, ours in enumerate(student):
            if s != t:
                total = total - (target * (ours / 0.1).log_softmax(-1)).sum(-1).mean()
                pairs += 1
    return total / pairs


def loop_of(objective, make_batches, folder, epochs=3):
    run = RunFolder(folder, "pretrain", {}, {})
    plan = replace(PLAN, epochs=epochs, weight_decay=0.0)
    return run, Loop(objective, make_batches(dino.views(OPTIONS)), plan, run, make_accelerator("fp32", "cpu"))


@pytest.mark.parametrize("net", [plain_net, plain_vit])
def test_loss_gradient_and_center_by_hand(net):
    """Two steps: the second has a center, and another temperature."""
    objective = started(made(net))
    centre = torch.zeros(12, dtype=torch.float64)
    for step, temperature in enumerate([0.04, 0.04 + 0.03 / 8]):
        batch = batch_of(SIDES, seed=step)
        values = objective(batch, step)
        student, teacher = both(objective, batch)
        expected = formula(student, teacher, centre, temperature)
        assert float(values["loss"]) == pytest.approx(float(expected), rel=1e-6)
        assert_same_gradients(gradients(objective, values["loss"]), gradients(objective, expected))
        centre = 0.9 * centre + 0.1 * teacher.mean((0, 1))
        assert torch.allclose(objective.loss.center.flatten(), centre, rtol=1e-9)
        assert centre.abs().max() > 0


def test_the_head_is_that_of_lightly():
    torch.manual_seed(0)
    ours = PrototypeHead(8, 10, 6, 12).double()
    with pytest.warns(FutureWarning):
        theirs = DINOProjectionHead(8, 10, 6, 12).double()
    names = {"prototypes.weight": "last_layer.weight_v"}
    weights = {names.get(name, name): value for name, value in ours.state_dict().items()}
    theirs.load_state_dict({**weights, "last_layer.weight_g": torch.ones(12, 1)})
    rows = torch.randn(5, 8, dtype=torch.float64)
    assert torch.allclose(ours(rows), theirs(rows), rtol=1e-9)


def test_a_teacher_is_bit_equal_to_its_average_after_a_step(tmp_path, make_batches):
    objective = made()
    run, loop = loop_of(objective, make_batches, tmp_path)
    with run.open():
        loop.restore()
        for step in range(3):
            before = [value.clone() for value in objective.teacher.parameters()]
            loop.train_next()
            momentum = objective.momentum_at(step)
            student = [*objective.backbone.parameters(), *objective.heads.parameters()]
            for old, new, value in zip(before, objective.teacher.parameters(), student, strict=True):
                assert torch.equal(new, old.mul(momentum).add(value, alpha=1 - momentum))
            assert any(
                not torch.equal(old, new) for old, new in zip(before, objective.teacher.parameters(), strict=True)
            )


def test_schedules_at_the_first_step_the_end_of_the_warm_up_and_the_last_step():
    objective = started(made(), steps=40, epoch_steps=4)  # the warm-up has 2 epochs
    assert [objective.temperature_at(step) for step in (0, 4, 8, 39)] == pytest.approx([0.04, 0.055, 0.07, 0.07])
    assert objective.momentum_at(0) == 0.5 and objective.momentum_at(39) == 1.0
    assert objective.momentum_at(13) == pytest.approx(1 - 0.5 * (torch.cos(torch.tensor(torch.pi / 3)).item() + 1) / 2)
    assert started(made(temperature_epochs=0)).temperature_at(0) == 0.07
    logged = objective(batch_of(SIDES), 4)
    assert float(logged["teacher_temperature"]) == pytest.approx(0.055)
    assert float(logged["teacher_momentum"]) == pytest.approx(objective.momentum_at(4))


def test_prototypes_are_frozen_in_the_first_epoch_only(tmp_path, make_batches):
    objective = made()
    run, loop = loop_of(objective, make_batches, tmp_path)
    weights, moved = objective.heads[0].prototypes.weight, []
    with run.open():
        loop.restore()
        for _ in range(6):
            before = weights.detach().clone()
            loop.train_next()
            moved.append(not torch.equal(before, weights))
    assert moved == [False] * 4 + [True] * 2


def test_two_large_views_alone_are_enough():
    objective = started(made(small_views=0))
    batch = batch_of([16, 16])
    values = objective(batch, 0)
    student, teacher = both(objective, batch)
    assert float(values["loss"]) == pytest.approx(float(formula(student, teacher, 0.0, 0.04)), rel=1e-6)
    assert len(dino.views(replace(OPTIONS, small_views=0))) == 2


def test_entropies():
    objective, batch = started(made()), batch_of(SIDES)
    values = objective(batch, 0)
    chances = (both(objective, batch)[1].flatten(0, 1) / 0.04).softmax(-1)
    entropy = torch.distributions.Categorical(probs=chances).entropy().mean()
    assert float(values["teacher_entropy"]) == pytest.approx(float(entropy), rel=1e-4)
    mean = torch.distributions.Categorical(probs=chances.mean(0)).entropy()
    assert float(values["prototype_entropy"]) == pytest.approx(float(mean), rel=1e-4)


def test_a_teacher_has_no_dropout_and_its_batch_norm_uses_the_batch(tiny_net):
    objective = dino.Objective(tiny_net(8), OPTIONS, "multiclass").train()
    network, images = objective.teacher.parts()[0], torch.randn(4, 3, 16, 16)
    assert torch.equal(network(images), network(images)) and not network.drop.training
    assert network.norm.training and not objective.eval().teacher.parts()[0].norm.training


def test_nothing_is_random_or_without_a_gradient_under_bf16():
    objective = made(plain_vit).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(batch_of(SIDES, dtype=torch.float32), 0)["loss"]
    found = gradients(objective, loss)
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert all(value is not None and value.isfinite().all() for value in found.values())


@pytest.mark.parametrize("keep", ["teacher", "student"])
def test_finish_keeps_the_chosen_network(keep):
    objective = made(keep=keep)
    with torch.no_grad():
        objective.teacher.net[0].conv.weight.add_(1.0)
        objective.teacher.net[0].norm.running_mean.add_(2.0)
    start = copy.deepcopy(objective.backbone.state_dict())
    kept = copy.deepcopy(objective.teacher.net[0].state_dict()) if keep == "teacher" else start
    objective.finish()
    assert all(torch.equal(value, kept[name]) for name, value in objective.backbone.state_dict().items())


def test_finish_reaches_an_objective_with_gram_anchoring():
    objective = made(plain_vit)
    anchored = GramAnchored(objective, 1.0)
    assert anchored.kept_network is objective.kept_network is objective.teacher.net[0]
    with torch.no_grad():
        objective.teacher.net[0].cls_token.add_(1.0)
    anchored.finish()
    assert torch.equal(objective.backbone.cls_token, objective.teacher.net[0].cls_token)


def test_the_checkpoint_has_the_kept_network(tiny_hub, tmp_path):
    """The same training twice; only what is kept differs, also after a run that was done is asked for again."""
    stored = {}
    for keep in ("teacher", "student"):
        options = PretrainOptions(
            method="dino", checkpoint="lab/tiny", hub=str(tiny_hub), task="phantom_oct", size=32, epochs=1, batch_size=64,
            precision="fp32", out=str(tmp_path / keep), license="apache-2.0", fraction=0.5, device="cpu",
        )  # fmt: skip
        # the teacher stays as it was at the start
        small = replace(OPTIONS, keep=keep, momentum=1.0, small_views=1)
        stored[keep] = load_file(Path(pretrain(options, small)) / "checkpoint" / "model.safetensors")
    start = load_file(tiny_hub / "lab" / "tiny" / "model.safetensors")
    weights = [name for name in stored["teacher"] if name in start and "running" not in name and "num_" not in name]
    assert weights and all(torch.equal(stored["teacher"][name], start[name]) for name in weights)
    assert not all(torch.equal(stored["student"][name], start[name]) for name in weights)


def test_views_and_defaults_are_the_papers():
    views = dino.views(dino.Options())
    areas = [(one.augmentation.min_area, one.augmentation.max_area) for one in views]
    assert areas == [(0.4, 1.0)] * 2 + [(0.05, 0.4)] * 8 and [one.side(224) for one in views] == [224] * 2 + [96] * 8
    assert [one.augmentation.solarize for one in views] == [0.0, 0.2] + [0.0] * 8
    assert {one.augmentation.hue for one in views} == {0.1}
    options = dino.Options()
    assert (options.momentum, options.temperature, options.prototypes, options.keep) == (0.996, 0.1, 65_536, "teacher")


def test_what_it_cannot_train_is_refused():
    with raises(UsageError, "batch-too-small"):
        dino.check(plain_net(), OPTIONS, 16, 1)
    with raises(UsageError, "architecture-not-for-method"):
        dino.check(torch.nn.Conv2d(3, 8, 3), OPTIONS, 16, 8)
    with raises(UsageError, "architecture-not-for-method"):
        dino.check(tiny_swin(), OPTIONS, 16, 8)
    with raises(UsageError, "view-too-small"):
        dino.check(plain_vit(patch_size=8), OPTIONS, 16, 8)
    dino.check(plain_vit(patch_size=8), replace(OPTIONS, small_views=0), 16, 8)
