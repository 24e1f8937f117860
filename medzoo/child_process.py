"""Child processes for foreign files: no secrets in their environment, and bounds on memory and computing time.

The readers run nothing that a file holds; the process guards against faults of the libraries below them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")  # no tokens
WITHOUT_PROC = 64 * 1024**3  # bytes: more than any build of the libraries needs, where the system does not say


def run_module(
    module: str,
    arguments: Sequence[str] = (),
    *,
    text: str = "",
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a module of this package in a process of its own, and wait for its end.

    Args:
        module: its dotted name, as for `python -m`.
        arguments: of its command line.
        text: what it reads from standard input.
        variables: of its environment, besides PATH, the language and the places of libraries.
        folder: where it works; by default here.
    """
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment | dict(variables or {}),
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a process wrote to standard error: of a Python error, its class and message."""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else ""


def limit(
    *, memory: int, seconds: int, grace: int = 0, file_bytes: int | None = None, files: int | None = None
) -> None:
    """Bound this process; call it after everything is imported. Systems without such limits (Windows) stay without.

    Args:
        memory: bytes above what the process holds now.
        seconds: of computing; then a signal ends the process.
        grace: seconds more until a signal that cannot be caught.
        file_bytes: length of a file that it writes.
        files: that it may hold open.
    """
    with suppress(ImportError):
        import resource

        bounds = {"AS": address_space() + memory, "CPU": seconds, "FSIZE": file_bytes, "NOFILE": files, "CORE": 0}
        for name, value in bounds.items():
            if value is not None:
                with suppress(ValueError, OSError):  # a system that does not know this limit, or has a lower one
                    hard = value + grace if name == "CPU" else value
                    resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, hard))


def address_space() -> int:
    """Bytes of address space that this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return WITHOUT_PROC
