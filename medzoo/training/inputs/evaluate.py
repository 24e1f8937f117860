"""The outputs of a network for all rows of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import to_tensor
from medzoo.data.transforms.apply import InputConvention, normalise, to_unit, whole
from medzoo.errors import DeviceMemoryError, is_out_of_memory
from medzoo.precision import full_float32
from medzoo.progress import counted
from medzoo.training.inputs.batches import to_device


def evaluate_batches(
    model: Callable[[torch.Tensor], torch.Tensor],
    data: Decoded,
    convention: InputConvention,
    *,
    size: int,
    device: torch.device,
    batch_size: int = 256,
    view: Callable[[torch.Tensor], torch.Tensor] | None = None,
    first: int = 0,
) -> Iterator[torch.Tensor]:
    """The network's outputs for every row of a split in order, as float32 on the CPU, one batch at a time.

    Args:
        model: the network.
        data: the decoded rows.
        convention: of the network's input.
        size: side of the input, pixels.
        device: where to compute.
        batch_size: images per forward pass.
        view: from rows (N, C, H, W) in [0, 1] to the network's side; by default the whole image is resized.
        first: number of the first row.

    Raises:
        DeviceMemoryError: if a forward pass does not fit into memory.
    """
    for start in range(first, len(data.ids), batch_size):
        images = data.images[start : start + batch_size]
        try:
            if isinstance(images, np.ndarray) and device.type != "cpu":
                images = to_tensor(images, device)  # copy bytes and convert them to floats on the device
            with torch.inference_mode(), full_float32(device.type):
                unit = to_unit(images, data.scale, convention.rule)
                unit = whole(unit, size) if view is None else view(unit)
                batch = to_device({"image": normalise(unit, convention)}, device)
                outputs = model(batch["image"]).float().cpu()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise too_large(len(images), size, device) from error
            raise
        yield outputs


def too_large(images: int, size: int, device: torch.device) -> DeviceMemoryError:
    """The error for a forward pass that does not fit into memory.

    Args:
        images: of the pass.
        size: side of the input, pixels.
        device: that computed.
    """
    return DeviceMemoryError(
        f"A forward pass of {counted(images, 'image')} of {size} px does not fit into the memory of {device}. End other processes "
        "that use it (nvidia-smi lists those of a GPU), choose a smaller --size, or a smaller --batch-size where the command has "
        "one.",
        code="evaluation-out-of-memory",
    )


def evaluate_rows(
    model: Callable[[torch.Tensor], torch.Tensor],
    data: Decoded,
    convention: InputConvention,
    *,
    size: int,
    device: torch.device,
    batch_size: int = 256,
    progress: Callable[[int], Any] | None = None,
    view: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> np.ndarray:
    """The network's outputs for every row of a split, in order.

    If a forward pass does not fit into memory, the next ones have half as many images.

    Args:
        model: the network.
        data: the decoded rows.
        convention: of the network's input.
        size: side of the input, pixels.
        device: where to compute.
        batch_size: images per forward pass.
        progress: called with the number of images of each forward pass.
        view: from rows (N, C, H, W) in [0, 1] to the network's side; by default the whole image is resized.

    Returns:
        (N, outputs) float32.

    Raises:
        DeviceMemoryError: if a single image does not fit into memory.
    """
    outputs: list[torch.Tensor] = []
    done = 0
    while done < len(data.ids):
        try:
            for batch in evaluate_batches(
                model, data, convention, size=size, device=device, batch_size=batch_size, view=view, first=done
            ):
                outputs.append(batch)
                done += len(batch)
                if progress is not None:
                    progress(len(batch))
        except DeviceMemoryError:
            if batch_size == 1:
                raise
            batch_size //= 2
    return torch.cat(outputs).numpy()
