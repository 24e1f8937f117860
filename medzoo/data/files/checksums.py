"""Lists of checksums that come with data: `SHA256SUMS`, `MD5SUMS` and their like, as sha256sum and md5sum write them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from medzoo.data.files.csv_rows import read_text
from medzoo.errors import DataContractError

NAMES = ("SHA256SUMS.txt", "SHA256SUMS", "sha256sums.txt", "sha256sum.txt", "MD5SUMS", "MD5SUMS.txt", "md5sums.txt")
_LINE = re.compile(r"^\\?([0-9a-fA-F]{32}|[0-9a-fA-F]{64})(?:  | \*|\s+)(.+)$")
_KINDS = {32: "md5", 64: "sha256"}


def find_sums(root: Path) -> Path | None:
    """The list of checksums that lies beside the data, if one does."""
    return next((root / name for name in NAMES if (root / name).is_file()), None)


def read_sums(path: Path) -> dict[str, str]:
    """File → checksum, with forward slashes and without a leading `./`.

    Raises:
        DataContractError: if a line is none that sha256sum or md5sum would write.
    """
    found = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise DataContractError(f"{path}, line {number}: is no checksum and file name, as sha256sum writes them.")
        found[match[2].replace("\\", "/").removeprefix("./")] = match[1].lower()
    return found


def changed_files(
    root: Path, sums: dict[str, str], files: Iterable[str], progress: Callable[[int], Any] | None = None
) -> list[str]:
    """Those of the files that are not what the list says; files that it does not name, or that are not there, are left out.

    Args:
        root: what the names are relative to.
        sums: file → md5 or sha256.
        files: to look at.
        progress: told one by one.
    """

    def changed(name: str) -> bool:
        try:
            with (root / name).open("rb") as file:
                return hashlib.file_digest(file, _KINDS[len(sums[name])]).hexdigest() != sums[name]
        except FileNotFoundError:
            return False  # told already by whoever wanted to read it
        except OSError:
            return True
        finally:
            if progress is not None:
                progress(1)

    known = [name for name in files if name in sums]
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        return [name for name, other in zip(known, pool.map(changed, known), strict=True) if other]
