"""The loop resumes bit for bit at every step, selects on the score, and stops on a loss that is not finite."""

import json
from contextlib import nullcontext

import pytest
import torch
from expect import raises
from loop_samples import PLAN, STEPS, objective_of, same_weights

from medzoo.errors import DeviceMemoryError, DivergedError, ResumeError
from medzoo.training.loop import TrainingPlan, fit, make_accelerator
from medzoo.training.objectives import supervised
from medzoo.training.run_state import saved_state
from medzoo.training.run_state.run_folder import Interrupted, RunFolder


def run_once(folder, net, make_batches, *, method="supervised", stop=None, plan=PLAN, identity=None, **kwargs):
    objective, views = objective_of(method, net)
    run = RunFolder(folder, "finetune", identity or {"method": method}, {})
    run.stop_at_step = stop
    calls = []

    def score():
        calls.append(1)
        return float(objective.backbone.head.weight.detach().abs().sum())

    with run.open():
        fitted = fit(objective, make_batches(views), plan, run, make_accelerator("fp32", "cpu"), score=score, **kwargs)
    return objective, fitted, run


@pytest.mark.parametrize("method", ["supervised", "simclr"])
@pytest.mark.parametrize("stop", range(1, STEPS + 1))
def test_f38_resume_is_bitwise_equal_at_every_step(tmp_path, tiny_net, make_batches, method, stop):
    straight, fitted, run = run_once(tmp_path / "straight", tiny_net, make_batches, method=method)
    with pytest.raises(Interrupted) as stopped:
        run_once(tmp_path / "cut", tiny_net, make_batches, method=method, stop=stop)
    assert stopped.value.code == 0
    assert json.loads((tmp_path / "cut" / "status.json").read_text())["state"] == "resumable"
    resumed, again, cut = run_once(tmp_path / "cut", tiny_net, make_batches, method=method)
    assert same_weights(straight, resumed)
    assert again.scores == fitted.scores and again.best_epoch == fitted.best_epoch and again.resumes == 1
    assert all(torch.equal(fitted.best[key], again.best[key]) for key in fitted.best)
    assert cut.rows() == run.rows()
    assert cut.status()["state"] == "done" and not (cut.path / "resume").exists()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars"])
def test_three_stops_and_workers_change_nothing(tmp_path, tiny_net, make_batches, optimizer):
    plan = TrainingPlan(**{**PLAN.__dict__, "optimizer": optimizer})
    straight, *_ = run_once(tmp_path / "straight", tiny_net, make_batches, plan=plan)
    for number, stop in enumerate([2, 5, 11]):
        with pytest.raises(Interrupted):
            workers = TrainingPlan(**{**plan.__dict__, "num_workers": number % 2})
            run_once(tmp_path / "cut", tiny_net, make_batches, plan=workers, stop=stop)
    resumed, *_ = run_once(tmp_path / "cut", tiny_net, make_batches, plan=plan)
    assert same_weights(straight, resumed)


def test_seeds_give_different_runs(tmp_path, tiny_net, make_batches):
    one, *_ = run_once(tmp_path / "one", tiny_net, make_batches)
    two, *_ = run_once(tmp_path / "two", tiny_net, lambda views: make_batches(views, seed=1))
    assert not same_weights(one, two)


def test_the_best_epoch_is_kept(tmp_path, tiny_net, make_batches):
    objective, _ = objective_of("supervised", tiny_net)
    scores = iter([0.2, 0.9, 0.9])
    seen = []

    def score():
        seen.append({key: value.clone() for key, value in objective.backbone.state_dict().items()})
        return next(scores)

    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    with run.open():
        fitted = fit(objective, make_batches(), PLAN, run, make_accelerator("fp32", "cpu"), score=score)
    assert fitted.best_epoch == 1 and fitted.best_step == 8  # of equal scores the earlier
    assert all(torch.equal(fitted.best[key], seen[1][key]) for key in seen[1])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_f35_a_loss_that_is_not_finite_stops(tmp_path, tiny_net, make_batches, value):
    class Broken(supervised.Objective):
        def forward(self, batch, step):
            values = super().forward(batch, step)
            return {"loss": values["loss"].abs() * (float(value) if step == 5 else 1.0)}

    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    with raises(DivergedError, "loss-not-finite"), run.open():
        fit(
            Broken(tiny_net(), supervised.Options(), "multiclass"),
            make_batches(),
            PLAN,
            run,
            make_accelerator("fp32", "cpu"),
        )
    assert run.status()["state"] == "failed" and value in run.status()["error"]


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_f36_memory_that_runs_out(tmp_path, tiny_net, make_batches, error):
    class Large(supervised.Objective):
        def forward(self, batch, step):
            if step == 3:
                raise error
            return super().forward(batch, step)

    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    objective = Large(tiny_net(), supervised.Options(), "multiclass")
    with (
        raises(DeviceMemoryError, "step-out-of-memory"),
        run.open(),
    ):
        fit(objective, make_batches(), PLAN, run, make_accelerator("fp32", "cpu"))


