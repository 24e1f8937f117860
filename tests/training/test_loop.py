"""The loop resumes bit for bit at every step, selects on the score, and stops on a loss that is not finite."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from expect import raises
from loop_samples import CHANGES, PLAN, STEPS, fit, objective_of, same_weights

from medzoo.errors import DeviceMemoryError, DivergedError, ResumeError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.objectives import supervised
from medzoo.training.optimization.plan import TrainingPlan
from medzoo.training.run_state import saved_state
from medzoo.training.run_state.run_folder import Interrupted, RunFolder


def run_once(folder, net, make_batches, *, method="supervised", stop=None, plan=PLAN, identity=None, **kwargs):
    objective, views = objective_of(method, net)
    run = RunFolder(folder, "finetune", identity or {"method": method}, {})
    run.stop_at_step = stop
    calls = []

    def score():
        calls.append(1)
        return float(objective.backbone.head.weight.detach().abs().sum()), None

    with run.open():
        fitted = fit(
            objective, make_batches(views), plan, run, make_accelerator("fp32", "cpu"), validate=score, **kwargs
        )
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


def run_plan(folder, net, make_batches, plan, stop=None, losses=(1.0, 2.0, 3.0)):
    """A run whose validation losses are given, since plateaus and early stops depend on them."""
    objective, views = objective_of("supervised", net)
    run = RunFolder(folder, "finetune", {}, {})
    run.stop_at_step = stop
    history = []

    def validate():
        weights = float(objective.backbone.head.weight.detach().abs().sum())
        history.append(weights)
        return weights, losses[len(run_epochs(run))]

    with run.open():
        fitted = fit(objective, make_batches(views), plan, run, make_accelerator("fp32", "cpu"), validate=validate)
    return objective, fitted, run


def run_epochs(run):
    return [row for row in run.rows() if "validation_loss" in row]


STRAIGHT = {}  # the run without a stop of each plan: all stops are compared with one


@pytest.mark.parametrize("stop", range(1, STEPS + 1))
@pytest.mark.parametrize("name", CHANGES)
def test_f38_every_kind_of_plan_resumes_bit_for_bit(tmp_path, tmp_path_factory, tiny_net, make_batches, name, stop):
    plan = replace(PLAN, **CHANGES[name])
    if name not in STRAIGHT:
        STRAIGHT[name] = run_plan(tmp_path_factory.mktemp("straight") / "run", tiny_net, make_batches, plan)
    straight, fitted, run = STRAIGHT[name]
    if stop > fitted.steps:
        pytest.skip("this run stops early, before that step")
    with pytest.raises(Interrupted):
        run_plan(tmp_path / "cut", tiny_net, make_batches, plan, stop=stop)
    resumed, again, cut = run_plan(tmp_path / "cut", tiny_net, make_batches, plan)
    assert same_weights(straight, resumed) and cut.rows() == run.rows()
    assert (again.scores, again.history.losses, again.steps) == (fitted.scores, fitted.history.losses, fitted.steps)
    assert all(torch.equal(fitted.best[key], again.best[key]) for key in fitted.best)


def test_training_stops_early(tmp_path, tiny_net, make_batches):
    plan = replace(PLAN, epochs=9, patience=2, monitor="loss")
    _, fitted, run = run_plan(tmp_path, tiny_net, make_batches, plan, losses=[3.0, 2.0, 2.5, 2.0, 1.0, 0.0])
    assert fitted.steps == 4 * 4 and fitted.best_epoch == 1 and fitted.history.stops  # 2.0 again is no improvement
    assert run.status()["state"] == "done"


def test_frozen_epochs_change_the_head_only(tmp_path, tiny_net, make_batches):
    """And then an optimizer without their history trains all layers."""
    plan = replace(PLAN, epochs=2, frozen_epochs=1, frozen_learning_rate=0.01)
    with pytest.raises(Interrupted):
        run_plan(tmp_path, tiny_net, make_batches, plan, stop=4)
    state, _ = saved_state.load_state(tmp_path / "resume")
    before, after = tiny_net().state_dict(), state.tensors["model"]
    changed = {key for key in before if not torch.equal(before[key], after[f"backbone.{key}"])}
    assert changed == {"head.weight", "head.bias"}  # the running statistics of a frozen BatchNorm stay too
    objective, *_ = run_plan(tmp_path, tiny_net, make_batches, plan)
    assert not torch.equal(objective.backbone.conv.weight, before["conv.weight"])


def test_patience_counts_from_the_end_of_the_frozen_epochs(tmp_path, tiny_net, make_batches):
    """Also in a resumed run: the best epoch trained the head only, and two epochs of all layers follow."""
    plan = replace(PLAN, epochs=6, frozen_epochs=3, patience=2, monitor="loss")
    losses = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    for stop in (None, 16):
        folder = tmp_path / str(stop)
        if stop:
            with pytest.raises(Interrupted):
                run_plan(folder, tiny_net, make_batches, plan, stop=stop, losses=losses)
        _, fitted, _ = run_plan(folder, tiny_net, make_batches, plan, losses=losses)
        assert fitted.steps == 5 * 4 and fitted.best_epoch == 0


def test_a_batch_in_pieces_gives_the_same_gradient(tmp_path, tiny_net, make_batches):
    def trained(folder, size):
        objective, views = objective_of("supervised", tiny_net)
        objective.backbone.norm, objective.backbone.drop = torch.nn.GroupNorm(2, 8), torch.nn.Identity()
        run = RunFolder(tmp_path / folder, "finetune", {}, {})
        with run.open():
            fitted = fit(
                objective,
                make_batches(views),
                replace(PLAN, micro_batch_size=size),
                run,
                make_accelerator("fp32", "cpu"),
            )
        return objective, fitted

    (whole, _), (pieces, fitted) = trained("whole", 0), trained("pieces", 2)
    assert fitted.micro_batch_size == 2
    for one, other in zip(whole.parameters(), pieces.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5) and not torch.equal(one, tiny_net().head.weight)


def test_f36_a_step_that_does_not_fit_is_computed_in_halves(tmp_path, tiny_net, make_batches):
    class Large(supervised.Objective):
        def forward(self, batch, step):
            if len(batch["label"]) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(batch, step)

    net = tiny_net()
    net.norm = torch.nn.GroupNorm(2, 8)
    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    with run.open():
        fitted = fit(
            Large(net, supervised.Options(), "multiclass"), make_batches(), PLAN, run, make_accelerator("fp32", "cpu")
        )
    assert fitted.micro_batch_size == 2 and fitted.steps == STEPS


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
        return next(scores), None

    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    with run.open():
        fitted = fit(objective, make_batches(), PLAN, run, make_accelerator("fp32", "cpu"), validate=score)
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
    assert run.status()["state"] == "diverged" and value in run.status()["error"]


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


def test_the_state_of_an_optimizer_that_does_not_fit_is_named(tmp_path, tiny_net, make_batches, monkeypatch):
    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with raises(DeviceMemoryError, "optimizer-out-of-memory"):
        run_once(tmp_path / "run", tiny_net, make_batches, plan=replace(PLAN, optimizer="adamw"))


def test_a_compiled_network_is_the_one_that_is_trained(tmp_path, tiny_net, make_batches, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **given: compiled.append(self))
    objective, _, _ = run_once(tmp_path / "plain", tiny_net, make_batches)
    assert not compiled
    other, _, _ = run_once(tmp_path / "compiled", tiny_net, make_batches, plan=replace(PLAN, compiled=True))
    assert compiled == [other.backbone] and same_weights(objective, other)


@pytest.mark.long
def test_a_compiled_network_trains_like_the_plain_one_with_the_same_dropout(tmp_path, tiny_net, make_batches):
    plan = replace(
        PLAN, optimizer="sgd"
    )  # Adam divides by the gradient, which is rounding noise for a bias before BatchNorm
    plain, fitted, _ = run_once(tmp_path / "plain", tiny_net, make_batches, plan=plan)
    compiled, again, _ = run_once(tmp_path / "compiled", tiny_net, make_batches, plan=replace(plan, compiled=True))
    assert again.scores == pytest.approx(fitted.scores, rel=1e-5)
    names = dict(plain.state_dict())
    assert names.keys() == compiled.state_dict().keys()  # nothing is renamed by the compiler
    for key, value in compiled.state_dict().items():
        torch.testing.assert_close(value, names[key], rtol=1e-4, atol=1e-5)
