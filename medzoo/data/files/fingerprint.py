"""One hash for the files of a data set. The hash of each file is stored until the file changes, also if the rest is interrupted."""

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

_FEW = 64  # up to this number each file has a separate receipt; above it, one receipt covers the folder


def fingerprint(root: Path, names: Iterable[str], images: Iterable[str] | None = None) -> str:
    """The sha256 over sorted (relative path, sha256 of the bytes).

    Args:
        root: the data's folder; its location does not change the hash.
        names: paths below it.
        images: paths in a large data set that enter with their size instead of their hash, so that opening a task does not
            read hundreds of gigabytes. Files whose mtime changed since this machine first saw them also enter with their hash.
    """
    ordered = sorted(set(names))
    if len(ordered) <= _FEW:
        hashes = [[name, verified_sha256(root / name)] for name in ordered]
    else:
        found = look_up(root, ordered, "folder", lambda name: sha256_file(root / name), "hash files")
        hashes = [[name, str(digest)] for name, digest in zip(ordered, found, strict=True)]
    if images is None:
        return sha256_of(hashes)
    present, sizes, times = _states(root, sorted(set(images)))
    content: list[Any] = [hashes, list(zip(present, sizes.tolist(), strict=True))]
    changed = _changed(root, present, sizes, times)
    if changed:
        content.append([[name, sha256] for name, sha256 in zip(changed, _hashes(root, changed), strict=True)])
    return sha256_of(content)


def _states(root: Path, names: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The existing files, their sizes and mtimes. Uses strings instead of Path: a CT data set has two million files."""
    base = os.fspath(root)
    present, sizes, times = [], [], []
    for name in names:
        try:
            status = os.stat(f"{base}/{name}")  # noqa: PTH116
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            present.append(name)
            sizes.append(status.st_size)
            times.append(status.st_mtime_ns)
    return present, np.array(sizes, np.int64), np.array(times, np.int64)


def _changed(root: Path, names: Sequence[str], sizes: np.ndarray, times: np.ndarray) -> list[str]:
    """Files with the same size, but another mtime than when this machine first saw this list of files."""
    key = hashlib.sha256("\0".join([str(root.resolve()), *names]).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    note = paths.home() / "receipts" / f"times-{key}.bin"
    state = np.stack([sizes, times])
    first = state
    with suppress(OSError, ValueError):
        first = np.frombuffer(note.read_bytes(), "<i8").reshape(state.shape)
    resized = first[0] != sizes  # a new size changes the fingerprint already; it becomes the new reference state
    reference = np.where(resized, state, first)
    if first is state or resized.any():
        with suppress(OSError):  # with a read-only home, there is no stored state
            write_bytes(note, reference.astype("<i8").tobytes())
    changed = [names[row] for row in np.flatnonzero(reference[1] != times).tolist()]
    if changed:
        advise(
            f"{root}: {len(changed)} files have a new modification time since medzoo first saw them ({listed(changed, 3)}). "
            "Their contents are hashed, and results from now on count as results on different data. (Copies that preserve "
            "modification times avoid this.)"
        )
    return changed


def _hashes(root: Path, names: Sequence[str]) -> list[str]:
    """The sha256 of each file."""
    return look_up(root, names, "changed", lambda name: sha256_file(root / name), "hash changed files")
