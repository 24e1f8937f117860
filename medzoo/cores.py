"""How many CPU cores this process may use, how many of them others leave free, and the number of threads that follows.

Two threads on one free core are slower than one: each waits for the other at every operation. So the number of threads follows
from what is really there: CPU affinity, cgroup quota and Slurm's allocation, the processes of the launch, and the load by others.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SAMPLE_SECONDS = 0.25  # of watching the cores: the kernel counts in hundredths of a second
STALE_SECONDS = 30.0  # an older sample says what the load was, not what it is
ROUNDING = 0.4  # a core that others use for less than this counts as free


@dataclass(frozen=True)
class Threads:
    """A number of threads, and what it follows from.

    Args:
        count: threads of one process.
        why: a few words, such as "2 cores, 1.0 of them in use by others".
    """

    count: int
    why: str


def allowed_cpus() -> set[int]:
    """The CPUs that this process may run on: what Slurm, taskset or a container left it."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has no such call
    return set(affinity(0)) if affinity else set(range(os.cpu_count() or 1))


def usable_cores() -> int:
    """Cores that this process may use: CPU affinity, cgroup quota and SLURM_CPUS_PER_TASK, whichever is least."""
    limits = [len(allowed_cpus())]
    if (quota := cpu_quota()) is not None:
        limits.append(math.ceil(quota))
    if (slurm := _whole(os.environ.get("SLURM_CPUS_PER_TASK"))) is not None:
        limits.append(slurm)
    return max(1, min(limits))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the cgroups of this process grant (version 1 or 2); None without a limit.

    Args:
        root: of the file system.
    """
    groups: dict[str, str] = {}
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            groups |= dict.fromkeys(controllers.split(","), path)
    quotas = [_quota_v2(folder) for folder in _up(root / "sys/fs/cgroup", groups.get("", "/"))]
    for mount in ("cpu", "cpu,cpuacct"):
        quotas += [_quota_v1(folder) for folder in _up(root / "sys/fs/cgroup" / mount, groups.get("cpu", "/"))]
    return min((quota for quota in quotas if quota is not None), default=None)


def _up(mount: Path, group: str) -> list[Path]:
    """The folder of a group and those above it; in a container the mount itself is the group."""
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


def _whole(text: str | None) -> int | None:
    """A whole number above 0, or None; of a list ("4,2", one for each level) the first."""
    with suppress(ValueError):
        number = int((text or "").split(",")[0])
        return number if number > 0 else None
    return None


def asked_threads() -> int | None:
    """The number of threads that the user asked for with OMP_NUM_THREADS, or None.

    `accelerate launch` and torchrun set it to 1 themselves where the user did not; that is nobody's wish.
    """
    asked = _whole(os.environ.get("OMP_NUM_THREADS"))
    if asked != 1 or not _launched():
        return asked
    with suppress(OSError):  # what the launcher itself was started with; Linux shows it
        before = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
        return 1 if any(line.startswith(b"OMP_NUM_THREADS=") for line in before) else None
    return None


def _launched() -> bool:
    return "ACCELERATE_MIXED_PRECISION" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ


def local_processes() -> int:
    """The processes of the launch on this machine."""
    return _whole(os.environ.get("LOCAL_WORLD_SIZE")) or 1


@dataclass(frozen=True)
class _Sample:
    """Seconds that the allowed CPUs were busy, and how many of them were this process and its children."""

    clock: float
    busy: float
    own: float


def _sample() -> _Sample | None:
    """None where the system does not say."""
    try:
        import psutil  # comes with Accelerate

        rows = psutil.cpu_times(percpu=True)
    except Exception:
        return None
    chosen = [row for number, row in enumerate(rows) if number in allowed_cpus()] or rows
    # on Linux, the time of guests is part of the user's
    idle = ("idle", "iowait", "guest", "guest_nice")
    busy = sum(sum(row) - sum(getattr(row, name, 0) for name in idle) for row in chosen)
    return _Sample(time.monotonic(), busy, sum(os.times()[:4]))


_first = _sample()


@cache
def busy_cores() -> float:
    """Cores' worth of work that others do on the allowed CPUs; measured once a process, so that its runs are alike."""
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
    """The load of the last minute, this process left out."""
    with suppress(OSError, AttributeError):
        return max(0.0, os.getloadavg()[0] - 1.0)
    return 0.0


def _physical(cores: int) -> int:
    """Of logical cores, those that compute: two threads of one core share its arithmetic units."""
    with suppress(Exception):
        import psutil

        physical, logical = psutil.cpu_count(logical=False), psutil.cpu_count()
        if physical and logical:
            return max(1, math.ceil(cores * physical / logical))
    return cores


def choose_threads() -> Threads:
    """The number of threads for the network's computation in this process.

    What the user asked for (OMP_NUM_THREADS) comes first. The processes of a launch share the cores equally. A process on its
    own leaves the cores to others that others use.

    >>> choose_threads().count >= 1
    True
    """
    if (asked := asked_threads()) is not None:
        return Threads(asked, "OMP_NUM_THREADS")
    cores, local = _physical(usable_cores()), local_processes()
    said = f"{cores} {'core' if cores == 1 else 'cores'}"
    if local > 1:
        return Threads(max(1, cores // local), f"{said} for {local} processes")
    if cores == 1:
        return Threads(1, said)
    busy = busy_cores()
    free = math.floor(_physical(len(allowed_cpus())) - busy + ROUNDING)
    taken = f", {busy:.1f} of them in use by others" if busy >= ROUNDING else ""
    return Threads(max(1, min(cores, free)), said + taken)
