"""Measure several ways of the same work: they take turns, and the median of their windows counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from gpu_parts.clock import Way, Window
from gpu_parts.lab import Lab

Builder = Callable[[], Way]
TURNS, FEWEST = 5, 3  # windows of each way; the fewest, also if no time is left
WINDOW = 0.5  # seconds of a window
LEAST, MOST = 3, 200  # steps of a window


@dataclass(frozen=True)
class Measured:
    """The medians of the windows of one way.

    Args:
        rate: images per second.
        spread: the lowest and the highest rate of a window.
        step_ms: milliseconds of a step.
        host_ms: milliseconds in which the host issues a step.
        cores: busy CPU cores; None without psutil.
        peak_gb: memory of the network, its gradients, its optimizer and a step.
        first_s: seconds of the first step, with compilation.
        windows: that were measured.
        steps: of a window.
    """

    rate: float
    spread: tuple[float, float]
    step_ms: float
    host_ms: float
    cores: float | None
    peak_gb: float
    first_s: float
    windows: int
    steps: int


def measure(builders: Mapping[str, Builder], lab: Lab, seconds: float, what: str) -> dict[str, Measured]:
    """The medians of all ways that could be measured; the others are recorded as failures.

    Args:
        builders: make the ways.
        lab: of the run.
        seconds: that the measurement should take; the first windows are taken in any case.
        what: is measured, for messages.
    """
    lab.save()  # of the earlier work; this one may end the process
    end = time.monotonic() + seconds
    # build each way, and do its first steps: kernels are compiled and chosen
    ways: dict[str, Way] = {}
    first, step, resident = {}, {}, {}
    for name, build in builders.items():
        if ways and time.monotonic() > end:
            lab.failed(f"{what}, {name}", "skipped: no time was left (--budget)")
            continue
        with lab.attempt(f"{what}, {name}"):
            began, before = time.monotonic(), lab.clock.allocated()
            way = build()
            taken = way.window(0, 1)
            first[name] = time.monotonic() - began
            resident[name] = lab.clock.allocated() - before
            if not lab.tiny:
                taken = way.window(1, LEAST)
            ways[name], step[name] = way, taken.seconds / taken.steps
    # take turns
    windows: dict[str, list[Window]] = {name: [] for name in ways}
    for turn in range(1 if lab.tiny else TURNS):
        if turn >= FEWEST and time.monotonic() > end:
            break
        for name, way in list(ways.items()):
            count = 1 if lab.tiny else max(LEAST, min(MOST, round(WINDOW / step[name])))
            with lab.attempt(f"{what}, {name}"):
                windows[name].append(way.window(0 if lab.tiny else 2, count))
                continue
            del ways[name]  # it failed
    found = {name: _medians(windows[name], way.images, first[name], resident[name]) for name, way in ways.items()}
    for name, one in found.items():
        times = f"{one.step_ms:.2f} ms a step, first step {one.first_s:.1f} s"
        print(f"  {what}, {name}: {one.rate:,.0f} images/s, {times}", flush=True)
    ways.clear()
    lab.free()
    torch._dynamo.reset()  # the next networks have the same classes, and torch limits the graphs of a class
    return found


def _medians(windows: list[Window], images: int, first: float, resident: int) -> Measured:
    rates = [one.steps * images / one.seconds for one in windows]
    cores = [one.cpu / one.seconds for one in windows if one.cpu is not None]
    return Measured(
        rate=statistics.median(rates),
        spread=(min(rates), max(rates)),
        step_ms=1000 * statistics.median(one.seconds / one.steps for one in windows),
        host_ms=1000 * statistics.median(one.host / one.steps for one in windows),
        cores=statistics.median(cores) if cores else None,
        peak_gb=(max(one.peak for one in windows) + max(0, resident)) / 1e9,
        first_s=first,
        windows=len(windows),
        steps=windows[0].steps,
    )


def seconds_of(call: Callable[[], object], lab: Lab, runs: int = 3, *, warm: bool = True) -> float:
    """The median time of a call, with the device.

    Args:
        call: to time.
        lab: of the run.
        runs: timed calls; one in a tiny run.
        warm: call it once before, without timing.
    """
    times = []
    for number in range((1 if lab.tiny else runs) + warm):
        lab.clock.start()
        call()
        taken = lab.clock.stop(1).seconds
        if number or not warm:
            times.append(taken)
    return statistics.median(times)
