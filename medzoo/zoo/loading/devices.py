"""The device of `load`: whether it exists, and whether the weights fit into its free memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from medzoo.errors import DeviceMemoryError, UsageError
from medzoo.precision import free_memory
from medzoo.zoo.models.weights import DTYPE_BYTES, Entry

if TYPE_CHECKING:
    import torch
    from torch import nn

# Types of tensors in a safetensors file that `load` converts to the requested type.
FLOATS = frozenset({"F8_E4M3", "F8_E5M2", "F16", "BF16", "F32", "F64"})


def existing_device(device: object) -> torch.device | None:
    """The device with this name, if this machine has it.

    Args:
        device: None, a name such as "cuda:0", a number, or a torch.device.

    Raises:
        UsageError: for a text that names no device, and for a device that this machine lacks, with the devices that it has.

    >>> existing_device("cpu"), existing_device(None)
    (device(type='cpu'), None)
    """
    import torch

    if device is None:
        return None
    try:
        place = torch.device(device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"device is {device!r}, which is not the name of a device. This machine has {', '.join(devices())}.",
            code="device-invalid",
        ) from error
    count = _counts().get(place.type)
    if count is not None and (place.index or 0) >= count:
        raise UsageError(
            f"device is {str(place)!r}, but this machine has {', '.join(devices())}.{_why_no_cuda(place)}",
            code="device-missing",
        )
    return place


def _counts() -> dict[str, int]:
    """The number of devices of each type that torch can count."""
    import torch

    return {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "xpu": torch.xpu.device_count() if torch.xpu.is_available() else 0,
    }


def devices() -> list[str]:
    """The names of the devices of this machine, the CPU first.

    >>> devices()[0]
    'cpu'
    """
    return [
        name if name in ("cpu", "mps") else f"{name}:{number}"
        for name, count in _counts().items()
        for number in range(count)
    ]


def _why_no_cuda(place: torch.device) -> str:
    """A sentence on the usual reason: a torch without CUDA."""
    import torch

    if place.type != "cuda" or torch.version.cuda or torch.version.hip:
        return ""
    return " The installed torch was built without CUDA: https://pytorch.org/get-started has builds with it."


def check_memory(needed: int, device: torch.device, name: str, dtype: torch.dtype | None = None) -> None:
    """Refuse weights that are larger than the free memory of a GPU.

    Args:
        needed: bytes of parameters and buffers.
        device: an existing device; only the memory of CUDA devices is known.
        name: of the checkpoint.
        dtype: requested type of the parameters; None is float32.

    Raises:
        DeviceMemoryError: with both amounts and what to do.
    """

    if device.type != "cuda":
        return
    free = free_memory(device)
    if needed <= free:
        return
    half = dtype is None or dtype.itemsize > 2
    smaller = "dtype=torch.bfloat16 (half of float32), " if half else ""
    raise DeviceMemoryError(
        f"The weights of {name} need {_gigabytes(needed)}, but {device} has {_gigabytes(free)} free. Use {smaller}another "
        f"device ({', '.join(one for one in devices() if one != str(device))}), or end the processes that use this one "
        "(nvidia-smi lists them). A forward pass needs more than the weights.",
        code="weights-exceed-device-memory",
    )


def stored_bytes(entries: Mapping[str, Entry], dtype: torch.dtype | None, without: Iterable[str] = ()) -> int:
    """The bytes that the tensors of a file take after loading.

    Args:
        entries: types and shapes from the header of the file.
        dtype: requested type of the parameters; None is float32.
        without: names of tensors that are not loaded, such as those of a head.

    >>> stored_bytes({"a": Entry("F16", (2, 3)), "n": Entry("I64", ())}, None)
    32
    """
    absent, width = set(without), 4 if dtype is None else dtype.itemsize
    return sum(
        math.prod(entry.shape) * (width if entry.dtype in FLOATS else DTYPE_BYTES[entry.dtype])
        for name, entry in entries.items()
        if name not in absent
    )


def loaded_bytes(model: nn.Module, dtype: torch.dtype | None = None) -> int:
    """The bytes of the parameters and buffers of a network; tied parameters count once.

    Args:
        model: the network.
        dtype: the type to which floating-point tensors will be converted; None if they stay as they are.
    """
    return sum(
        tensor.numel() * (dtype.itemsize if dtype is not None and tensor.is_floating_point() else tensor.element_size())
        for tensor in (*model.parameters(), *model.buffers())
    )


def _gigabytes(count: int) -> str:
    """Bytes as text with a unit of the decimal system.

    >>> _gigabytes(94_032_128), _gigabytes(2_500_000_000)
    ('94.0 MB', '2.50 GB')
    """
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
