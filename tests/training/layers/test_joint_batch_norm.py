"""BatchNorm over all processes: outputs, gradients and running statistics are those of one process with the whole batch."""

import json
import os
import socket

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from medzoo.training.layers.joint_batch_norm import JointBatchNorm, JointBatchNormAct, joint_batch_norm

WORK = """
import json, sys, torch
from torch import distributed, nn
rank, world, port = map(int, sys.argv[1:])
torch.set_num_threads(1)
if world > 1:
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
from timm.layers import BatchNormAct2d
from medzoo.training.layers.joint_batch_norm import joint_batch_norm
torch.manual_seed(0)
rows = torch.randn(8, 3, 5, 4, dtype=torch.float64) * 3 + 1
mine = slice(rank, None, world)
made = {}
for name, layer in {
    "usual": nn.BatchNorm2d(3), "momentum": nn.BatchNorm2d(3, momentum=0.3), "mean": nn.BatchNorm2d(3, momentum=None),
    "plain": nn.BatchNorm2d(3, affine=False), "unwatched": nn.BatchNorm2d(3, track_running_stats=False),
    "act": BatchNormAct2d(3), "vector": nn.BatchNorm1d(3),
}.items():
    torch.manual_seed(1)
    net = joint_batch_norm(nn.Sequential(nn.Conv2d(3, 3, 1), layer, nn.Flatten(1)).double())
    if layer.affine:
        nn.init.uniform_(layer.weight), nn.init.uniform_(layer.bias)
    if name == "vector":
        net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3).double(), layer)
        nn.init.constant_(net[2].weight, 0.3)
    model = nn.parallel.DistributedDataParallel(net) if world > 1 else net
    for _ in range(2):
        net.zero_grad()
        weights = torch.arange(8.0)[mine].view(-1, 1)
        (model(rows[mine]).tanh() * weights).mean().backward()
    made[name] = {
        "gradient": torch.cat([value.grad.flatten() for value in net.parameters()]).tolist(),
        "statistics": [value.flatten().tolist() for value in layer.buffers()],
        "eval": net.eval()(rows[:2]).flatten().tolist() if layer.track_running_stats else [],
    }
print(json.dumps(made))
if world > 1:
    distributed.destroy_process_group()
"""


def run(warm, world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    started = [warm.start(WORK, str(rank), str(world), port, env=environment) for rank in range(world)]
    return [json.loads(process.communicate(timeout=300)[0]) for process in started]


@pytest.fixture(scope="module")
def both(warm):
    return run(warm, 1)[0], run(warm, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["usual", "momentum", "mean", "plain", "unwatched", "act", "vector"])
def test_two_processes_normalise_like_one(both, name):
    alone, together = both
    for made in together:
        assert made[name]["gradient"] == pytest.approx(alone[name]["gradient"], abs=1e-10)
        for ours, theirs in zip(made[name]["statistics"], alone[name]["statistics"], strict=True):
            assert ours == pytest.approx(theirs, abs=1e-10)
        assert made[name]["eval"] == pytest.approx(alone[name]["eval"], abs=1e-10)


def test_weights_names_and_hooks_stay():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), BatchNormAct2d(4), nn.LayerNorm(2))
    names, norm = list(net.state_dict()), net[1]
    assert joint_batch_norm(net) is net and net[1] is norm and list(net.state_dict()) == names
    assert isinstance(net[1], JointBatchNorm) and isinstance(net[2], JointBatchNormAct) and type(net[3]) is nn.LayerNorm


def test_alone_it_is_torchs_own_layer():
    rows = torch.randn(6, 4, 3, 3)
    plain, joint = nn.BatchNorm2d(4), joint_batch_norm(nn.Sequential(nn.BatchNorm2d(4)))[0]
    assert torch.equal(plain(rows), joint(rows)) and torch.equal(plain.running_var, joint.running_var)
