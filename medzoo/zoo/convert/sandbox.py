"""The child process that reads foreign files: no network, no processes, no writing elsewhere, bounded memory and time.

The readers run no code from a file; the child process also protects against bugs in the libraries that they use.
"""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from medzoo.child_process import last_line, run_module
from medzoo.errors import ConversionError
from medzoo.zoo.convert.limits import SECONDS
from medzoo.zoo.convert.messages import ANSWER, Answer, Request
from medzoo.zoo.convert.readers.detect import is_safetensors
from medzoo.zoo.convert.worker import answer


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
    variables = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "MEDZOO_HOME": str(folder),
        "HDF5_PLUGIN_PATH": "::",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = run_module("medzoo.zoo.convert.worker", [str(request_file)], variables=variables, folder=folder)
    if done.returncode == 0:
        fields: dict[str, Any] = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        return Answer(**fields)
    raise _failure(request.file, done)


def _failure(file: str, done: subprocess.CompletedProcess[str]) -> ConversionError:
    last = last_line(done)
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
