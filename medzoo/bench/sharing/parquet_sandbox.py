"""Parquet files of strangers, read first in a process of their own, which they may end or fill without harm.

The reader runs nothing that a file holds; this is for faults of the library below it, which some files end by a signal.
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

MEMORY = 4 * 1024**3  # bytes above what the libraries need
SECONDS = 120  # of computing, and 10 for each file
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")  # no tokens


def check_in_sandbox(paths: Sequence[Path], *, predictions: bool = True, memory: int = MEMORY) -> dict[Path, str]:
    """Which files end the process that reads them, or take too much of it, with the reason.

    Args:
        paths: Parquet files. One that is merely wrong is harmless: whoever reads it next is told why.
        predictions: whether they should be predictions; else flat tables.
        memory: bytes that reading one may take.

    >>> check_in_sandbox([])
    {}
    """
    found: dict[Path, str] = {}
    left = list(paths)
    while left:
        seen, why = _first_read(left, predictions, memory)
        if seen < len(left):
            found[left[seen]] = why
        left = left[seen + 1 :]
    return found


def _first_read(paths: Sequence[Path], predictions: bool, memory: int) -> tuple[int, str]:
    """How many files a process got through, and what ended it."""
    asked = json.dumps(
        {"files": [str(path.absolute()) for path in paths], "predictions": predictions, "memory": memory}
    )
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "medzoo.bench.sharing.parquet_sandbox"],
        input=asked, env=environment, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    seen = done.stdout.count("read\n")
    if done.returncode < 0:
        return seen, f"It ended the process that read it by signal {-done.returncode}."
    told = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no word"
    return seen, f"The process that read it gave up: {told[:200]}."


def _confine(memory: int, files: int) -> None:
    with suppress(ImportError):  # absent on Windows
        import resource

        used = 64 * 1024**3  # no Linux: more than any build of the libraries needs
        with suppress(OSError, ValueError):
            used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limits = {"AS": used + memory, "CPU": SECONDS + 10 * files, "CORE": 0}
        for name, value in limits.items():
            with suppress(OSError, ValueError):  # a system that does not know this limit, or has a lower one
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def main() -> None:
    """Read the files that standard input names, and say after each that it is done."""
    import pyarrow as pa
    import pyarrow.parquet  # before memory is counted

    asked = json.load(sys.stdin)
    _confine(asked["memory"], len(asked["files"]))
    for file in asked["files"]:
        try:
            if asked["predictions"]:
                read_predictions(Path(file))
            else:
                open_parquet(Path(file), strings=("result",)).read()
        except (ResultError, pa.ArrowException, OSError) as error:
            if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
                sys.exit(f"it takes more than {asked['memory'] >> 20:,} MiB of memory")
        print("read", flush=True)


if __name__ == "__main__":
    main()
