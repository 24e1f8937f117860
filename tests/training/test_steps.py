"""What one step does: its noise, its learning rate, its clipped gradient, and what the weight decay touches."""

import math
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from expect import raises
from loop_samples import PLAN, STEPS, fit, objective_of

from medzoo.data.rng import noise_seed
from medzoo.errors import UsageError
from medzoo.training import loop
from medzoo.training.accelerator import make_accelerator
from medzoo.training.inputs.batches import to_device
from medzoo.training.objectives import supervised
from medzoo.training.optimization.schedule import Schedule
from medzoo.training.run_state.run_folder import RunFolder


class Noisy(supervised.Objective):
    """Notes what torch's generator gives in each step."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.noise = []

    def forward(self, batch, step):
        self.noise.append(float(torch.rand(())))
        return super().forward(batch, step)


def noise_of(folder, net, make_batches, **changes):
    objective = Noisy(net(), supervised.Options(), "multiclass")
    with RunFolder(folder, "finetune", {}, {}).open() as run:
        fit(objective, make_batches(), replace(PLAN, **changes), run, make_accelerator("fp32", "cpu"))
    return objective.noise


def test_noise_differs_in_every_step_and_with_the_seed(tmp_path, tiny_net, make_batches):
    """Dropout and the like: a function of (seed, step), and of nothing that was drawn before."""
    one = noise_of(tmp_path / "one", tiny_net, make_batches)
    torch.rand(5)
    again = noise_of(tmp_path / "again", tiny_net, make_batches)
    other = noise_of(tmp_path / "other", tiny_net, make_batches, seed=1)
    assert len(set(one)) == STEPS and one == again and not set(one) & set(other)


def test_processes_draw_different_noise(tmp_path, tiny_net, make_batches):
    """Two processes of a launch train on different images; equal dropout masks would tie them together."""

    def drawn(rank):
        objective = Noisy(tiny_net(), supervised.Options(), "multiclass")
        accelerator = SimpleNamespace(
            device=torch.device("cpu"), is_main_process=True, num_processes=1, process_index=rank,
            autocast=nullcontext, backward=lambda loss: loss.backward(), wait_for_everyone=lambda: None,
        )  # fmt: skip
        with RunFolder(tmp_path / str(rank), "finetune", {}, {}).open() as run:
            fit(objective, make_batches(), PLAN, run, accelerator)
        return objective.noise

    assert not set(drawn(0)) & set(drawn(1))


class Still(supervised.Objective):
    """A loss of zero everywhere: what moves a parameter then is the weight decay."""

    def forward(self, batch, step):
        return {"loss": super().forward(batch, step)["loss"] * 0.0}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
def test_weights_decay_and_biases_and_norms_do_not(tmp_path, tiny_net, make_batches, optimizer):
    net = tiny_net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(0.5, 1.0)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    plan = replace(PLAN, optimizer=optimizer, weight_decay=0.5, learning_rate=0.01, gradient_clip=0.0)
    with RunFolder(tmp_path, "finetune", {}, {}).open() as run:
        fit(Still(net, supervised.Options(), "multiclass"), make_batches(), plan, run, make_accelerator("fp32", "cpu"))
    moved = {name for name, parameter in net.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"conv.weight", "head.weight"}
    if optimizer == "adamw":  # decoupled: each step multiplies by 1 - rate * decay, at the rates that the log states
        rates = [Schedule(peak=0.01, steps=STEPS, epoch_steps=STEPS, warmup=2).rate(step) for step in range(STEPS)]
        kept = math.prod(1 - rate * 0.5 for rate in rates)
        assert torch.allclose(net.conv.weight, before["conv.weight"] * kept, rtol=1e-4)


class Steep(supervised.Objective):
    """Gradients of any length, for the clip."""

    def forward(self, batch, step):
        return {"loss": super().forward(batch, step)["loss"] * 1000.0}


@pytest.mark.parametrize(("clip", "most"), [(0.5, 0.5), (2.0, 2.0), (0.0, None)])
def test_gradients_are_clipped_to_the_norm_of_the_plan(tmp_path, tiny_net, make_batches, clip, most):
    """Plain SGD without momentum moves by rate times gradient, so the way of a step shows the gradient's norm."""
    objective = Steep(tiny_net(), supervised.Options(), "multiclass")
    places, rates = [], []

    class Watched(Steep):
        def forward(self, batch, step):
            places.append(torch.cat([parameter.detach().flatten().clone() for parameter in self.parameters()]))
            rates.append(Schedule(peak=1e-4, steps=STEPS, epoch_steps=STEPS).rate(step))
            return super().forward(batch, step)

    objective.__class__ = Watched
    plan = replace(
        PLAN, optimizer="momentum", weight_decay=0.0, learning_rate=1e-4, gradient_clip=clip, warmup_epochs=0.0
    )
    with pytest.MonkeyPatch.context() as patch, RunFolder(tmp_path, "finetune", {}, {}).open() as run:
        patch.setattr(
            loop, "make_optimizer", lambda model, *options, **_: torch.optim.SGD(model.parameters(), lr=options[1])
        )
        fit(objective, make_batches(), plan, run, make_accelerator("fp32", "cpu"))
    lengths = [float((b - a).norm()) / rate for a, b, rate in zip(places, places[1:], rates, strict=False)]
    if most is None:
        assert max(lengths) > 50
    else:
        assert all(0.9 * most < length < 1.01 * most for length in lengths)


