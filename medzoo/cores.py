"""How many CPU cores this process may use, how many of them are free, and the number of threads that fits.

Two threads on one free core are slower than one: each waits for the other at every operation. So the number of threads depends on
the CPU affinity, the cgroup quota, Slurm's allocation, the processes of the launch, and the load of other programs.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SAMPLE_SECONDS = 0.25  # length of a load measurement: the kernel counts in hundredths of a second
STALE_SECONDS = 30.0  # an older sample no longer shows the current load
ROUNDING = 0.4  # a core that other programs use less than this counts as free


@dataclass(frozen=True)
class Threads:
    """A number of threads, and the reason for it.

    Args:
        count: threads of one process.
        why: a short reason, such as "2 cores, 1.0 of them in use by others".
    """

    count: int
    why: str


def allowed_cpus() -> set[int]:
    """The CPUs that this process may run on, as Slurm, taskset or a container set them."""
    affinity = getattr(os, "sched_getaffinity", None)  # not available on macOS
    return set(affinity(0)) if affinity else set(range(os.cpu_count() or 1))


def usable_cores() -> int:
    """Cores that this process may use: the minimum of CPU affinity, cgroup quota and SLURM_CPUS_PER_TASK."""
    limits = [len(allowed_cpus())]
    if (quota := cpu_quota()) is not None:
        limits.append(math.ceil(quota))
    if (slurm := _positive(os.environ.get("SLURM_CPUS_PER_TASK"))) is not None:
        limits.append(slurm)
    return max(1, min(limits))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The CPU time limit of this process's cgroups (version 1 or 2), in cores; None without a limit.

    Args:
        root: of the file system.
    """
    # the process's group for each controller; the empty name is version 2
    groups: dict[str, str] = {}
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            groups |= dict.fromkeys(controllers.split(","), path)
    quotas = [_quota_v2(folder) for folder in _group_folders(root / "sys/fs/cgroup", groups.get("", "/"))]
    for mount in ("cpu", "cpu,cpuacct"):
        folders = _group_folders(root / "sys/fs/cgroup" / mount, groups.get("cpu", "/"))
        quotas += [_quota_v1(folder) for folder in folders]
    return min((quota for quota in quotas if quota is not None), default=None)


def _group_folders(mount: Path, group: str) -> list[Path]:
    """The folder of a group and its parents; in a container the mount itself is the group."""
    inner = mount / group.strip("/")
    return [inner, *(path for path in inner.parents if path == mount or mount in path.parents)]


def _quota_v2(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    return None


def _quota_v1(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    return None


def _positive(text: str | None) -> int | None:
    """A whole number above 0, or None; of a list ("4,2", one per level) the first."""
    with suppress(ValueError):
        number = int((text or "").split(",")[0])
        return number if number > 0 else None
    return None


def asked_threads() -> int | None:
    """The number of threads that the user set with OMP_NUM_THREADS, or None.

    `accelerate launch` and torchrun set it to 1 if the user did not; that value is ignored.
    """
    asked = _positive(os.environ.get("OMP_NUM_THREADS"))
    if asked != 1 or not _launched():
        return asked
    with suppress(OSError):  # the environment in which the launcher was started; only on Linux
        before = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
        return 1 if any(line.startswith(b"OMP_NUM_THREADS=") for line in before) else None
    return None


def _launched() -> bool:
    return "ACCELERATE_MIXED_PRECISION" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ


def local_processes() -> int:
    """The processes of the launch on this machine."""
    return _positive(os.environ.get("LOCAL_WORLD_SIZE")) or 1


@dataclass(frozen=True)
class _Sample:
    """Seconds that the allowed CPUs were busy, and the seconds used by this process and its children."""

    clock: float
    busy: float
    own: float


def _sample() -> _Sample | None:
    """None if the system does not report it."""
    try:
        import psutil  # installed with Accelerate

        rows = psutil.cpu_times(percpu=True)
    except Exception:
        return None
    chosen = [row for number, row in enumerate(rows) if number in allowed_cpus()] or rows
    # on Linux, user time already includes guest time
    idle = ("idle", "iowait", "guest", "guest_nice")
    busy = sum(sum(row) - sum(getattr(row, name, 0) for name in idle) for row in chosen)
    return _Sample(time.monotonic(), busy, sum(os.times()[:4]))


_first = _sample()


@cache
def busy_cores() -> float:
    """The load of other programs on the allowed CPUs, in cores; measured once, so that all runs of a process agree."""
    before = _first
    if before is None:
        return _load_average()
    waited = time.monotonic() - before.clock
    if waited > STALE_SECONDS:
        before, waited = _sample() or before, 0.0
    if waited < SAMPLE_SECONDS:
        time.sleep(SAMPLE_SECONDS - waited)
    after = _sample()
    if after is None:
        return _load_average()
    seconds = max(after.clock - before.clock, SAMPLE_SECONDS)
    return max(0.0, (after.busy - before.busy) - (after.own - before.own)) / seconds


def _load_average() -> float:
    """The load of the last minute without this process."""
    with suppress(OSError, AttributeError):
        return max(0.0, os.getloadavg()[0] - 1.0)
    return 0.0


def _physical(cores: int) -> int:
    """The physical cores among logical ones: two hardware threads of one core share its arithmetic units."""
    with suppress(Exception):
        import psutil

        physical, logical = psutil.cpu_count(logical=False), psutil.cpu_count()
        if physical and logical:
            return max(1, math.ceil(cores * physical / logical))
    return cores


def choose_threads() -> Threads:
    """The number of threads for the network's computation in this process.

    OMP_NUM_THREADS takes precedence. The processes of a launch share the cores equally. A single process uses only the cores that
    are free.

    >>> choose_threads().count >= 1
    True
    """
    if (asked := asked_threads()) is not None:
        return Threads(asked, "OMP_NUM_THREADS")
    cores, local = _physical(usable_cores()), local_processes()
    cores_text = f"{cores} {'core' if cores == 1 else 'cores'}"
    if local > 1:
        return Threads(max(1, cores // local), f"{cores_text} for {local} processes")
    if cores == 1:
        return Threads(1, cores_text)
    busy = busy_cores()
    free = math.floor(_physical(len(allowed_cpus())) - busy + ROUNDING)
    taken = f", {busy:.1f} of them in use by others" if busy >= ROUNDING else ""
    return Threads(max(1, min(cores, free)), cores_text + taken)
