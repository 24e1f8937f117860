"""Decoded rows in the memory of the device: an epoch transfers only the indices of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from medzoo.errors import DeviceMemoryError, is_out_of_memory
from medzoo.precision import free_memory

if TYPE_CHECKING:
    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.data.decode_cache.rows import RowArray

Placing = Literal["auto", "never", "always"]
SHARE = 0.5  # of the free memory; the rest is for the network
_BLOCK = 64 << 20  # bytes copied at once


def to_tensor(rows: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy stored rows to a device.

    Args:
        rows: uint8 or uint16.
        device: the target.

    Returns:
        uint8 unchanged, uint16 as int32, because few devices compute with uint16.
    """
    if rows.dtype != np.uint16:
        return torch.from_numpy(rows).to(device, non_blocking=True)
    return _unsigned(torch.from_numpy(rows.view(np.int16)).to(device, non_blocking=True))


def _unsigned(words: torch.Tensor) -> torch.Tensor:
    """The 16 bits of int16 as a number from 0 to 65535."""
    return words.to(torch.int32) & 0xFFFF


class DeviceRows:
    """Rows of a split on a device; indexing with numbers or slices gives tensors on that device.

    Args:
        rows: of a store, or an array; (N, H, W) or (N, H, W, 3), uint8 or uint16.
        device: the target of the copy.

    >>> rows = DeviceRows(np.arange(8, dtype=np.uint16).reshape(2, 2, 2), torch.device("cpu"))
    >>> rows[np.array([1])].tolist()
    [[[4, 5], [6, 7]]]
    """

    def __init__(self, rows: RowArray, device: torch.device) -> None:
        self.shape: tuple[int, ...] = tuple(rows.shape)
        self.dtype, self.device = rows.dtype, device
        self._wide = rows.dtype == np.uint16
        self._rows = torch.empty(self.shape, dtype=torch.int16 if self._wide else torch.uint8, device=device)
        block = max(1, _BLOCK // max(1, bytes_of(rows) // max(1, len(rows))))
        for first in range(0, len(rows), block):
            part = np.ascontiguousarray(rows[first : first + block])
            self._rows[first : first + block].copy_(torch.from_numpy(part.view(np.int16) if self._wide else part))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any) -> torch.Tensor:  # noqa: ANN401 - numbers or a slice
        if isinstance(chosen, slice):
            rows = self._rows[chosen]
        else:
            numbers = torch.from_numpy(np.asarray(chosen, np.int64))
            rows = self._rows.index_select(0, numbers.to(self.device, non_blocking=True))
        return _unsigned(rows) if self._wide else rows


def bytes_of(rows: Any) -> int:  # noqa: ANN401 - anything with a shape and a dtype
    """Bytes of stored rows."""
    return int(np.prod(rows.shape)) * int(np.dtype(rows.dtype).itemsize)


def on_device(data: Decoded) -> torch.device | None:
    """The device of the rows; None if they are in the store."""
    return data.images.device if isinstance(data.images, DeviceRows) else None


def fits(data: Decoded, device: torch.device, share: float = SHARE) -> bool:
    """Whether the rows fit into a share of the free memory of an accelerator; False for a CPU, where memory maps are as fast.

    Args:
        data: of the store.
        device: the target.
        share: of the free memory.
    """
    if device.type != "cuda":
        return False
    return needed(data) <= share * free_memory(device)


def needed(data: Decoded) -> int:
    """The size of the rows and masks of a split in bytes."""
    return bytes_of(data.images) + (0 if data.masks is None else bytes_of(data.masks))


def place(data: Decoded, device: torch.device, choice: Placing = "auto") -> Decoded:
    """The same rows, copied to the device if the choice allows it.

    Args:
        data: of the store.
        device: of the network.
        choice: "auto" if they fit into half of the free memory, "never", or "always" (also on a CPU, as a copy in memory).

    Raises:
        DeviceMemoryError: if "always" is not possible.

    >>> from medzoo.data.decode_cache.cache import decoded
    >>> from medzoo.data.task_registry import load_task
    >>> rows = decoded(load_task("phantom_oct,n=8,n_validation=4,n_test=4"), "test", size=32)
    >>> place(rows, torch.device("cpu"), "always").images[np.array([0, 2])].shape
    torch.Size([2, 32, 32])
    """
    if choice == "never" or on_device(data) is not None or (choice == "auto" and not fits(data, device)):
        return data
    if isinstance(data.images, DeviceRows) or isinstance(data.masks, DeviceRows):
        return data
    try:
        masks = None if data.masks is None else DeviceRows(data.masks, device)
        return replace(data, images=DeviceRows(data.images, device), masks=masks)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        if choice == "auto":  # another process has taken the memory in the meantime
            return data
        raise DeviceMemoryError(
            f"The {len(data.ids)} decoded images ({needed(data):,} bytes) do not fit into the memory of {device}. Set "
            "--data-on-device to auto or never: they are then read from the store, with the same result.",
            code="images-exceed-device-memory",
        ) from error
