"""A DenseNet-121 as keras.applications stores it, written by hand."""

from pathlib import Path

import h5py
import numpy as np
import torch

PARAMETERS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def keras_layer(module: str) -> tuple[str, bool]:
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


def write_keras(network: torch.nn.Module, path: Path) -> Path:
    """Write timm's densenet121 without a head as a file of Keras."""
    with h5py.File(path, "w") as file:
        for key, tensor in network.state_dict().items():
            module, _, name = key.rpartition(".")
            if name == "num_batches_tracked":
                continue
            layer, norm = keras_layer(module)
            # Keras: kernels are (height, width, in, out)
            value = tensor.numpy() if norm else np.transpose(tensor.numpy(), (2, 3, 1, 0))
            file[f"model_weights/{layer}/{layer}/{PARAMETERS[name] if norm else 'kernel'}:0"] = value
    return path
