"""The child process that reads foreign files: no network, no processes, no writing elsewhere, bounded memory and time.

The readers run no code from a file; the child process also protects against bugs in the libraries that they use.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from medzoo.errors import ConversionError
from medzoo.zoo.convert.limits import SECONDS
from medzoo.zoo.convert.messages import ANSWER, Answer, Request
from medzoo.zoo.convert.readers.detect import is_safetensors
from medzoo.zoo.convert.worker import answer

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


def read_in_sandbox(request: Request) -> Answer:
    """The answer to a request, from a child process.

    Safetensors files are read in this process: they hold only numbers and a header, which is checked.

    Args:
        request: the file, the formats, and an empty folder of medzoo's.

    Raises:
        ConversionError: if the process broke a limit or died.
    """
    # the child process has another working directory
    folder = Path(request.folder).absolute()
    request = replace(request, file=str(Path(request.file).absolute()), folder=str(folder))
    if is_safetensors(Path(request.file)):
        return answer(request)
    request_file = folder / "request.json"
    request_file.write_text(json.dumps(asdict(request)), encoding="utf-8")
    # the child gets few variables, and only its folder as home
    variables = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    variables |= {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "HOME": str(folder), "TMPDIR": str(folder),
        "MEDZOO_HOME": str(folder), "HDF5_PLUGIN_PATH": "::", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "medzoo.zoo.convert.worker", str(request_file)],
        env=variables, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode == 0:
        fields = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
        return Answer(
            fields["format"], fields["error"], tuple(fields["looks_like"]), tuple(fields["names"]),
            tuple(fields["foreign"]), tuple(fields["left_out"]), fields["code"],
        )  # fmt: skip
    raise _failure(request.file, done)


def _failure(file: str, done: subprocess.CompletedProcess[str]) -> ConversionError:
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    start = f"Reading {file} was stopped:"
    end = "Nothing from it was used."
    if "MemoryError" in last or "memory" in last.lower():
        return ConversionError(f"{start} it needs far more memory than the file's size. {end}", code="reader-memory")
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        return ConversionError(f"{start} it takes more than {SECONDS} s. {end}", code="reader-timeout")
    if done.returncode < 0:
        return ConversionError(
            f"{start} signal {-done.returncode} ended the process that read it. {end}", code="reader-killed"
        )
    return ConversionError(f"{start} the process that read it failed ({last[:300]}). {end}", code="reader-failed")
