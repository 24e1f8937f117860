"""What all parts of the measurement share: the device, the time that is left, tables, targets and failures."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from gpu_parts.clock import Clock


@dataclass
class Section:
    """A table of the results page."""

    title: str
    notes: list[str]
    columns: list[str]
    rows: list[list[str | float]] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """A value to reach; `measured` is None if the measurement failed."""

    name: str
    wanted: float
    measured: float | None
    unit: str
    most: bool = False  # whether the value may be at most `wanted`

    @property
    def verdict(self) -> str:
        if self.measured is None or not math.isfinite(self.measured):
            return "not measured"
        reached = self.measured <= self.wanted if self.most else self.measured >= self.wanted
        return "reached" if reached else "missed"


@dataclass
class Lab:
    """One run of the benchmark.

    Args:
        device: that is measured.
        tiny: whether networks and images are tiny and every measurement has one or two steps, to try the code on a CPU.
        folder: temporary.
        batch: images per step that replace those of each part; 0 keeps them.
    """

    device: torch.device
    tiny: bool
    folder: Path
    batch: int = 0
    rate: float = math.nan  # of bf16 matrix products, FLOP/s
    until: float = math.inf  # monotonic time at which the present part should end
    sections: list[Section] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    part: str = ""
    save: Callable[[], None] = lambda: None  # writes what was found
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(self.device)

    @property
    def left(self) -> float:
        """Seconds that the present part still has."""
        return self.until - time.monotonic()

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def images(self, full: int) -> int:
        """Images per step: `full`, or those of --batch, or two of a tiny run."""
        return 2 if self.tiny else self.batch or full

    def autocast(self) -> torch.autocast:
        """Bf16, as all sides compute."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def table(self, title: str, columns: list[str], *notes: str) -> Section:
        """A new table of the page."""
        self.sections.append(Section(title, list(notes), columns))
        return self.sections[-1]

    def target(self, name: str, wanted: float, measured: float | None, unit: str = "", *, most: bool = False) -> None:
        """Compare a measured value with a target, and print the verdict."""
        self.targets.append(Target(name, wanted, measured, unit, most))
        found = "" if measured is None else f"{number(measured)}{unit}, "
        print(
            f"  target {name}: {'<=' if most else '>='} {number(wanted)}{unit}: {found}{self.targets[-1].verdict}",
            flush=True,
        )

    def failed(self, what: str, why: str) -> None:
        """Record something that was not measured."""
        self.failures.append({"part": self.part, "what": what, "why": why})
        print(f"  {self.part}, {what}: {why}", flush=True)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """A block whose errors (out of memory, a missing package, ...) are recorded and do not stop the run."""
        try:
            yield
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            self.failed(what, f"failed: {type(error).__name__}: {lines[0][:300]}")
            error.__traceback__ = None  # its frames hold tensors
            self.free()

    def free(self) -> None:
        """Give unused memory back to the device."""
        gc.collect()
        if self.is_cuda:
            # after some errors every call to the device fails; what was found has to be shown
            with suppress(RuntimeError):
                torch.cuda.empty_cache()


def number(value: float) -> str:
    """A value with about three digits."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    digits = (
        0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 2 else 3 if abs(value) >= 0.1 else 4
    )
    return f"{value:,.{digits}f}"
