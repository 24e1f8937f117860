"""A clock for asynchronous devices, and ways of doing the same work that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch


@dataclass(frozen=True)
class Window:
    """What some steps took.

    Args:
        seconds: until the device had finished.
        host: seconds until the host had issued all work.
        cpu: seconds of all threads of this process and its children; None without psutil.
        peak: bytes that were allocated on the device above those at the start.
        steps: in this window.
    """

    seconds: float
    host: float
    cpu: float | None
    peak: int
    steps: int


class Clock:
    """Times the steps between `start` and `stop`; both wait for the device.

    `around` holds pairs of functions to call after the start and before the end, for a profiler.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.around: tuple[Callable[[], object], Callable[[], object]] | None = None
        try:
            import psutil
        except ImportError:
            self._process = None
        else:
            self._process = psutil.Process()

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def allocated(self) -> int:
        """Bytes of tensors on the device; 0 on a CPU."""
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else 0

    def start(self) -> None:
        """Begin a window."""
        self.wait()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._held, self._cpu = self.allocated(), self._all_cpu()
        if self.around is not None:
            self.around[0]()
        self._began = time.perf_counter()

    def stop(self, steps: int) -> Window:
        """End a window.

        Args:
            steps: that were done in it.
        """
        issued = time.perf_counter()
        if self.around is not None:
            self.around[1]()
        self.wait()
        ended = time.perf_counter()
        cpu = None if self._cpu is None else (self._all_cpu() or 0.0) - self._cpu
        peak = torch.cuda.max_memory_allocated(self.device) - self._held if self.device.type == "cuda" else 0
        return Window(ended - self._began, issued - self._began, cpu, peak, steps)

    def _all_cpu(self) -> float | None:
        if self._process is None:
            return None
        import psutil

        total = 0.0
        for one in (self._process, *self._process.children(recursive=True)):
            try:
                times = one.cpu_times()
            except psutil.Error:  # it has just ended
                continue
            total += times.user + times.system
        return total


class Way(Protocol):
    """One way of doing the work; `images` are those of a step."""

    images: int

    def window(self, warm: int, steps: int) -> Window:
        """Do some steps that are not timed, then some that are.

        Args:
            warm: steps before the window.
            steps: in the window.
        """


class StepWay:
    """A way whose step is a call.

    Args:
        step: one step.
        images: of a step.
        clock: of the run.
        peer: whether the settings of timm's train.py hold: cudnn's benchmark mode and TF32.
        drain: further steps before a window, which use up the batches that workers have ready.
    """

    def __init__(
        self, step: Callable[[], Any], images: int, clock: Clock, *, peer: bool = False, drain: int = 0
    ) -> None:
        self.step, self.images, self.clock, self.peer, self.drain = step, images, clock, peer, drain

    def window(self, warm: int, steps: int) -> Window:
        with peer_settings(self.peer):
            for _ in range(warm + self.drain):
                self.step()
            self.clock.start()
            for _ in range(steps):
                self.step()
            return self.clock.stop(steps)


@contextmanager
def peer_settings(used: bool = True) -> Iterator[None]:
    """Inside this block, torch has the settings of timm's train.py; medzoo sets the first only with --no-deterministic.

    Args:
        used: False changes nothing.
    """
    before = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    if used:
        torch.backends.cudnn.benchmark = True
        # TF32; of torch's two settings, the compilers of all versions can read this one
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        if used:
            torch.backends.cudnn.benchmark = before[0]
            torch.set_float32_matmul_precision(before[1])
