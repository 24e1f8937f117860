"""Read untrusted Parquet files in a separate process first, which may crash or use too much memory without harm.

The reader does not run code from a file. This protects against bugs of pyarrow: some files crash it with a signal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from medzoo.bench.results.untrusted import open_parquet, read_predictions
from medzoo.child_process import last_line, limit, run_module
from medzoo.errors import ResultError

MEMORY = 4 * 1024**3  # bytes, in addition to the memory of the libraries
SECONDS = 120  # of CPU time, and 10 for each file


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
    done = run_module("medzoo.bench.sharing.parquet_sandbox", text=request)
    count = done.stdout.count("read\n")
    if done.returncode < 0:
        return count, f"Reading the file crashed the process with signal {-done.returncode}."
    return count, f"Reading the file failed: {(last_line(done) or 'no message')[:200]}."


def main() -> None:
    """Read the files that are listed on standard input, and print a line after each one."""
    import pyarrow as pa
    import pyarrow.parquet  # imported before the memory limit is set

    request = json.load(sys.stdin)
    limit(memory=request["memory"], seconds=SECONDS + 10 * len(request["files"]))
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
