"""Checksum lists of a data set: `SHA256SUMS`, `MD5SUMS` and similar files, as sha256sum and md5sum write them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from medzoo.data.files.csv_rows import read_text
from medzoo.errors import DataContractError
from medzoo.progress import hash_file

NAMES = ("SHA256SUMS.txt", "SHA256SUMS", "sha256sums.txt", "sha256sum.txt", "MD5SUMS", "MD5SUMS.txt", "md5sums.txt")
_LINE = re.compile(r"^\\?([0-9a-fA-F]{32}|[0-9a-fA-F]{64})(?:  | \*|\s+)(.+)$")
_KINDS = {32: "md5", 64: "sha256"}


def find_sums(root: Path) -> Path | None:
    """The checksum list in the data's folder, or None."""
    return next((root / name for name in NAMES if (root / name).is_file()), None)


def read_sums(path: Path) -> dict[str, str]:
    """File → checksum, with forward slashes and without a leading `./`.

    Raises:
        DataContractError: if a line does not have the format of sha256sum or md5sum.
    """
    found = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise DataContractError(
                f"{path}, line {number}: expected a checksum and a file name, as sha256sum writes them.",
                code="checksum-line-malformed",
            )
        found[match[2].replace("\\", "/").removeprefix("./")] = match[1].lower()
    return found


def changed_files(
    root: Path, sums: dict[str, str], files: Iterable[str], progress: Callable[[int], Any] | None = None
) -> list[str]:
    """The files whose checksum differs from the list. Files that are missing, or not in the list, are skipped.

    Args:
        root: folder that the names are relative to.
        sums: file → md5 or sha256.
        files: to check.
        progress: called with 1 after each file.
    """

    def changed(name: str) -> bool:
        try:
            return hash_file(root / name, _KINDS[len(sums[name])]) != sums[name]
        except FileNotFoundError:
            return False  # missing files are reported elsewhere
        except OSError:
            return True
        finally:
            if progress is not None:
                progress(1)

    known = [name for name in files if name in sums]
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        return [name for name, differs in zip(known, pool.map(changed, known), strict=True) if differs]
