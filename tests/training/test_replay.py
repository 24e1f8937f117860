"""A diverged run leaves its images and a state, and the replay finds the layer that broke."""

import json
from dataclasses import replace

import pytest
import torch
from expect import raises
from loop_samples import PLAN

from medzoo.errors import DivergedError, ResumeError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.loop import Loop
from medzoo.training.objectives import supervised
from medzoo.training.replay import replay
from medzoo.training.run_state import saved_state
from medzoo.training.run_state.run_folder import Interrupted, RunFolder


class Broken(torch.nn.Module):
    """Gives infinite values at one step."""

    def __init__(self, at):
        super().__init__()
        self.at, self.step = at, 0

    def forward(self, x):
        return x * (float("inf") if self.step == self.at else 1.0)


class Objective(supervised.Objective):
    def forward(self, batch, step):
        self.backbone.drop.step = step
        return super().forward(batch, step)


@pytest.fixture
def make_loop(tmp_path, tiny_net, make_batches):
    def make(identity=None, at=5, **changes):
        net = tiny_net()
        net.drop = Broken(at)
        run = RunFolder(tmp_path / "run", "finetune", identity or {"seed": 0}, {})
        objective = Objective(net, supervised.Options(), "multiclass")
        return Loop(objective, make_batches(), replace(PLAN, **changes), run, make_accelerator("fp32", "cpu"))

    return make


def test_the_step_is_repeated(tmp_path, make_loop):
    loop = make_loop()
    with raises(DivergedError, "loss-not-finite", match="--replay"), loop.run.open():
        loop.fit()
    facts = json.loads((tmp_path / "run" / "diverged.json").read_text())
    assert loop.run.status()["state"] == "diverged" and facts["step"] == 6 and len(facts["ids"]) == 5
    state, _ = saved_state.load_state(loop.run.states)
    assert state.step == 5 and all(value.isfinite().all() for value in state.tensors["model"].values())

    report = replay(make_loop())
    assert report["diverged_again"] and report["first_layer_not_finite"] == "backbone.drop"
    assert report["ids"] == facts["ids"] and report["outputs"]["backbone.norm"] > 0
    assert json.loads((tmp_path / "run" / "replay.json").read_text()) == report
    assert not replay(make_loop(at=99))["diverged_again"]


def test_the_first_broken_step_is_found_where_a_training_reads_few_losses(tmp_path, make_loop):
    """As on a GPU: the loss is read at the end of the epoch, step 8; its weights are broken since step 6."""
    loop = make_loop()
    loop.checks_each_loss = False
    with pytest.raises(DivergedError), loop.run.open():
        loop.fit()
    seen = json.loads((tmp_path / "run" / "diverged.json").read_text())
    again = make_loop()
    again.checks_each_loss = False
    report = replay(again)
    assert (seen["step"], report["step"]) == (8, 6) and report["first_layer_not_finite"] == "backbone.drop"
    assert report["ids"] != seen["ids"] and report["diverged_again"] and report["gradients"]


def test_a_state_with_broken_weights_is_not_saved(make_loop):
    loop = make_loop()
    loop.checks_each_loss, loop.run.stop_at_step = False, 7
    with pytest.raises(Interrupted), loop.run.open():
        loop.fit()
    state, _ = saved_state.load_state(loop.run.states)
    assert state is None or all(value.isfinite().all() for value in state.tensors["model"].values())


def test_a_replay_needs_a_diverged_run(make_loop):
    with raises(ResumeError, "replay-without-divergence"):
        replay(make_loop())


def test_a_replay_of_another_run(make_loop):
    loop = make_loop()
    with pytest.raises(DivergedError), loop.run.open():
        loop.fit()
    with raises(ResumeError, "replay-of-other-run"):
        replay(make_loop(identity={"seed": 1}))
