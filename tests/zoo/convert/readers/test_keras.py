"""A file as Keras writes it, made from a network by hand: the converted network answers to RGB as Keras' own to BGR."""

import h5py
import numpy as np
import pytest
import timm
import torch
from zoo_samples import draw_statistics

import medzoo

ENTRY = """
architecture = "densenet121_keras"
[input]
size = 32
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[pretraining]
data = ["x"]
[upstream]
format = "keras-densenet121"
access = "manual"
instructions = "Ask."
[license]
id = "mit"
redistributable = true
"""
PARAMETERS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def keras_layer(module):
    """The name of a layer in keras.applications.DenseNet121, and whether it is a norm."""
    parts = module.split(".")
    if parts[1] in ("conv0", "norm0", "norm5"):
        return {"conv0": ("conv1/conv", False), "norm0": ("conv1/bn", True), "norm5": ("bn", True)}[parts[1]]
    stage = int(parts[1][-1]) + 1
    if parts[1].startswith("transition"):
        return f"pool{stage}_{'bn' if parts[2] == 'norm' else 'conv'}", parts[2] == "norm"
    block = parts[2].removeprefix("denselayer")
    place = {"norm1": "0_bn", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}[parts[3]]
    return f"conv{stage}_block{block}_{place}", place.endswith("bn")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return draw_statistics(timm.create_model("densenet121", num_classes=0).eval())


@pytest.fixture
def converted(network, configs, tmp_path):
    (configs / "densenet121-keras_drawn.toml").write_text(ENTRY)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for key, tensor in network.state_dict().items():
            module, _, name = key.rpartition(".")
            if name == "num_batches_tracked":
                continue
            layer, norm = keras_layer(module)
            # Keras: kernels are (height, width, in, out)
            value = tensor.numpy() if norm else np.transpose(tensor.numpy(), (2, 3, 1, 0))
            file[f"model_weights/{layer}/{layer}/{PARAMETERS[name] if norm else 'kernel'}:0"] = value
    return medzoo.convert(tmp_path / "weights.h5", "densenet121-keras_drawn", out=tmp_path / "folder")


def test_a_keras_file_by_hand(network, converted):
    loaded, batch = medzoo.load(str(converted)), torch.randn(2, 3, 32, 32)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1.001e-5  # as keras.applications sets it
    with torch.inference_mode():
        keras, ours, unturned = network(batch.flip(1)), loaded(batch), loaded(batch.flip(1))
    off, wrong = (float((made - keras).abs().max() / keras.abs().max()) for made in (ours, unturned))
    assert off < 1e-4 and wrong > 20 * off
    stem = loaded.features.conv0.weight
    assert torch.equal(stem[:, 0], network.features.conv0.weight[:, 2])  # red is the last channel of BGR
