"""Frozen, pooled features of a split, computed once for a network and cached."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load, save_file

from medzoo import paths, progress, store
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.task import Task
from medzoo.errors import UsageError
from medzoo.training.inputs.evaluate import evaluate_rows
from medzoo.training.inputs.input_transform import InputConvention, convention_of, input_size

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Features:
    """Features of a split.

    Args:
        array: (N, D) float32.
        labels: of the task.
        ids: one per image, in order.
        groups: patients, in order.
    """

    array: np.ndarray
    labels: np.ndarray
    ids: list[str]
    groups: list[str]


def weights_hash(model: torch.nn.Module) -> str:
    """The sha256 of a model's parameters and buffers, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
            if tensor.ndim
            else repr(tensor.item()).encode()
        )
    return digest.hexdigest()


def network_hash(model: torch.nn.Module) -> str:
    """The sha256 of what decides a network's outputs: its weights, its architecture with its keywords, and its modules.

    The weights alone do not show a stride, a pooling or the number of heads. A compiled network, or one that is wrapped for
    several devices, has the hash of the network inside.

    Args:
        model: a network, in any mode and on any device.
    """
    while (inner := _wrapped(model)) is not None:
        model = inner
    receipt = getattr(model, "load_receipt", None)
    architecture = getattr(receipt, "architecture", None) or dict(getattr(model, "pretrained_cfg", {})).get(
        "architecture"
    )
    keywords = (
        getattr(model, "_model_args", {}) if receipt is None else receipt.model_args
    )  # timm stores those of its call
    parts = (weights_hash(model), str(architecture), repr(sorted(dict(keywords).items())), str(model))
    # the address of a function differs between processes
    return hashlib.sha256(_ADDRESS.sub("", "\n".join(parts)).encode()).hexdigest()


def _wrapped(model: torch.nn.Module) -> torch.nn.Module | None:
    """The network inside a compiled or a parallel one; None for others."""
    if isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return model.module
    return getattr(model, "_orig_mod", None)


def _is_split(given: object) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Task) and isinstance(given[1], str)


def embed(
    model: torch.nn.Module,
    task_split: Decoded | tuple[Any, str],
    *,
    batch_size: int = 256,
    size: int | None = None,
    device: str | torch.device | None = None,
    cache: bool = True,
) -> Features:
    """Pooled features of every image of a split; cached features of the same network are read from disk.

    Args:
        model: a headless model (`medzoo.load(name)`), used in eval mode.
        task_split: decoded rows, or (task, "train"), which are decoded at `size`.
        batch_size: images per forward pass.
        size: side of the input, pixels; by default the model's.
        device: where to compute; by default the model's device.
        cache: keep and reuse the features.

    Raises:
        UsageError: if the model is not a network or does not give one vector per image, or the split is invalid.
    """
    # the arguments
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "pretrained_cfg"):
        raise UsageError(
            f"The model is {str(model)[:80]!r} ({type(model).__name__}); give a network: medzoo.embed(medzoo.load(NAME), ...).",
            code="model-not-a-network",
        )
    if not (isinstance(task_split, Decoded) or _is_split(task_split)):
        raise UsageError(
            f'The images are {str(task_split)[:80]!r}; give a task and its split: (medzoo.load_task(NAME), "train").',
            code="split-invalid",
        )
    side = size or input_size(model)
    data = task_split if isinstance(task_split, Decoded) else decoded(*task_split, size=side)
    where = torch.device(device) if device is not None else next(model.parameters()).device
    array = frozen_outputs(
        model, data, convention_of(model), network_key=network_hash(model), size=side, device=where, batch_size=batch_size,
        cache=cache,
    )  # fmt: skip
    return Features(array, np.asarray(data.labels), list(data.ids), list(data.groups))


def frozen_outputs(
    network: torch.nn.Module,
    data: Decoded,
    convention: InputConvention,
    *,
    network_key: str,
    size: int,
    device: torch.device,
    batch_size: int,
    readout: str | None = None,
    cache: bool = True,
) -> np.ndarray:
    """(N, D) float32: one vector of a frozen network for every row of a split, from the disk if it was computed before.

    Args:
        network: gives (B, D); used in eval mode.
        data: the decoded rows.
        convention: of the network's input.
        network_key: `network_hash` of the network.
        size: side of the input, pixels.
        device: where to compute.
        batch_size: images per forward pass.
        readout: which vector, if it is not the network's pooled output.
        cache: keep and reuse the vectors.

    Raises:
        UsageError: if the network does not give one vector per image.
    """
    # the cache key: everything that can change the features
    key = {"network": network_key, "data": data.sha256, "size": size, "input": repr(convention)}
    if torch.is_autocast_enabled(device.type):  # its numbers differ from those of full precision
        key["precision"] = str(torch.get_autocast_dtype(device.type))
    if readout is not None:
        key["readout"] = readout
    file = paths.home() / "features" / f"{store.sha256_of(key)}.safetensors"
    if cache and file.is_file():
        return load(file.read_bytes())["features"]
    network = network.to(device).eval()
    with progress.Steps("features", len(data.ids), "image") as steps:
        array = evaluate_rows(
            network, data, convention, size=size, device=device, batch_size=batch_size, progress=steps.update
        )
        steps.line(f"features: {progress.counted(steps.done, 'image')}, {progress.duration(steps.seconds)}")
    if array.ndim != 2:
        raise UsageError(
            f"The model gives {array.shape[1:]} per image; embed needs pooled features (num_classes=0).",
            code="features-not-pooled",
        )
    if cache:
        with store.atomic_path(file) as temporary:
            save_file({"features": array}, temporary)
    return array
