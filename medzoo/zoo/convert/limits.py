"""The limits of the process that reads a foreign file: it may compute and write to one folder, with bounded memory and time."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from medzoo.child_process import limit
from medzoo.zoo.convert.readers.detect import files_of

MEMORY = 6 * 1024**3  # bytes, in addition to what the libraries need and 4 times the file
SECONDS = 900  # of CPU time; the largest files take some tens of seconds
FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.spawn",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.chmod",
    "os.chown",
    "shutil.",
    "ctypes.dlopen",
    "pty.",
    "webbrowser.",
    "ftplib.",
    "smtplib.",
    "urllib.",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def confine(file: Path, folder: Path) -> None:
    """Restrict this process: after this call it can only read, compute, and write below `folder`.

    Args:
        file: the file to read; its size sets the memory limit.
        folder: the only folder to which the process may write.
    """
    _import_libraries()
    size = sum(part.stat().st_size for part in files_of(file))
    # the operating system limits memory, time and files; Windows only has the audit hook
    limit(memory=MEMORY + 4 * size, seconds=SECONDS, grace=60, file_bytes=4 * size + 1024**3, files=256)
    # an audit hook refuses network, processes, and writing elsewhere
    home = os.path.realpath(folder)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = bool(set(mode or "") & set("wax+")) or bool((flags or 0) & WRITING)
            if writes and not (isinstance(path, str | bytes | os.PathLike) and _inside(path, home)):
                raise PermissionError(f"the reader of a foreign file may not write {path!r}")
        elif event.startswith(FORBIDDEN) and not (
            event.startswith(("os.remove", "os.rmdir", "shutil.")) and _inside(arguments[0], home)
        ):
            raise PermissionError(f"the reader of a foreign file may not call {event}")

    sys.addaudithook(watch)


def _inside(path: Any, home: str) -> bool:  # noqa: ANN401
    return os.path.realpath(os.fsdecode(path)).startswith(home + os.sep)


def _import_libraries() -> None:
    """Load the libraries before loading is forbidden and memory is limited."""
    import numpy as np
    import safetensors.torch  # noqa: F401
    import torch
    import torch.serialization

    with suppress(ImportError):
        import h5py  # noqa: F401
    torch.from_numpy(np.zeros(1)).permute(0).contiguous()
