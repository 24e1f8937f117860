"""Deterministic algorithms of an accelerator, so that a resumed run has the same bits as one that never stopped.

The fastest kernels of a GPU add numbers in an order that differs from run to run. torch has others with a fixed order, and refuses
the few operations without one, such as the gradient of antialiased resizing. No method, network or decoder of medzoo has one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from medzoo.precision import FIXED_SIZE, WORKSPACE

_REFUSED = "does not have a deterministic implementation"


@contextmanager
def deterministic_algorithms(wanted: bool, kind: str) -> Iterator[None]:
    """A block in which an accelerator uses deterministic algorithms, or the fastest ones; those of a CPU stay as they are.

    Args:
        wanted: whether an operation without a deterministic algorithm raises; else cuDNN tries its algorithms and uses the
            fastest.
        kind: of the device, as `precision.device_kind` gives it.

    >>> with deterministic_algorithms(True, "cuda"):
    ...     is_deterministic()
    True
    """
    if kind == "cpu":
        yield
        return
    if kind == "cuda":  # also if not wanted: the next run of this process may want it
        os.environ.setdefault(WORKSPACE, FIXED_SIZE)
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled, tries = memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(wanted)
    memory.fill_uninitialized_memory = False  # batches are written completely before they are read
    # the fastest algorithm can be another one in the next process; the sizes of a training hardly change, so it is found once
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark = filled, tries


def is_deterministic() -> bool:
    """Whether torch uses deterministic algorithms, and refuses operations without one."""
    return torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()


def refused_operation(error: RuntimeError) -> str:
    """The operation that torch refuses because it has no deterministic algorithm; empty for any other error.

    Args:
        error: of a forward or backward pass.

    >>> refused_operation(RuntimeError("a_backward_cuda does not have a deterministic implementation, but you set ..."))
    'a_backward_cuda'
    """
    text = str(error)
    if _REFUSED in text:
        return text.partition(_REFUSED)[0].strip()
    return f"a matrix product without {WORKSPACE}" if WORKSPACE in text else ""


def allow_all() -> None:
    """Use deterministic algorithms where there are some, and the others elsewhere, until the block ends."""
    torch.use_deterministic_algorithms(True, warn_only=True)
