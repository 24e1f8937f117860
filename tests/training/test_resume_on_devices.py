"""A run that was stopped and continued has the same weights on a device, to the last bit, as one without a stop.

There is nothing to tolerate: deterministic algorithms add in a fixed order, and all random numbers are functions of seed and step.
The rows are on the device, as they are by default on a GPU.
"""

from dataclasses import replace

import pytest
import torch
from devices import DEVICES, option_of
from loop_samples import PLAN, fit, objective_of, same_weights
from tiny import TinySegmenter, masked_rows, tiny_vit

from medzoo.data.decode_cache.device import place
from medzoo.training.accelerator import make_accelerator
from medzoo.training.finetune import FineTuner
from medzoo.training.optimization import micro_batches
from medzoo.training.optimization.deterministic import deterministic_algorithms
from medzoo.training.options.protocol_options import Protocol
from medzoo.training.run_state.run_folder import Interrupted, RunFolder
from medzoo.training.segmentation.tune import SegmentationTuner

STOP = 6  # of 8 steps; one epoch has 4
PROTOCOL = Protocol(
    "toy", "finetune", epochs=2, batch_size=5, learning_rate=0.01, min_area=0.5, flip=0.5, brightness=0.1, rotation=10.0,
    warmup_epochs=0.5, dropout=0.2, mixup=0.2, cutmix=0.5,
)  # fmt: skip
SEGMENT = replace(PROTOCOL, dropout=0.0, mixup=0.0, cutmix=0.0)


def pretrained(way, folder, device, stop, net, make_batches):
    method, _, network = way.partition("-")  # a vision transformer resizes its positions for small views
    objective, views = objective_of(method, tiny_vit if network else net)
    accelerator = make_accelerator("fp32", option_of(device))
    run = RunFolder(folder, "pretrain", {"method": method}, {})
    run.stop_at_step = stop
    with run.open():
        rows = place(make_batches().data, accelerator.device, "always")
        fit(objective, make_batches(views, workload=rows), replace(PLAN, epochs=2, ema=0.9), run, accelerator)
    return objective


def finetuned(folder, device, stop, net, rows):
    network = net()
    network.pretrained_cfg = {**network.pretrained_cfg, "mean": (0.5,) * 3, "std": (0.5,) * 3, "first_conv": "conv"}
    tuner = FineTuner(
        network, "multiclass", ["a", "b", "c"], PROTOCOL, size=16, device=option_of(device), data_on_device="always"
    )
    return tuned(tuner, folder, stop, rows, rows, score=lambda labels, chances: float(chances[:, 0].mean()))


def segmented(folder, device, stop):
    torch.manual_seed(0)
    tuner = SegmentationTuner(
        TinySegmenter(3), ["a", "b"], SEGMENT, size=16, device=option_of(device), data_on_device="always"
    )
    return tuned(tuner, folder, stop, masked_rows(classes=2, side=24), masked_rows(7, 2, 24))


def tuned(tuner, folder, stop, train, validation, **options):
    run = RunFolder(folder, "finetune", {}, {})
    run.stop_at_step = stop
    with run.open():
        tuner.fit(tuner.loop(train, validation, run, seed=3, num_workers=0, **options))
    return tuner.model


@pytest.fixture
def once(tiny_net, make_batches, rows, monkeypatch):
    """Trains in a way, in a folder, on a device, up to a step."""
    monkeypatch.setattr(micro_batches, "warn", lambda text: pytest.fail(text))  # no operation may be refused

    def train(way, folder, device, stop=None):
        with deterministic_algorithms(True, "cuda"):
            if way == "segmentation":
                return segmented(folder, device, stop)
            if way == "finetune":
                return finetuned(folder, device, stop, tiny_net, rows)
            return pretrained(way, folder, device, stop, tiny_net, make_batches)

    return train


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "way",
    ["finetune", "segmentation", "supervised", "simclr", "mae", "dino", "dino-vit", "dinov2", "lejepa-vit", "swav-vit"],
)
def test_f38_a_run_resumes_bit_for_bit(way, device, once, tmp_path):
    straight = once(way, tmp_path / "straight", device)
    with pytest.raises(Interrupted):
        once(way, tmp_path / "cut", device, STOP)
    resumed = once(way, tmp_path / "cut", device)
    assert next(straight.parameters()).device.type == next(resumed.parameters()).device.type == device
    assert same_weights(straight, resumed)
    assert all(bool(value.isfinite().all()) for value in straight.state_dict().values())