def test_f39_a_damaged_state_is_passed_over(tmp_path, tiny_net, make_batches):
    straight, *_ = run_once(tmp_path / "straight", tiny_net, make_batches)
    for stop in (3, 6):
        with pytest.raises(Interrupted):
            run_once(tmp_path / "cut", tiny_net, make_batches, stop=stop)
    newest = saved_state.states(tmp_path / "cut" / "resume")[0]
    tensors = newest / "tensors.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-5] ^= 1
    tensors.write_bytes(content)
    resumed, _, run = run_once(tmp_path / "cut", tiny_net, make_batches)
    assert same_weights(straight, resumed)
    assert any("tensors.safetensors" in row.get("skipped", "") for row in run.rows())


def test_f39_only_damaged_states_is_an_error_that_touches_nothing(tmp_path, tiny_net, make_batches):
    with pytest.raises(Interrupted):
        run_once(tmp_path / "cut", tiny_net, make_batches, stop=3)
    state = saved_state.states(tmp_path / "cut" / "resume")[0]
    (state / "MANIFEST.json").unlink()
    with raises(ResumeError, "states-damaged", match="another --out"):
        run_once(tmp_path / "cut", tiny_net, make_batches)
    assert (state / "tensors.safetensors").is_file()


def test_a_state_of_another_run_is_not_gone_on_from(tmp_path, tiny_net, make_batches):
    """Its tensors may fit all the same, as those of another seed or learning rate do."""
    with pytest.raises(Interrupted):
        run_once(tmp_path / "cut", tiny_net, make_batches, stop=5, identity={"seed": 0})
    objective, views = objective_of("supervised", tiny_net)
    run = RunFolder(tmp_path / "new", "finetune", {"seed": 1}, {}, resume=str(tmp_path / "cut"))
    with pytest.raises(ResumeError), run.open():
        fit(objective, make_batches(views), PLAN, run, make_accelerator("fp32", "cpu"))
    assert saved_state.states(tmp_path / "cut" / "resume")  # which stays for its own run


def test_states_hold_no_pickle(tmp_path, tiny_net, make_batches):
    with pytest.raises(Interrupted):
        run_once(tmp_path / "cut", tiny_net, make_batches, stop=3)
    names = {path.name for path in (tmp_path / "cut" / "resume").rglob("*") if path.is_file()}
    assert names == {"tensors.safetensors", "facts.json", "MANIFEST.json"}


def test_resume_from_a_named_state(tmp_path, tiny_net, make_batches):
    straight, *_ = run_once(tmp_path / "straight", tiny_net, make_batches)
    with pytest.raises(Interrupted):
        run_once(tmp_path / "cut", tiny_net, make_batches, stop=7)
    before = {path: path.read_bytes() for path in (tmp_path / "cut").rglob("*") if path.is_file()}
    for stop in (9, None):  # stopped once more on the way: its own state counts then
        objective, views = objective_of("supervised", tiny_net)
        run = RunFolder(tmp_path / "new", "finetune", {"method": "supervised"}, {}, resume=str(tmp_path / "cut"))
        run.stop_at_step = stop
        with nullcontext() if stop is None else pytest.raises(Interrupted), run.open():
            fit(objective, make_batches(views), PLAN, run, make_accelerator("fp32", "cpu"))
    assert same_weights(straight, objective)
    assert before == {path: path.read_bytes() for path in (tmp_path / "cut").rglob("*") if path.is_file()}
    assert saved_state.states(tmp_path / "cut" / "resume")  # the source of the state is left alone
