"""Communication between the processes of a launch inside a step, so that the loss is that of the whole batch.

DistributedDataParallel averages the gradients of the processes after each step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed


def processes() -> int:
    """The number of processes that train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gathered(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, in the order of the processes.

    The backward pass sums the gradients over the processes. After DistributedDataParallel has averaged them, the gradient is that
    of one process with all rows.

    Args:
        rows: (N, ...), with the same N in each process.

    >>> gathered(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    gathered_rows: torch.Tensor = rows if processes() == 1 else _Gathered.apply(rows)
    return gathered_rows


class _Gathered(torch.autograd.Function):
    """Forward: the rows of all processes. Backward: the sum of all gradients of this process's rows."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's context
        parts = [torch.empty_like(rows) for _ in range(processes())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        total = gradient.clone()
        distributed.all_reduce(total)
        return total.chunk(processes())[distributed.get_rank()]


def share_buffers(model: torch.nn.Module) -> None:
    """Copy the running statistics of the first process to all, so that all processes validate the same network.

    Args:
        model: of this process.
    """
    if processes() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def mean_over_processes(value: torch.Tensor) -> torch.Tensor:
    """The mean of a number over the processes, without a gradient.

    Args:
        value: a number.

    >>> float(mean_over_processes(torch.tensor(3)))
    3.0
    """
    mean = value.detach().float()
    if processes() > 1:
        mean = mean.clone()
        distributed.all_reduce(mean)
        mean /= processes()
    return mean
