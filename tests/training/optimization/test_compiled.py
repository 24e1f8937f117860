"""--compile compiles the modules that do the work of a step, once for each size, and changes no value."""

import pytest
import torch
from contract_samples import net_for, small_options
from tiny import TinyNet, tiny_swin, tiny_vit
from torch.utils.flop_counter import FlopCounterMode

from medzoo.training.objectives import list_methods, method
from medzoo.training.optimization.compiled import compile_modules

LEAST = 0.9  # of the operations of a forward pass


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
    """An objective with a tiny network, and a batch."""
    module = method(name)
    options = small_options(module)
    torch.manual_seed(0)
    objective = module.Objective(net_for(module, net=network), options, "multiclass").train()
    objective.start(steps=20, epoch_steps=4, seed=0)
    return objective, make_batches(module.views(options))[0]


@pytest.mark.parametrize(
    ("name", "network"), [*((name, tiny_vit) for name in list_methods()), ("simmim", tiny_swin), ("dino", TinyNet)]
)
def test_most_of_a_step_is_compiled_and_gives_the_same(name, network, make_batches, captured):
    objective, batch = sample(name, network, make_batches)
    with FlopCounterMode(display=False) as counter:
        plain = objective(batch, 0)["loss"]
    objective, batch = sample(name, network, make_batches)
    compile_modules(objective.compiled_modules())
    loss = objective(batch, 0)["loss"]
    loss.backward()
    assert torch.equal(loss.detach(), plain.detach())
    assert captured.operations >= LEAST * counter.get_total_flops()
    graphs, captured.operations = captured.graphs, 0
    objective(batch, 1)
    assert captured.graphs == graphs, "a second step compiles again"
    assert captured.operations >= LEAST * counter.get_total_flops()
