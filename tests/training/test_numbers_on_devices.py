"""A step and an evaluation on a device give the numbers of a plain computation in float64, up to the rounding of the precision.

Errors are relative to the largest value. On a CPU these networks have up to 1.3e-6 in float32 (24 bits) and 1.0e-2 in bfloat16
(8 bits), in outputs and gradients alike. The limit of float32 is 1e-4, since cuDNN may convolve by Winograd's method, whose float32
errors are ten to a hundred times larger, and five times that for gradients, which pass all layers twice. TF32 rounds the factors of
products to 11 bits, 8 times less than bfloat16 does: a limit of 1e-2. That of bfloat16 is four times what a CPU has. A wrong layer,
mode or input gives differences above 0.3.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from devices import CPU, DEVICES, GPU, far, option_of
from loop_samples import PLAN, STEPS, fit
from tiny import decoded_rows

from medzoo.data.decode_cache.device import place
from medzoo.data.transforms.apply import InputConvention
from medzoo.precision import full_float32
from medzoo.training.accelerator import make_accelerator
from medzoo.training.finetune import FineTuneObjective
from medzoo.training.inputs.batches import to_device
from medzoo.training.inputs.evaluate import evaluate_rows
from medzoo.training.losses import TaskLoss
from medzoo.training.objectives import supervised
from medzoo.training.optimization.micro_batches import MicroBatches
from medzoo.training.run_state.run_folder import RunFolder

SIDE, IMAGES = 64, 6
NETWORKS = {
    "resnet10t": {},
    "vit_tiny_patch16_224": {"img_size": SIDE},
    "convnext_atto": {},
    "swin_tiny_patch4_window7_224": {"img_size": SIDE, "window_size": 2, "depths": (1, 1, 1, 1), "embed_dim": 48},
}
WHOLE = partial(full_float32, "cuda")
PRECISIONS = {  # context, limit of outputs and loss, limit of gradients
    "fp32": ("fp32", WHOLE, 1e-4, 5e-4),
    "fp32 as by default": ("fp32", nullcontext, 1e-2, 2e-2),
    "bf16": ("bf16", nullcontext, 4e-2, 4e-2),
}
CASES = [
    pytest.param(device, precision, marks=[pytest.mark.gpu] if device == "cuda" else [])
    for device in ("cpu", "cuda")
    for precision in PRECISIONS
    if (device, precision) != ("cpu", "fp32 as by default")  # a CPU has no TF32
]


def network_of(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=3, drop_path_rate=0.0, **NETWORKS[name])
    for one in network.modules():  # batches of six are too small for batch statistics in few bits
        if isinstance(one, torch.nn.BatchNorm2d):
            one.eval()
    return network


def exact_inputs(rows, convention):
    """The rows by numpy, (N, 3, H, W) float64."""
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (convention.mean, convention.std))
    return torch.from_numpy((np.asarray(rows.images, np.float64)[:, None] / rows.scale - mean) / std)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("device", "precision"), CASES)
def test_outputs(device, precision, name):
    choice, context, limit, _ = PRECISIONS[precision]
    rows, convention, network = decoded_rows(IMAGES, side=SIDE), InputConvention(), network_of(name).eval()
    with torch.no_grad():
        expected = network.double()(exact_inputs(rows, convention))
    accelerator = make_accelerator(choice, option_of(device))
    network = network.float().to(accelerator.device)
    given = place(rows, accelerator.device, "always") if device != "cpu" else rows
    with context(), accelerator.autocast():
        outputs = evaluate_rows(network, given, convention, size=SIDE, device=accelerator.device, batch_size=4)
    assert accelerator.device.type == device and outputs.dtype == np.float32
    assert far(outputs, expected) < limit
    if choice == "bf16":
        assert far(outputs, expected) > 1e-5  # autocast was on


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("device", "precision"), CASES)
def test_loss_and_gradients_of_a_step(device, precision, name):
    choice, context, limit, of_gradients = PRECISIONS[precision]
    rows, convention, network = decoded_rows(IMAGES, side=SIDE), InputConvention(), network_of(name)
    images, label = exact_inputs(rows, convention), torch.from_numpy(rows.labels)
    network.double().zero_grad()
    loss = F.cross_entropy(network(images), label)
    loss.backward()
    expected = {key: value.grad for key, value in network.named_parameters()}
    network.zero_grad(set_to_none=True)
    # the same by the code of a training
    accelerator = make_accelerator(choice, option_of(device))
    objective = FineTuneObjective(network.float(), TaskLoss("multiclass")).to(accelerator.device)
    objective.to(memory_format=torch.channels_last)
    batch = to_device({"image": images.float(), "label": label, "index": np.arange(IMAGES)}, accelerator.device)
    with context():
        values = MicroBatches(0, objective, accelerator).backward(objective, batch, 0, seed=1)
    assert abs(float(values["loss"]) / float(loss.detach()) - 1) < limit
    largest = max(float(value.abs().max()) for value in expected.values())
    for key, value in network.named_parameters():
        assert value.grad.device.type == device and value.grad.dtype == torch.float32
        assert float((value.grad.cpu().double() - expected[key]).abs().max()) < of_gradients * largest, key


def curve(folder, net, make_batches, device, precision, context=WHOLE):
    """The weights after some steps, and the loss of each."""
    losses = []

    class Noted(supervised.Objective):
        def forward(self, batch, step):
            values = super().forward(batch, step)
            losses.append(float(values["loss"].detach()))
            return values

    network = net()
    network.drop.p = 0.0  # devices draw other noise from the same seed
    network.conv.bias = None  # before a BatchNorm: its gradient is rounding alone, which Adam enlarges
    objective = Noted(network, supervised.Options(), "multiclass")
    with RunFolder(folder, "finetune", {}, {}).open() as run, context():
        fit(objective, make_batches(), replace(PLAN, patience=0), run, make_accelerator(precision, option_of(device)))
    assert len(losses) == STEPS and next(objective.parameters()).device.type == device
    return {key: value.detach().cpu() for key, value in objective.state_dict().items()}, np.array(losses)


@pytest.mark.parametrize("device", [GPU])
def test_some_steps_in_fp32_stay_near_those_of_the_cpu(device, tmp_path, tiny_net, make_batches):
    """Adam divides by the size of a gradient, so a weight whose gradient is near 0 can move by other steps: 1e-2, not 1e-4."""
    weights, losses = curve(tmp_path / "there", tiny_net, make_batches, device, "fp32")
    expected, near = curve(tmp_path / "here", tiny_net, make_batches, "cpu", "fp32")
    assert np.abs(losses - near).max() < 1e-3
    assert all(far(value, expected[key]) < 1e-2 for key, value in weights.items())


@pytest.mark.parametrize("device", DEVICES)
def test_the_losses_in_bf16_stay_near_those_in_fp32(device, tmp_path, tiny_net, make_batches):
    """The loss falls by about 0.1 in these steps; 8 bits of a loss of about 1.1 are 0.005, and errors of the weights add up."""
    weights, losses = curve(tmp_path / "bf16", tiny_net, make_batches, device, "bf16")
    expected, near = curve(tmp_path / "fp32", tiny_net, make_batches, device, "fp32")
    assert np.abs(losses - near).max() < 0.02 and np.abs(losses - near).max() > 0
    assert all(value.dtype == expected[key].dtype for key, value in weights.items())  # the weights stay float32


def test_the_reference_is_on_the_cpu():
    assert make_accelerator("fp32", "cpu").device == CPU
