"""Communication between the processes of a launch inside a step, so that the loss is that of the whole batch.

DistributedDataParallel averages the gradients of the processes after each step.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import distributed

from medzoo.errors import ResumeError


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
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(processes())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        total = gradient.clone(memory_format=torch.contiguous_format)  # NCCL refuses a transposed one
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


def of_first_process(values: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    """The numbers of the first process; those of the others can differ in their last bits.

    Args:
        values: of this process, with the same ones None in all.

    >>> of_first_process((0.5, None))
    (0.5, None)
    """
    if processes() == 1:
        return values
    numbers = torch.tensor([math.nan if value is None else value for value in values], dtype=torch.float64)
    numbers = numbers.to(_device())
    distributed.broadcast(numbers, 0)
    first, second = (None if value is None else found for value, found in zip(values, numbers.tolist(), strict=True))
    return first, second


def check_same_step(step: int) -> None:
    """Check that all processes continue from the same step; each reads the saved states itself.

    Args:
        step: of this process.

    Raises:
        ResumeError: in all processes, if they have different steps.
    """
    if processes() == 1:
        return
    ends = torch.tensor([step, -step], device=_device())
    distributed.all_reduce(ends, distributed.ReduceOp.MAX)
    last, first = int(ends[0]), -int(ends[1])
    if last != first:
        raise ResumeError(
            f"The processes found different saved states (steps {first} to {last}). --out must be a folder that all machines "
            "share; if it is, start again.",
            code="processes-at-different-steps",
        )


def _device() -> torch.device:
    """Where the processes exchange numbers: NCCL needs tensors on a GPU."""
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


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
