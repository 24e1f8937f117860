"""A part of the store of decoded images: a safetensors file of rows, written once and atomically.

Its name includes its sha256, so any process can check that it is complete. It contains `images` (n, H, W) or (n, H, W, 3),
for tasks with masks `masks` (n, H, W), and the rows' keys as JSON text (`keys`). Rows begin at byte 4096.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from medzoo.data.decode_cache.rows import DecodedRow
from medzoo.store import TEMPORARY, fsync_folder, remember_sha256, sha256_file, verified_sha256

SCHEMA = "medzoo.decoded/2"
PREFIX, SUFFIX = "part-", ".safetensors"
_START = 4096  # offset of the rows: one page, so that memory maps are aligned
_BUFFER = 1 << 20  # bytes per write: rows of small images have only a few kilobytes
_DTYPES: dict[str, np.dtype] = {"U8": np.dtype("uint8"), "U16": np.dtype("<u2")}


@dataclass(frozen=True)
class Part:
    """A part on the disk.

    Args:
        path: the file.
        shape: (n, H, W) or (n, H, W, 3).
        dtype: uint8 or uint16.
        offsets: for each tensor, the offset of its first byte and the one after its last.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offsets: dict[str, tuple[int, int]]

    def row_keys(self) -> list[str]:
        """The keys of the rows, in order."""
        first, last = self.offsets["keys"]
        with self.path.open("rb") as file:
            file.seek(first)
            return list(json.loads(file.read(last - first)))

    def images(self) -> np.memmap:
        """The rows, mapped and read-only."""
        return np.memmap(self.path, self.dtype, "r", self.offsets["images"][0], self.shape)

    def masks(self) -> np.memmap:
        """(n, H, W) uint8, mapped and read-only."""
        return np.memmap(self.path, np.uint8, "r", self.offsets["masks"][0], self.shape[:3])

    def is_whole(self) -> bool:
        """Whether the file has the sha256 in its name; it is hashed once, and again when the file changes."""
        return verified_sha256(self.path) == self.path.name[len(PREFIX) : -len(SUFFIX)]


def open_part(path: Path, key: str, size: int, masks: bool) -> Part | None:
    """Open a part by its header; None if the file is not a part, is cut off, or belongs to another store.

    Args:
        path: the file.
        key: of the store.
        size: side of the rows, pixels.
        masks: whether rows have masks.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length < _START:
                return None
            header = json.loads(file.read(length))
        base = 8 + length
        offsets = {
            name: (base + row["data_offsets"][0], base + row["data_offsets"][1])
            for name, row in header.items()
            if name != "__metadata__"
        }
        shape, dtype = tuple(header["images"]["shape"]), _DTYPES[header["images"]["dtype"]]
        sizes = {"images": int(np.prod(shape)) * dtype.itemsize}
        if masks:
            sizes["masks"] = shape[0] * size * size
        valid = (
            header["__metadata__"]["key"] == key
            and "keys" in offsets
            and max(last for _, last in offsets.values()) == path.stat().st_size
            and shape[1:] in ((size, size), (size, size, 3))
            and all(offsets[name][1] - offsets[name][0] == expected for name, expected in sizes.items())
        )
        return Part(path, shape, dtype, offsets) if valid else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


class PartWriter:
    """Writes rows of one kind (grey or colour, 8 or 16 bit) to a temporary file; `close` makes it a part.

    It uses normal writes: a full disk then raises an error, while a writable memory map would crash.

    Args:
        folder: of the store.
        facts: text for the header; its `key` is the key of the store.
        first: a row of the kind.
    """

    def __init__(self, folder: Path, facts: dict[str, str], first: DecodedRow) -> None:
        self.folder, self.facts = folder, facts
        self.shape, self.dtype, self.masked = first.image.shape, first.image.dtype, first.mask is not None
        self.keys: list[str] = []
        self.size = 0  # bytes so far
        self._path = folder / f"{TEMPORARY}{uuid.uuid4().hex[:12]}-part"
        self._file = self._path.open("wb", buffering=_BUFFER)
        self._file.seek(_START)
        self._masks: IO[bytes] | None = None
        if self.masked:
            self._masks = tempfile.TemporaryFile(buffering=_BUFFER, dir=folder)  # noqa: SIM115 - closed with the part

    def add(self, key: str, row: DecodedRow) -> None:
        """Append a row."""
        image = np.ascontiguousarray(row.image)
        self._file.write(image.data)
        self.size += image.nbytes
        if self._masks is not None and row.mask is not None:
            self._masks.write(np.ascontiguousarray(row.mask).data)
            self.size += row.mask.nbytes
        self.keys.append(key)

    def close(self) -> Path:
        """Write masks, keys and header, flush the file to the disk, and give it its final name."""
        try:
            if self._masks is not None:
                self._masks.seek(0)
                shutil.copyfileobj(self._masks, self._file, 1 << 20)
            names = json.dumps(self.keys, ensure_ascii=False).encode()
            self._file.write(names)
            self._file.seek(0)
            self._file.write(self._header(len(names)))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            digest = sha256_file(self._path)
            path = self.folder / f"{PREFIX}{digest}{SUFFIX}"
            os.replace(self._path, path)
            fsync_folder(self.folder)
        finally:
            self.abandon()
        remember_sha256(path, digest)
        return path

    def abandon(self) -> None:
        """Remove the temporary file."""
        for file in (self._masks, self._file):
            with suppress(OSError):  # the disk may be full for buffered bytes
                if file is not None:
                    file.close()
        with suppress(FileNotFoundError):
            self._path.unlink()

    def _header(self, names: int) -> bytes:
        count, side = len(self.keys), self.shape[:2]
        tensors: list[tuple[str, str, list[int], int]] = [
            ("images", "U8" if self.dtype == np.uint8 else "U16", [count, *self.shape], self.dtype.itemsize),
            ("keys", "U8", [names], 1),
        ]
        if self.masked:
            tensors.insert(1, ("masks", "U8", [count, *side], 1))
        header: dict[str, Any] = {"__metadata__": {"schema": SCHEMA, **self.facts}}
        at = 0
        for name, dtype, shape, width in tensors:
            after = at + int(np.prod(shape)) * width
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, after]}
            at = after
        text = json.dumps(header).encode()
        return (_START - 8).to_bytes(8, "little") + text.ljust(_START - 8)
