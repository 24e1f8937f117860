"""One hash for the files of a data set, each file read once and remembered until it changes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from medzoo import paths
from medzoo.data.files.scan_cache import look_up
from medzoo.data.problems import advise
from medzoo.errors import listed
from medzoo.store import sha256_file, sha256_of, verified_sha256, write_bytes

_FEW = 64  # up to here each file has its own receipt; a folder of images has one for all


def fingerprint(root: Path, names: Iterable[str], images: Iterable[str] | None = None) -> str:
    """The sha256 over sorted (relative path, sha256 of the bytes).

    Args:
        root: the data's folder; where it lies does not matter.
        names: paths below it.
        images: of a large set, the paths that go in with their size instead of their hash: hundreds of gigabytes are not read
            to open a task. Those that have another time of change than when this machine first saw them go in with their hash.
    """
    ordered = sorted(set(names))
    if len(ordered) <= _FEW:
        hashes = [[name, verified_sha256(root / name)] for name in ordered]
    else:
        found = look_up(root, ordered, "folder", lambda name: sha256_file(root / name))
        hashes = [[name, str(digest)] for name, digest in zip(ordered, found, strict=True)]
    if images is None:
        return sha256_of(hashes)
    there, sizes, times = _states(root, sorted(set(images)))
    content: list[Any] = [hashes, list(zip(there, sizes.tolist(), strict=True))]
    changed = _changed(root, there, sizes, times)
    if changed:
        content.append([[name, sha256] for name, sha256 in zip(changed, _hashes(root, changed), strict=True)])
    return sha256_of(content)


def _states(root: Path, names: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The files that are there, their sizes and times; plain strings, since a CT set has two million of them."""
    base = os.fspath(root)
    there, sizes, times = [], [], []
    for name in names:
        try:
            status = os.stat(f"{base}/{name}")  # noqa: PTH116
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            there.append(name)
            sizes.append(status.st_size)
            times.append(status.st_mtime_ns)
    return there, np.array(sizes, np.int64), np.array(times, np.int64)


def _changed(root: Path, names: Sequence[str], sizes: np.ndarray, times: np.ndarray) -> list[str]:
    """Files of the size that they had, and of another time of change than when this machine first saw this list of files."""
    key = hashlib.sha256("\0".join([str(root.resolve()), *names]).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    note = paths.home() / "receipts" / f"times-{key}.bin"
    state = np.stack([sizes, times])
    first = state
    with suppress(OSError, ValueError):
        first = np.frombuffer(note.read_bytes(), "<i8").reshape(state.shape)
    resized = first[0] != sizes  # another size is another fingerprint already, from which later changes count
    kept = np.where(resized, state, first)
    if first is state or resized.any():
        with suppress(OSError):  # a read-only home takes them as they are
            write_bytes(note, kept.astype("<i8").tobytes())
    changed = [names[row] for row in np.flatnonzero(kept[1] != times).tolist()]
    if changed:
        advise(
            f"{root}: {len(changed)} files were written anew since medzoo first saw them ({listed(changed, 3)}). Their "
            "contents are "
            "hashed, and what is computed from now on counts as of other data. (A copy that keeps the files' times avoids this.)"
        )
    return changed


def _hashes(root: Path, names: Sequence[str]) -> list[str]:
    """The sha256 of each file, with a bar if it takes long."""
    from tqdm import tqdm

    with tqdm(total=len(names), desc="hash changed files", unit="file", disable=None, delay=2, leave=False) as bar:

        def hashed(name: str) -> str:
            bar.update()
            return sha256_file(root / name)

        return look_up(root, names, "changed", hashed)
