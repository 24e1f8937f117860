"""The precision of losses."""

from __future__ import annotations

import torch


def no_autocast(values: torch.Tensor) -> torch.autocast:
    """A block without autocast: inside it, matrix products of float32 values have float32's precision.

    Args:
        values: a tensor on the device that computes.

    >>> with torch.autocast("cpu", torch.bfloat16), no_autocast(torch.ones(1)):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    return torch.autocast(values.device.type, enabled=False)
