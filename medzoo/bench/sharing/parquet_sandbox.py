"""Parquet files of strangers, read first in a process of their own, which they may end or fill without harm.

The reader runs nothing that a file holds; this is for faults of the library below it, which some files end by a signal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from medzoo.bench.sharing.untrusted import open_parquet, read_predictions
from medzoo.child_process import last_line, limit, run_module
from medzoo.errors import ResultError

MEMORY = 4 * 1024**3  # bytes above what the libraries need
SECONDS = 120  # of computing, and 10 for each file


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
    done = run_module("medzoo.bench.sharing.parquet_sandbox", text=asked)
    seen = done.stdout.count("read\n")
    if done.returncode < 0:
        return seen, f"It ended the process that read it by signal {-done.returncode}."
    return seen, f"The process that read it failed: {(last_line(done) or 'no message')[:200]}."


def main() -> None:
    """Read the files that standard input names, and say after each that it is done."""
    import pyarrow as pa
    import pyarrow.parquet  # before memory is counted

    asked = json.load(sys.stdin)
    limit(memory=asked["memory"], seconds=SECONDS + 10 * len(asked["files"]))
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
