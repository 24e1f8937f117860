"""Frozen, pooled features of a split, computed once for a set of weights and cached."""

from __future__ import annotations

import hashlib
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
from medzoo.training.inputs.batches import evaluate_rows
from medzoo.training.inputs.input_transform import convention_of, input_size


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
    """Pooled features of every image of a split; cached features of the same weights are read from disk.

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
    convention = convention_of(model)
    where = torch.device(device) if device is not None else next(model.parameters()).device
    # the cache key: everything that can change the features
    key = {"weights": weights_hash(model), "data": data.sha256, "size": side, "input": repr(convention)}
    if torch.is_autocast_enabled(where.type):  # its numbers differ from those of full precision
        key["precision"] = str(torch.get_autocast_dtype(where.type))
    file = paths.home() / "features" / f"{store.sha256_of(key)}.safetensors"
    if cache and file.is_file():
        array = load(file.read_bytes())["features"]
    else:
        model = model.to(where).eval()
        with progress.Steps("features", len(data.ids), "image") as steps:
            array = evaluate_rows(
                model, data, convention, size=side, device=where, batch_size=batch_size, progress=steps.update
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
    return Features(array, np.asarray(data.labels), list(data.ids), list(data.groups))
