"""Two processes resume every kind of plan bit for bit, and hold the same network after every one."""

import json
import os
import socket
from pathlib import Path

import pytest
from loop_samples import CHANGES

pytestmark = pytest.mark.slow

WORK = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
rank, port, folder, samples = sys.argv[1:]
os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
os.environ |= {"MASTER_PORT": port, "ACCELERATE_USE_CPU": "1"}
sys.path.insert(0, samples)
import torch
torch.set_num_threads(1)
from loop_samples import CHANGES, PLAN, objective_of, same_weights
from tiny import TinyNet, decoded_rows
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.accelerator import make_accelerator
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.views import View
from medzoo.training.loop import Loop
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

def net(outputs=3):
    torch.manual_seed(0)
    return TinyNet(outputs)

def train(name, plan, stop=None):
    accelerator = make_accelerator("fp32", None)
    objective, views = objective_of("supervised", net)
    law = Augmentation(min_area=0.5, flip=0.5, brightness=0.2)
    batches = Batches(
        decoded_rows(24), [View(law)] * len(views), InputConvention(), size=16, batch_size=6, seed=0, rank=int(rank), world=2
    )
    run = RunFolder(Path(folder) / name, "finetune", {}, {})
    run.stop_at_step = stop
    def validate():
        with torch.no_grad():  # in evaluation mode, so that running statistics count, which each process has for itself
            score = float(objective.backbone.eval()(torch.linspace(-1, 1, 768).view(1, 3, 16, 16)).sum())
        return score, (1.0, 2.0, 3.0)[loop.step // loop.epoch_steps - 1]
    loop = Loop(objective, batches, plan, run, accelerator, validate=validate)
    with run.open():
        fitted = loop.fit()
    accelerator.wait_for_everyone()
    return objective, fitted

made = {}
for name, change in CHANGES.items():
    plan = replace(PLAN, **change)
    straight, fitted = train(name, plan)
    equal = []
    for stop in (1, 4, 6):
        try:
            train(f"{name}-{stop}", plan, stop)
        except Interrupted:
            pass
        resumed, again = train(f"{name}-{stop}", plan)
        equal.append(same_weights(straight, resumed) and again.scores == fitted.scores and again.resumes == 1)
    weights = torch.cat([value.flatten() for value in straight.parameters()]).double()
    made[name] = {"equal": equal, "weights": weights.tolist(), "scores": fitted.scores}
print(json.dumps(made))
torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def both(warm, tmp_path_factory):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    folder, samples = tmp_path_factory.mktemp("plans"), Path(__file__).parents[1] / "samples"
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    started = [warm.start(WORK, rank, port, str(folder), str(samples), env=environment) for rank in "01"]
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs[0][1][-3000:]
    return [json.loads(output) for output, _ in outputs]


@pytest.mark.parametrize("name", CHANGES)
def test_two_processes_resume_every_kind_of_plan_bit_for_bit(both, name):
    first, second = (made[name] for made in both)
    assert first["equal"] == second["equal"] == [True, True, True]
    assert first["weights"] == second["weights"] and first["scores"] == second["scores"]
