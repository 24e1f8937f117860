"""Read untrusted Parquet files in a separate process first, which may crash or use too much memory without harm.

The reader does not run code from a file. This protects against bugs of pyarrow: some files crash it with a signal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from medzoo.bench.sharing.untrusted import open_parquet, read_predictions
from medzoo.errors import ResultError

MEMORY = 4 * 1024**3  # bytes, in addition to the memory of the libraries
SECONDS = 120  # of CPU time, and 10 for each file
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")  # no tokens


def check_in_sandbox(paths: Sequence[Path], *, predictions: bool = True, memory: int = MEMORY) -> dict[Path, str]:
    """The files that crash the process that reads them, or need too much memory or time, with the reason.

    Args:
        paths: Parquet files. An invalid file is not reported here: it raises an error when it is read next.
        predictions: whether they should be predictions; else flat tables.
        memory: bytes that reading one file may use.

    >>> check_in_sandbox([])
    {}
    """
    unreadable: dict[Path, str] = {}
    remaining = list(paths)
    while remaining:
        count, why = _first_read(remaining, predictions, memory)
        if count < len(remaining):
            unreadable[remaining[count]] = why
        remaining = remaining[count + 1 :]
    return unreadable


def _first_read(paths: Sequence[Path], predictions: bool, memory: int) -> tuple[int, str]:
    """The number of files that a process could read, and the reason why it stopped."""
    request = json.dumps(
        {"files": [str(path.absolute()) for path in paths], "predictions": predictions, "memory": memory}
    )
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "medzoo.bench.sharing.parquet_sandbox"],
        input=request, env=environment, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    count = done.stdout.count("read\n")
    if done.returncode < 0:
        return count, f"Reading the file crashed the process with signal {-done.returncode}."
    message = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no message"
    return count, f"Reading the file failed: {message[:200]}."


def _confine(memory: int, files: int) -> None:
    with suppress(ImportError):  # absent on Windows
        import resource

        used = 64 * 1024**3  # not on Linux: more than the libraries can need
        with suppress(OSError, ValueError):
            used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limits = {"AS": used + memory, "CPU": SECONDS + 10 * files, "CORE": 0}
        for name, value in limits.items():
            with suppress(OSError, ValueError):  # the system does not have this limit, or has a lower one
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def main() -> None:
    """Read the files that are listed on standard input, and print a line after each one."""
    import pyarrow as pa
    import pyarrow.parquet  # imported before the memory limit is set

    request = json.load(sys.stdin)
    _confine(request["memory"], len(request["files"]))
    for file in request["files"]:
        try:
            if request["predictions"]:
                read_predictions(Path(file))
            else:
                open_parquet(Path(file), strings=("result",)).read()
        except (ResultError, pa.ArrowException, OSError) as error:
            if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
                sys.exit(f"it needs more than {request['memory'] >> 20:,} MiB of memory")
        print("read", flush=True)


if __name__ == "__main__":
    main()
