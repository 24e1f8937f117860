"""One hash for the files of a data set, each file read once and remembered until it changes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from medzoo import paths
from medzoo.store import sha256_file, sha256_of, verified_sha256, write_json

_FEW = 64  # up to here each file has its own receipt; a folder of images has one for all


def fingerprint(root: Path, names: Iterable[str], images: Iterable[str] | None = None) -> str:
    """The sha256 over sorted (relative path, sha256 of the bytes).

    Args:
        root: the data's folder; where it lies does not matter.
        names: paths below it.
        images: of a large set, the paths that go in with their size instead of their hash: hundreds of gigabytes are not read
            to open a task. One that was replaced by another of the same size is not seen: `medzoo cache prune NAME` then
            removes the rows that were decoded from it.
    """
    ordered = sorted(set(names))
    if len(ordered) <= _FEW:
        hashes = [[name, verified_sha256(root / name)] for name in ordered]
    else:
        hashes = [[name, digest] for name, digest in _hash_many(root, ordered)]
    return sha256_of(hashes if images is None else [hashes, _sizes(root, sorted(set(images)))])


def _sizes(root: Path, names: list[str]) -> list[tuple[str, int]]:
    """Names of the files that are there with their sizes; plain strings, since a CT set has two million of them."""
    base = os.fspath(root)
    found = []
    for name in names:
        try:
            status = os.stat(f"{base}/{name}")  # noqa: PTH116
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            found.append((name, status.st_size))
    return found


def _hash_many(root: Path, names: list[str]) -> list[tuple[str, str]]:
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]
    note = paths.home() / "receipts" / f"folder-{place}.json"
    known: dict[str, list] = {}
    with suppress(OSError, ValueError, AttributeError):
        known = dict(json.loads(note.read_text())["files"].items())
    fresh: dict[str, list] = {}
    for name in names:
        status = (root / name).stat()
        state = [status.st_size, status.st_mtime_ns, status.st_ino]
        old = known.get(name)
        same = isinstance(old, list) and old[:3] == state and len(old) == 4
        fresh[name] = old if same and old is not None else [*state, sha256_file(root / name)]
    both = {**known, **fresh}  # another task may read other files of the same folder
    if both != known:
        with suppress(OSError):  # a read-only home hashes again next time
            write_json(note, {"root": str(root.resolve()), "files": both})
    return [(name, str(fresh[name][3])) for name in names]
