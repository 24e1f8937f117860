"""--compile compiles the modules that do the work of a step, once for each size, and changes no value."""

from dataclasses import replace

import pytest
import torch
from contract_samples import net_for, small_options
from loop_samples import PLAN, fit
from tiny import TinyNet, tiny_swin, tiny_vit
from torch.utils.flop_counter import FlopCounterMode

from medzoo.training.accelerator import make_accelerator
from medzoo.training.objectives import list_methods, method, supervised
from medzoo.training.optimization.compiled import compile_modules
from medzoo.training.pretrain_run.gram import GramAnchored
from medzoo.training.run_state.run_folder import RunFolder

LEAST = {
    "dinov2": 0.6
}  # of the operations of a forward pass; the number of masked patches differs, so their heads are left out


class Captured:
    """A compiler that runs each captured graph as it is, and counts the graphs and the operations that they compute."""

    def __init__(self):
        self.graphs, self.operations = 0, 0

    def __call__(self, graph, inputs):
        self.graphs += 1

        def run(*given):
            with FlopCounterMode(display=False) as counter:
                made = graph(*given)
            self.operations += counter.get_total_flops()
            return made

        return run


@pytest.fixture
def captured(monkeypatch):
    """Stands in for the compiler behind torch.compile."""
    kept, backend = torch.compile, Captured()

    def compile_it(model=None, *, options=None, **rest):
        return kept(model, backend=backend, **rest)

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", compile_it)
    yield backend
    torch._dynamo.reset()


def sample(name, network, make_batches):
    """An objective with a tiny network, and three batches."""
    module = method(name)
    options = small_options(module)
    torch.manual_seed(0)
    objective = module.Objective(net_for(module, net=network), options, "multiclass").train()
    objective.start(steps=20, epoch_steps=4, seed=0)
    made = make_batches(module.views(options))
    return objective, [made[number] for number in range(3)]


@pytest.mark.parametrize("name", ["mae", "simclr"])
def test_gram_anchoring_compiles_what_its_objective_does(name, make_batches):
    objective, _ = sample(name, tiny_vit, make_batches)
    wanted = [id(module) for module in objective.compiled_modules()]
    assert [id(module) for module in GramAnchored(objective, 1.0).compiled_modules()] == wanted


def test_a_trained_network_is_compiled_no_more(tmp_path, tiny_net, make_batches, captured):
    """It is saved on the CPU, and others use it with other sizes."""
    objective = supervised.Objective(tiny_net(), supervised.Options(), "multiclass")
    with RunFolder(tmp_path, "pretrain", {}, {}).open() as run:
        fit(objective, make_batches(), replace(PLAN, compiled=True), run, make_accelerator("fp32", "cpu"))
    graphs = captured.graphs
    objective.backbone.eval()(torch.zeros(2, 3, 24, 24))
    assert graphs > 0 and captured.graphs == graphs


@pytest.mark.parametrize(
    ("name", "network"), [*((name, tiny_vit) for name in list_methods()), ("simmim", tiny_swin), ("dino", TinyNet)]
)
def test_most_of_a_step_is_compiled_and_gives_the_same(name, network, make_batches, captured):
    objective, batches = sample(name, network, make_batches)
    batch = batches[0]
    with FlopCounterMode(display=False) as counter:
        plain = objective(batch, 0)["loss"]
    objective, batches = sample(name, network, make_batches)
    batch = batches[0]
    compile_modules(objective.compiled_modules())
    loss = objective(batch, 0)["loss"]
    loss.backward()
    assert torch.equal(loss.detach(), plain.detach())
    least = LEAST.get(name, 0.9) * counter.get_total_flops()
    assert captured.operations >= least
    graphs = captured.graphs
    for step, batch in enumerate(batches[1:], start=1):
        captured.operations = 0
        objective(batch, step)
        assert captured.graphs == graphs, "a later step compiles again"
        assert captured.operations >= 0.9 * least  # other images have other masks
