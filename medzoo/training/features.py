"""Frozen, pooled features of a split, computed once for a set of weights and kept."""

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
        labels: as the task gives them.
        ids: one an image, in order.
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
    """Pooled features of every image of a split, from disk if these weights have seen it.

    Args:
        model: a headless model (`medzoo.load(name)`), used in eval mode.
        task_split: decoded rows, or (task, "train"), which are decoded at `size`.
        batch_size: images a forward pass.
        size: side of the input, pixels; by default the model's.
        device: where to compute; by default where the model lies.
        cache: keep and reuse the features.

    Raises:
        UsageError: if the model gives something else than one vector an image, or is no model; or for no split.
    """
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "pretrained_cfg"):
        raise UsageError(
            f"The model is {str(model)[:80]!r} ({type(model).__name__}); give a network: medzoo.embed(medzoo.load(NAME), ...)."
        )
    if not (isinstance(task_split, Decoded) or _is_split(task_split)):
        raise UsageError(
            f'The images are {str(task_split)[:80]!r}; give a task and its split: (medzoo.load_task(NAME), "train").'
        )
    side = size or input_size(model)
    data = task_split if isinstance(task_split, Decoded) else decoded(*task_split, size=side)
    convention = convention_of(model)
    place = torch.device(device) if device is not None else next(model.parameters()).device
    key = {"weights": weights_hash(model), "data": data.sha256, "size": side, "input": repr(convention)}
    if torch.is_autocast_enabled(place.type):  # other numbers than those of full precision
        key["precision"] = str(torch.get_autocast_dtype(place.type))
    file = paths.home() / "features" / f"{store.sha256_of(key)}.safetensors"
    if cache and file.is_file():
        array = load(file.read_bytes())["features"]
    else:
        model = model.to(place).eval()
        with progress.Steps("features", len(data.ids), "image") as steps:
            array = evaluate_rows(
                model, data, convention, size=side, device=place, batch_size=batch_size, progress=steps.update
            )
            steps.line(f"features: {progress.counted(steps.done, 'image')}, {progress.duration(steps.seconds)}")
        if array.ndim != 2:
            raise UsageError(
                f"The model gives {array.shape[1:]} an image; embed needs pooled features (num_classes=0)."
            )
        if cache:
            with store.atomic_path(file) as temporary:
                save_file({"features": array}, temporary)
    return Features(array, np.asarray(data.labels), list(data.ids), list(data.groups))
