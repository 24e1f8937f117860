"""A profile of one way: the operators that take most of the device's time, and how long the device waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from gpu_parts.clock import Way
from gpu_parts.lab import Lab

STEPS, SHOWN = 6, 25
# calls of the host that show waits and launches
CALLS = (
    "cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaMemcpyAsync", "cudaStreamSynchronize",
    "cudaDeviceSynchronize", "aten::item", "aten::_local_scalar_dense", "aten::to", "aten::copy_",
)  # fmt: skip


def busy(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of some spans.

    Args:
        spans: (start, end) of each.

    >>> busy([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    4.0
    """
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def part(lab: Lab, name: str, way: Way) -> None:
    """Profile some steps of a way, and add two tables.

    Args:
        lab: of the run.
        name: of the way.
        way: that was built.
    """
    warm, steps = (0, 1) if lab.tiny else (10, STEPS)  # the loop logs steps 10 and 20
    way.window(0, 1)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if lab.is_cuda else [])]
    profiler = profile(activities=activities)

    def stop() -> None:
        lab.clock.wait()  # the kernels of the window belong to the profile
        profiler.stop()

    lab.clock.around = (profiler.start, stop)
    try:
        way.window(warm, steps)
    finally:
        lab.clock.around = None
    averages: list[Any] = list(profiler.key_averages())
    _operators(lab, name, averages, steps)
    _summary(lab, name, profiler, averages, steps)


def _operators(lab: Lab, name: str, averages: list[Any], steps: int) -> None:
    kind = "device" if lab.is_cuda else "cpu"

    def of(one: Any) -> float:
        return float(one.self_device_time_total if lab.is_cuda else one.self_cpu_time_total)

    # kernels only: an operator's own row repeats the time of its kernels
    rows = [one for one in averages if not lab.is_cuda or one.device_type == DeviceType.CUDA]
    rows = [one for one in rows if of(one) > 0 and not getattr(one, "is_user_annotation", False)]
    whole = sum(of(one) for one in rows)
    table = lab.table(
        f"Profile of {name}: {kind} time by {'kernel' if lab.is_cuda else 'operator'}",
        ["name", "ms a step", "share, %", "calls a step"],
        f"{len(rows)} different ones take {whole / 1000 / steps:.2f} ms a step; the profiler slows the host down.",
    )  # fmt: skip
    for one in sorted(rows, key=of, reverse=True)[:SHOWN]:
        table.rows.append(
            [str(one.key)[:110].replace("|", "/"), of(one) / 1000 / steps, 100 * of(one) / whole, one.count / steps]
        )
    if lab.is_cuda:
        table = lab.table(
            f"Profile of {name}: device time by operator of PyTorch", ["name", "ms a step", "calls a step"]
        )
        called = [one for one in averages if one.device_type == DeviceType.CPU and of(one) > 0]
        for one in sorted(called, key=of, reverse=True)[:SHOWN]:
            table.rows.append([str(one.key)[:110].replace("|", "/"), of(one) / 1000 / steps, one.count / steps])


def _summary(lab: Lab, name: str, profiler: Any, averages: list[Any], steps: int) -> None:
    table = lab.table(f"Profile of {name}: the host", ["what", "a step"])
    counts = {one.key: one.count for one in averages}
    table.rows += [[call, counts[call] / steps] for call in CALLS if call in counts]
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
    ]
    if spans:
        worked, whole = busy(spans), max(end for _, end in spans) - min(start for start, _ in spans)
        idle = 100 * (1 - worked / whole)
        table.rows += [
            ["kernels and copies on the device", len(spans) / steps],
            ["device busy, ms", worked / 1000 / steps],
        ]
        table.notes.append(
            f"The device waits {idle:.1f} % of the time between the first and the last kernel, while it is profiled."
        )
        print(f"  {name}: the device waits {idle:.1f} % of the time", flush=True)
