"""Where a run keeps its training rows: on the device or in the store. A resumed run keeps the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medzoo.data.decode_cache import device as devices
from medzoo.data.decode_cache.device import Placing
from medzoo.errors import DeviceMemoryError
from medzoo.training.run_state.run_folder import is_main_process

if TYPE_CHECKING:
    import torch

    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.training.run_state.run_folder import RunFolder

NEARLY_ALL = 0.9  # of the free memory, for a resumed run with its rows on the device
_LOG_KEY = "data_on_device"


def place_rows(data: Decoded, device: torch.device, choice: Placing, run: RunFolder) -> Decoded:
    """The training rows, placed on the device according to the choice.

    Views made on a device and on the host differ in their last bits. So "auto" keeps the place of the run's start when it
    continues, even if less memory is free; the log records the place.

    Args:
        data: decoded rows of the training split.
        device: of the network.
        choice: "auto", "never" or "always".
        run: the open run folder.
    """
    if choice != "auto" or device.type == "cpu":
        return devices.place(data, device, choice)
    earlier = next((bool(row[_LOG_KEY]) for row in run.rows() if _LOG_KEY in row), None)
    on_device = earlier is not False and devices.fits(data, device, devices.SHARE if earlier is None else NEARLY_ALL)
    try:
        placed = devices.place(data, device, "always" if on_device else "never")
    except DeviceMemoryError:  # another process has taken the memory in the meantime
        on_device, placed = False, data
    if earlier is None and is_main_process():
        run.log({"step": 0, _LOG_KEY: on_device})
    return placed