def test_the_learning_rate_of_every_step_is_that_of_the_schedule(tmp_path, tiny_net, make_batches):
    """Linear warm-up from the first step on, then a half cosine: numbers by hand, of all parameter groups."""
    seen = []

    class Watched(torch.optim.AdamW):
        def step(self, closure=None):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    def make(model, name, rate, decay, **_):
        parameters = list(model.parameters())
        return Watched([{"params": parameters[:2]}, {"params": parameters[2:]}], lr=123.0)

    with pytest.MonkeyPatch.context() as patch, RunFolder(tmp_path, "finetune", {}, {}).open() as run:
        patch.setattr(loop, "make_optimizer", make)
        plan = replace(PLAN, learning_rate=2.0, warmup_epochs=1.0)
        fit(objective_of("supervised", tiny_net)[0], make_batches(), plan, run, make_accelerator("fp32", "cpu"))
    expected = [0.5, 1.0, 1.5, 2.0, *(1 + math.cos(math.pi * step / 8) for step in range(8))]
    assert [groups[0] for groups in seen] == pytest.approx(expected) and all(one == two for one, two in seen)
    logged = [row["learning_rate"] for row in run.rows() if "learning_rate" in row]
    assert logged == pytest.approx([expected[9], expected[11]])  # of the steps 10 and 12


def test_gradients_do_not_add_up(tmp_path, tiny_net, make_batches):
    """The gradient of a step is that of its batch alone."""
    found = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            found.append(torch.cat([p.grad.flatten() for group in self.param_groups for p in group["params"]]).clone())

    objective, _ = objective_of("supervised", tiny_net)
    with pytest.MonkeyPatch.context() as patch, RunFolder(tmp_path, "finetune", {}, {}).open() as run:
        patch.setattr(loop, "make_optimizer", lambda model, *options, **_: Watched(model.parameters(), lr=0.0))
        plan = replace(PLAN, gradient_clip=0.0, epochs=1)
        fit(objective, make_batches(), plan, run, make_accelerator("fp32", "cpu"))
    fresh, _ = objective_of("supervised", tiny_net)
    fresh.train()
    for step, batch in enumerate(make_batches().from_step(0, 0)):
        torch.manual_seed(noise_seed(PLAN.seed, step))
        fresh.zero_grad()
        fresh(to_device(batch, torch.device("cpu")), step)["loss"].backward()
        assert torch.allclose(found[step], torch.cat([p.grad.flatten() for p in fresh.parameters()]), atol=1e-5)


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_step_computes_in_the_precision_that_was_asked(tmp_path, tiny_net, make_batches, precision, kind):
    """Products in it; weights, loss and statistics stay float32."""
    objective, seen = objective_of("supervised", tiny_net)[0], set()
    objective.backbone.conv.register_forward_hook(lambda module, given, made: seen.add(made.dtype))
    losses = []

    class Watched(type(objective)):
        def forward(self, batch, step):
            values = super().forward(batch, step)
            losses.append(values["loss"].dtype)
            return values

    objective.__class__ = Watched
    with RunFolder(tmp_path, "finetune", {}, {}).open() as run:
        fit(objective, make_batches(), replace(PLAN, epochs=1), run, make_accelerator(precision, "cpu"))
    assert seen == {kind} and set(losses) == {torch.float32}
    assert {tensor.dtype for tensor in objective.parameters()} == {torch.float32}


def test_a_network_that_cannot_be_compiled_is_told_with_the_remedy(tmp_path, tiny_net, make_batches, monkeypatch):
    from torch._dynamo.exc import BackendCompilerFailed

    def broken(self, *args):
        raise BackendCompilerFailed(lambda graph: graph, RuntimeError("no C++ compiler"), None)

    monkeypatch.setattr(supervised.Objective, "forward", broken)
    objective = supervised.Objective(tiny_net(), supervised.Options(), "multiclass")
    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    with raises(UsageError, "network-not-compilable"), run.open():
        fit(objective, make_batches(), PLAN, run, make_accelerator("fp32", "cpu"))
