"""A loss of two processes is that of one process with the whole batch, and so are its gradients."""

import json
import os
import socket

import pytest
import torch

from medzoo.training.distributed import _Gathered, gathered, mean_over_processes, processes

WORK = """
import json, sys, torch
from torch import distributed, nn
rank, world, port = map(int, sys.argv[1:])
torch.set_num_threads(1)
if world > 1:
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
from medzoo.training.finetune import FineTuneObjective
from medzoo.training.losses import TaskLoss
from medzoo.training.objectives import simclr, supervised

class Net(nn.Module):
    num_features = 6
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(12, 6)
    def forward(self, x):
        return self.linear(x.flatten(1))

draw = torch.Generator().manual_seed(1)
one, two = (torch.rand(8, 3, 2, 2, generator=draw) for _ in range(2))
label = torch.randint(0, 2, (8, 6), generator=draw).float()
label[torch.rand(8, 6, generator=draw) < 0.4] = float("nan")
label[::2, :4] = float("nan")  # the first process knows far fewer labels than the second
unknown = torch.full_like(label, float("nan"))
mine = slice(rank, None, world)
contrastive = simclr.Objective(Net(), simclr.Options(projection=4), "multiclass")
contrastive.projector = nn.Linear(6, 4)  # without batch norm, whose statistics are a process's own
cases = {
    "simclr": (contrastive, {"views": [one[mine], two[mine]]}),
    "multilabel": (supervised.Objective(Net(), supervised.Options(), "multilabel"), {"image": one[mine], "label": label[mine]}),
    "unknown": (supervised.Objective(Net(), supervised.Options(), "multilabel"), {"image": one[mine], "label": unknown[mine]}),
    "multiclass": (
        supervised.Objective(Net(), supervised.Options(0.1), "multiclass"),
        {"image": one[mine], "label": (torch.arange(8) % 6)[mine]},
    ),
    "weighted": (
        FineTuneObjective(Net(), TaskLoss("multiclass", weights=(1.0, 9.0, 0.1, 2.0, 1.0, 1.0))),
        {"image": one[mine], "label": (torch.arange(8) % 6)[mine]},
    ),
    "regression": (
        FineTuneObjective(Net(), TaskLoss("regression"), target=(3.0, 2.0)), {"image": one[mine], "label": torch.arange(8.0)[mine]},
    ),
}
made = {}
for name, (objective, batch) in cases.items():
    model = nn.parallel.DistributedDataParallel(objective) if world > 1 else objective
    loss = model(batch, 0)["loss"]
    loss.backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in objective.parameters()])
    made[name] = [float(loss.detach()), gradient.tolist()]
from medzoo.errors import ResumeError
from medzoo.training.distributed import check_same_step, of_first_process, share_buffers
made["first"] = of_first_process((0.5 + rank, None))
check_same_step(7)
try:
    check_same_step(rank)
except ResumeError as error:
    made["refused"] = error.code
norm = nn.BatchNorm1d(12)
norm(one[mine].flatten(1))
share_buffers(norm)
made["statistics"] = norm.running_mean.tolist()
print(json.dumps(made))
if world > 1:
    distributed.destroy_process_group()
"""


def run(warm, world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    started = [warm.start(WORK, str(rank), str(world), str(port), env=environment) for rank in range(world)]
    return [json.loads(process.communicate(timeout=300)[0]) for process in started]


@pytest.fixture(scope="module")
def both(warm):
    return run(warm, 1)[0], run(warm, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simclr", "multilabel", "multiclass", "unknown", "weighted", "regression"])
def test_two_processes_learn_what_one_learns(both, name):
    alone, together = both
    loss, gradient = alone[name]
    assert sum(made[name][0] for made in together) / 2 == pytest.approx(loss, abs=1e-6)
    for made in together:
        assert made[name][1] == pytest.approx(gradient, abs=1e-6)
    assert (max(map(abs, gradient)) > 0.01) == (name != "unknown")


@pytest.mark.slow
def test_all_processes_choose_by_the_same_network(both):
    """Running statistics are a process's own until they are shared: else two processes would select other epochs."""
    alone, together = both
    assert together[0]["statistics"] == together[1]["statistics"] != alone["statistics"]


@pytest.mark.slow
def test_all_processes_decide_the_same(both):
    alone, together = both
    assert [made["first"] for made in (alone, *together)] == [[0.5, None]] * 3
    assert "refused" not in alone and {made["refused"] for made in together} == {"processes-at-different-steps"}


def test_gradients_of_transposed_rows_reach_the_others_in_order(monkeypatch):
    """NCCL refuses tensors that are not contiguous; gloo takes them."""
    seen = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda total: seen.append(total.is_contiguous()))
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    _Gathered.backward(None, torch.zeros(3, 4, 2).transpose(0, 1))
    assert seen == [True]


def test_one_process_shares_nothing():
    rows = torch.rand(3, 2, requires_grad=True)
    assert processes() == 1 and gathered(rows) is rows and mean_over_processes(torch.tensor(5)) == 5.0
