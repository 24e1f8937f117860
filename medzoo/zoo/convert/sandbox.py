"""The child process in which foreign files are read: no network, no processes, no writing elsewhere, bounded memory and time.

The readers run nothing that a file holds; this is the second wall, for faults of the libraries below them.
"""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

from medzoo.child_process import last_line, run_module
from medzoo.errors import ConversionError
from medzoo.zoo.convert.limits import SECONDS
from medzoo.zoo.convert.messages import ANSWER, Answer, Request
from medzoo.zoo.convert.readers.detect import is_safetensors
from medzoo.zoo.convert.worker import answer


def read_apart(request: Request) -> Answer:
    """The answer to a request, from a process of its own.

    Safetensors are read here: their format is numbers and a checked header, there is nothing to keep apart.

    Args:
        request: the file, the formats, and an empty folder of ours.

    Raises:
        ConversionError: if the process broke a limit or died.
    """
    # the other process works in another folder
    folder = Path(request.folder).absolute()
    request = replace(request, file=str(Path(request.file).absolute()), folder=str(folder))
    if is_safetensors(Path(request.file)):
        return answer(request)
    asked = folder / "request.json"
    asked.write_text(json.dumps(asdict(request)), encoding="utf-8")
    variables = {
        "HOME": str(folder), "TMPDIR": str(folder), "MEDZOO_HOME": str(folder), "HDF5_PLUGIN_PATH": "::",
        "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    done = run_module("medzoo.zoo.convert.worker", [str(asked)], variables=variables, folder=folder)
    if done.returncode == 0:
        said = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
        rows = (tuple(said[key]) for key in ("looks_like", "names", "foreign", "left_out"))
        return Answer(said["format"], said["error"], *rows)
    raise ConversionError(f"{request.file} was given up: {_why(done)} Nothing of it was used.")


def _why(done: subprocess.CompletedProcess[str]) -> str:
    last = last_line(done)
    if "MemoryError" in last or "memory" in last.lower():
        return "reading it takes far more memory than it has bytes."
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        return f"reading it takes more than {SECONDS} s."
    if done.returncode < 0:
        return f"the process that read it died of signal {-done.returncode}."
    return f"the process that read it failed ({last[:300]})."
