"""Where a run's training rows lie: on the device or in the store, and after a stop where they lay before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medzoo.data.decode_cache import device as devices
from medzoo.data.decode_cache.device import Placing
from medzoo.training.run_state.run_folder import is_main_process

if TYPE_CHECKING:
    import torch

    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.training.run_state.run_folder import RunFolder

NEARLY_ALL = 0.9  # of the free memory, for a run that began with its rows on the device
_WORD = "data_on_device"


def place_rows(data: Decoded, device: torch.device, choice: Placing, run: RunFolder) -> Decoded:
    """The training rows, on the device if the choice says so.

    Views that are made on a device and on the host differ in their last bits, so "auto" keeps to what the run began with,
    whatever else uses the memory when it goes on; the log says what that was.

    Args:
        data: decoded rows of the training split.
        device: of the network.
        choice: "auto", "never" or "always".
        run: the open run folder.
    """
    if choice != "auto" or device.type == "cpu":
        return devices.place(data, device, choice)
    began = next((bool(row[_WORD]) for row in run.rows() if _WORD in row), None)
    if began is None:
        there = devices.fits(data, device)
        if is_main_process():
            run.log({"step": 0, _WORD: there})
    else:
        there = began and devices.fits(data, device, NEARLY_ALL)
    return devices.place(data, device, "always" if there else "never")
