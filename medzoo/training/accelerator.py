"""The Accelerator of a run: its device, its precision and its processes."""

from __future__ import annotations

import os
from datetime import timedelta

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from medzoo.errors import UsageError
from medzoo.precision import Precision
from medzoo.training.launcher import check_launcher

PATIENCE = timedelta(hours=2)  # one machine may decode images, and one process save a state, while the others wait


def make_accelerator(precision: Precision, device: str | None = None) -> Accelerator:
    """An Accelerator for this process; each run of a process can have its own precision.

    Args:
        precision: "fp32", or "bf16" for autocast.
        device: "cpu" uses no accelerator; None or "auto" uses the one of this machine.

    Raises:
        UsageError: if fewer processes joined than the launcher started; they would train separate models; or for a plugin that
            splits a network.
    """
    from accelerate.state import AcceleratorState, PartialState

    check_launcher()
    # the device stays in the process: without a reset, a run after one with "cpu" would be on the CPU, too
    on_cpu = bool(PartialState._shared_state.get("_cpu"))
    AcceleratorState._reset_state(reset_partial_state=device == "cpu" or on_cpu)
    try:
        accelerator = Accelerator(
            mixed_precision="bf16" if precision == "bf16" else "no", cpu=device == "cpu",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"Precision {precision} on device {device or 'auto'} is not possible here: {error}",
            code="precision-not-possible",
        ) from error
    if (launched := int(os.environ.get("WORLD_SIZE", "1"))) != accelerator.num_processes:
        raise UsageError(
            f"The launcher started {launched} processes, but {accelerator.num_processes} joined: they would train separate "
            "models. On CPU, launch with ACCELERATE_USE_CPU=1 accelerate launch --multi_gpu --num_processes N.",
            code="processes-not-joined",
        )
    return accelerator
