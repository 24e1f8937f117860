"""Compile networks in several processes before anything is measured: torch keeps the kernels on the disk.

A compilation takes most of a minute on one core, and the limit of the whole run is eight minutes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gpu_parts.data_path import cores
from gpu_parts.lab import Lab

AT_ONCE = 4  # processes; each needs the memory of a training step


def warm_up(lab: Lab, names: Sequence[str], seconds: float, script: Path) -> float:
    """Start one process for each way, some at a time; returns the seconds that this took.

    Processes that have not ended after the time are stopped: the measurement then compiles by itself.

    Args:
        lab: of the run.
        names: of the ways, as for `--warm`.
        seconds: for all.
        script: benchmarks/gpu.py.
    """
    began, waiting, failed = time.monotonic(), list(names), []
    at_once = max(1, min(AT_ONCE, cores() // 3))
    running: dict[str, subprocess.Popen[bytes]] = {}
    while waiting or running:
        while waiting and len(running) < at_once and time.monotonic() - began < 0.7 * seconds:
            name = waiting.pop(0)
            command = [sys.executable, str(script), "--warm", name, "--device", lab.device.type]
            command += [*(["--tiny"] if lab.tiny else []), "--batch", str(lab.batch)]
            running[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if time.monotonic() - began > seconds or not running:
            break
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                failed += [name] if process.returncode else []
        time.sleep(0.1)
    for process in running.values():  # only those that this function started
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if missed := [*running, *waiting, *failed]:
        print(f"  not compiled before the measurement: {', '.join(missed)}", flush=True)
    return time.monotonic() - began
