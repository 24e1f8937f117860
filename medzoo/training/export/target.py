"""The place of an exported file: checked first, and filled only with a file that passed its check."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medzoo import store
from medzoo.errors import DiskFullError, UsageError, is_disk_full
from medzoo.training.export.options import SUFFIXES


def check_target(out: object, format: str) -> Path:
    """The path of the file to write, or a refusal before any work is done.

    Args:
        out: as it was given.
        format: of the file.

    Raises:
        UsageError: if it is not a path, has another suffix, or its folder does not exist.

    >>> check_target("net.onnx", "onnx").name
    'net.onnx'
    """
    if not isinstance(out, str | os.PathLike) or not os.fsdecode(out).strip() or "\0" in os.fsdecode(out):
        raise UsageError(f"out is {out!r:.200}. Give the path of the file to write.", code="output-not-a-file")
    path, suffix = Path(os.fsdecode(out)).expanduser(), SUFFIXES[format]
    try:
        str(path).encode()
        is_folder, has_folder = path.is_dir(), path.parent.is_dir()
    except (OSError, ValueError) as error:
        raise UsageError(f"out is {str(path)[-200:]!r}: {error}", code="output-not-a-file") from error
    if is_folder:
        raise UsageError(
            f"out is the folder {path}. Give the path of a file: {path / f'network{suffix}'}", code="output-not-a-file"
        )
    if path.suffix.lower() != suffix:
        hint = next(
            (
                f" For {path.suffix}, give --format {key}."
                for key, one in SUFFIXES.items()
                if one == path.suffix.lower()
            ),
            "",
        )
        raise UsageError(
            f"out is {str(path)[-200:]!r}. A file of the format {format} ends in {suffix}.{hint}",
            code="export-suffix-wrong",
        )
    if not has_folder:
        raise UsageError(
            f"The folder {str(path.parent)[-200:]} does not exist. Create it first.", code="output-folder-missing"
        )
    return path


@contextmanager
def checked_files(out: Path) -> Iterator[Path]:
    """Yield the path of the same name in a temporary folder; if the block ends without an error, its files move to `out`.

    Weights above 2 GB are a second file with the name of the first, so the names must be final when the files are written.

    Args:
        out: the file to write; an older one is replaced.

    Raises:
        UsageError: if the folder of `out` is not writable.
        DiskFullError: if the disk has no room; nothing is changed then.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=store.TEMPORARY, dir=out.parent))
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(out, 0) from error
        raise UsageError(
            f"The folder {out.parent} is not writable ({error.strerror}). Choose another one.",
            code="output-folder-not-writable",
        ) from error
    try:
        yield folder / out.name
        files = sorted(
            folder.iterdir(), key=lambda path: path.name == out.name
        )  # the file that names the others is last
        for path in files:
            store.fsync_file(path)
        for path in files:
            os.replace(path, out.parent / path.name)
        store.fsync_folder(out.parent)
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise DiskFullError(out, shutil.disk_usage(out.parent).free) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
