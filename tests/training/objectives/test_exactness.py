"""Every objective resumes bit for bit, and two processes train it as one does with the whole batch."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from contract_samples import VARIANTS
from loop_samples import PLAN, fit, objective_of, same_weights

from medzoo.training.accelerator import make_accelerator
from medzoo.training.objectives import list_methods
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

CASES = [*list_methods(), *VARIANTS]
SHORT = replace(PLAN, epochs=2, final_weight_decay=0.2, final_learning_rate=1e-4)


def train(folder, name, net, make_batches, stop=None):
    objective, views = objective_of(name, net)
    run = RunFolder(folder, "pretrain", {"method": name}, {})
    run.stop_at_step = stop
    with run.open():
        fit(objective, make_batches(views), SHORT, run, make_accelerator("fp32", "cpu"))
    return objective, run


@pytest.mark.parametrize("name", CASES)
def test_every_objective_resumes_bit_for_bit(tmp_path, tiny_net, make_batches, name):
    """Weights of the network, of heads, of teachers and queues, and what is logged."""
    straight, run = train(tmp_path / "straight", name, tiny_net, make_batches)
    start, _ = objective_of(name, tiny_net)
    assert not same_weights(start.backbone, straight.backbone)
    for stop in (1, 4, 6):
        with pytest.raises(Interrupted):
            train(tmp_path / f"cut{stop}", name, tiny_net, make_batches, stop=stop)
        resumed, cut = train(tmp_path / f"cut{stop}", name, tiny_net, make_batches)
        assert same_weights(straight, resumed) and cut.rows() == run.rows()


WORK = """
import json, sys
rank, world, port, samples = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
sys.path.insert(0, samples)
import torch
from torch import distributed, nn
torch.set_num_threads(1)
if world > 1:
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
import numpy as np
from contract_samples import VARIANTS, case_of, net_for
from tiny import TinyNet
from medzoo.training.layers.joint_batch_norm import joint_batch_norm
from medzoo.training.objectives import list_methods

ROWS, STEPS = 16, 3
made = {}
for name in [*list_methods(), *VARIANTS]:
    module, options = case_of(name)
    torch.manual_seed(0)
    backbone = net_for(module, net=TinyNet)
    for part in backbone.modules():  # noise is a process's own
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if hasattr(part, "drop_prob"):
            part.drop_prob = 0.0
    objective = joint_batch_norm(module.Objective(backbone, options, "multiclass")).double().train()
    objective.start(steps=STEPS, epoch_steps=STEPS, seed=0)
    model = nn.parallel.DistributedDataParallel(objective) if world > 1 else objective
    optimizer = torch.optim.SGD([value for value in objective.parameters() if value.requires_grad], 0.1)
    draw = torch.Generator().manual_seed(1)
    losses = []
    for step in range(STEPS):
        sides = [one.side(16) for one in module.views(options)]
        views = [torch.randn(ROWS, 3, side, side, generator=draw, dtype=torch.float64) for side in sides]
        mine = slice(rank, None, world)
        batch = {"label": (torch.arange(ROWS) % 3)[mine], "index": np.arange(ROWS)[mine]}
        batch |= {"image": views[0][mine]} if len(views) == 1 else {"views": [view[mine] for view in views]}
        values = model(batch, step)
        values["loss"].backward()
        gradient = [value.grad.flatten() for value in objective.parameters() if value.grad is not None]
        losses.append([float(values["loss"].detach()), torch.cat(gradient).tolist()])
        objective.before_update(step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        objective.after_update(step)
    made[name] = losses
print(json.dumps(made))
if world > 1:
    distributed.destroy_process_group()
"""


def run(warm, world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    samples = str(Path(__file__).parents[2] / "samples")
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    started = [warm.start(WORK, str(rank), str(world), port, samples, env=environment) for rank in range(world)]
    return [json.loads(process.communicate(timeout=300)[0]) for process in started]


@pytest.fixture(scope="module")
def both(warm):
    return run(warm, 1)[0], run(warm, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_learn_what_one_learns(both, name):
    """Loss and gradient of three steps: what follows the weights (teachers, centres) is equal too."""
    alone, together = both
    for step, (loss, gradient) in enumerate(alone[name]):
        assert sum(made[name][step][0] for made in together) / 2 == pytest.approx(loss, rel=1e-9)
        assert max(map(abs, gradient)) > 0
        for made in together:
            assert made[name][step][1] == pytest.approx(gradient, rel=1e-6, abs=1e-6 * max(map(abs, gradient)))
