"""Every image of a split decoded once: one safetensors file of uint8 or uint16 rows, opened as a memory map.

Images are resized to a square with an antialiased triangle filter; the aspect is not kept (the file's metadata say so).
One channel stays one channel; a split that mixes grey and colour becomes colour. 8-bit images stay 8 bit; wider
ones become 16 bit, linear over the range of their pixels. Pixels are read back 24 times faster than JPEGs decode.

The name of a file holds the hash of all that decides its content, so a changed data set, split or size is another file.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medzoo import paths
from medzoo.data.policy import draw_soft
from medzoo.errors import DataContractError, ImageError, UsageError
from medzoo.store import atomic_path, sha256_of

if TYPE_CHECKING:
    from medzoo.data.pixels import Pixels
    from medzoo.data.policy import Policy
    from medzoo.data.task import Task

DECODER_VERSION = "1"  # changes when the same file would give other rows
RESIZE = "square, antialiased bilinear, aspect not kept"
_DTYPES: dict[str, np.dtype] = {"U8": np.dtype("uint8"), "U16": np.dtype("<u2")}
_HEADER_LIMIT = 1 << 16


@dataclass(frozen=True)
class Decoded:
    """The decoded rows of a split.

    Args:
        images: (N, H, W) or (N, H, W, 3), uint8 or uint16, a read-only memory map.
        labels: as `Task.labels`.
        ids: of the rows.
        groups: patient (or group) of the rows.
        scale: 255 or 65535; images / scale is in [0, 1] of the pixels' range.
        sha256: content key.
        uncertain: (N, C), which labels `policy` draws in training; None unless it is "soft".
        policy: of uncertain labels, where the task has some.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: list[str]
    groups: list[str]
    scale: float
    sha256: str
    uncertain: np.ndarray | None = None
    policy: Policy | None = None

    def labels_of(self, chosen: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """The training labels of some rows in an epoch: soft ones are drawn by (seed, epoch, row).

        Args:
            chosen: (N,) rows.
            seed: of the run.
            epoch: pass over the data.
        """
        labels = np.asarray(self.labels[chosen])
        if self.policy is None or self.uncertain is None:
            return labels
        return draw_soft(labels, self.uncertain[chosen], self.policy, seed=seed, epoch=epoch, indices=chosen)


def decoded(
    task: Task, split: str, *, size: int, cache_dir: Path | None = None, progress: bool | None = None
) -> Decoded:
    """The rows of a split, decoded now or found in the cache.

    Args:
        task: whose images are read.
        split: "train", "validation" or "test".
        size: side of the rows, pixels.
        cache_dir: folder of the cache; by default `decoded` in medzoo's home.
        progress: show a bar; by default on a terminal.

    Raises:
        ImageError: if an image cannot be read; nothing is left behind.

    >>> from medzoo.data.task import load_task
    >>> decoded(load_task("phantom_oct,n=8,n_validation=4,n_test=4"), "test", size=32).images.shape
    (4, 32, 32)
    """
    if size < 1:
        raise UsageError(f"The size is {size}; it should be at least 1 pixel.")
    ids = [str(key) for key in task.column(split, "id")]
    key = content_key(task, split, size)
    folder = cache_dir if cache_dir is not None else paths.home() / "decoded"
    stem = re.sub(r"[^A-Za-z0-9_.=-]+", "_", task.name)[-60:]
    path = folder / f"{stem}-{split}-{size}-{key[:16]}.safetensors"
    images = _open(path, key, len(ids), size)
    if images is None:
        bar = sys.stderr.isatty() if progress is None else progress
        try:
            with atomic_path(path) as temporary:
                _build(task, split, size, key, temporary, bar)
        except OSError as error:
            raise DataContractError(
                f"{path} cannot be written ({error.strerror or error}). Free some space, or choose another place with "
                "MEDZOO_HOME."
            ) from error
        images = _open(path, key, len(ids), size)
        if images is None:
            raise ImageError(f"{path} was damaged right after it was written: is the disk full or failing?")
    labels = task.labels(split) if task.kind != "segmentation" else np.zeros(len(ids), np.int64)
    scale = float(np.iinfo(images.dtype).max)
    groups = [str(group) for group in task.groups(split)]
    return Decoded(images, labels, ids, groups, scale, key, task.uncertain(split), task.policy)


def content_key(task: Task, split: str, size: int) -> str:
    """The sha256 of all that decides the decoded rows."""
    return sha256_of(
        {
            "fingerprint": task.fingerprint, "split_hash": task.split_hash, "images": task.column(split, "image"),
            "size": size, "window": task.info.window, "channels": task.info.channels, "decoder": DECODER_VERSION,
        }
    )  # fmt: skip


def to_row(pixels: Pixels, size: int) -> np.ndarray:
    """One image as a stored row.

    Returns:
        (size, size) or (size, size, 3), uint8 for 8-bit images of the full range, else uint16 over the range.
    """
    from PIL import Image

    array = pixels.array
    if array.ndim == 3 and array.shape[2] != 3:
        raise ImageError(f"A volume of shape {array.shape} is no image; choose a slice.")
    low, high = pixels.range
    if array.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        if array.shape[:2] == (size, size):
            return array
        return np.asarray(Image.fromarray(array).resize((size, size), Image.Resampling.BILINEAR))
    unit = np.clip((array.astype(np.float32) - low) / np.float32(high - low), 0, 1)
    planes = [unit] if unit.ndim == 2 else [unit[..., channel] for channel in range(3)]
    if array.shape[:2] != (size, size):
        planes = [
            np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), Image.Resampling.BILINEAR))
            for plane in planes
        ]
    rows = [(np.clip(plane, 0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16) for plane in planes]
    return rows[0] if unit.ndim == 2 else np.stack(rows, axis=-1)


class _Rows:
    """A file of rows that grows wider when a later image needs colour or 16 bits."""

    def __init__(self, path: Path, count: int, size: int, key: str, first: np.ndarray) -> None:
        self.path, self.count, self.size, self.key = path, count, size, key
        self.colour, self.dtype = first.ndim == 3, first.dtype
        self.offset = self._start(path)

    def _shape(self) -> list[int]:
        return [self.count, self.size, self.size, *([3] if self.colour else [])]

    def _start(self, path: Path) -> int:
        """Write the header and reserve the rows; returns where they begin."""
        dtype = "U8" if self.dtype == np.uint8 else "U16"
        length = int(np.prod(self._shape())) * self.dtype.itemsize
        header = {
            "__metadata__": {
                "schema": "medzoo.decoded/1", "key": self.key, "resize": RESIZE, "decoder": DECODER_VERSION,
            },
            "images": {"dtype": dtype, "shape": self._shape(), "data_offsets": [0, length]},
        }  # fmt: skip
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 64 + 56)  # rows begin at a multiple of 64
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + length)
        return 8 + len(text)

    def put(self, at: int, rows: list[np.ndarray]) -> None:
        """Store consecutive rows."""
        colour = self.colour or any(row.ndim == 3 for row in rows)
        wide = self.dtype == np.uint16 or any(row.dtype == np.uint16 for row in rows)
        if (colour, wide) != (self.colour, self.dtype == np.uint16):
            self._widen(at, colour, np.dtype("uint16") if wide else np.dtype("uint8"))
        self._write(at, rows)

    def _write(self, at: int, rows: Iterable[np.ndarray]) -> None:
        """Plain writes, since a full disk is an error here and a crash under a writable memory map."""
        width = int(np.prod(self._shape()[1:])) * self.dtype.itemsize
        with self.path.open("r+b") as file:
            file.seek(self.offset + at * width)
            for row in rows:
                file.write(np.ascontiguousarray(_wider(row, self.colour, self.dtype)).tobytes())

    def _widen(self, done: int, colour: bool, dtype: np.dtype) -> None:
        old_path = self.path.with_name(self.path.name + "-narrow")
        old, old_shape, old_dtype, offset = self.path, tuple(self._shape()), self.dtype, self.offset
        os.replace(old, old_path)
        try:
            self.colour, self.dtype = colour, dtype
            self.offset = self._start(self.path)
            narrow = np.memmap(old_path, old_dtype, "r", offset, old_shape)
            self._write(0, (narrow[row] for row in range(done)))
        finally:
            old_path.unlink(missing_ok=True)


def _wider(row: np.ndarray, colour: bool, dtype: np.dtype) -> np.ndarray:
    if row.dtype == np.uint8 and dtype == np.uint16:
        row = row.astype(np.uint16) * np.uint16(257)  # 255 * 257 = 65535
    return np.repeat(row[..., None], 3, axis=2) if colour and row.ndim == 2 else row


def _build(task: Task, split: str, size: int, key: str, path: Path, bar: bool) -> None:
    from tqdm import tqdm

    count = task.tables[split].num_rows
    rows: _Rows | None = None
    with tqdm(total=count, desc=f"decode {task.name} {split}", unit="img", disable=not bar) as shown:
        at = 0
        for block in _decoded_blocks(task, split, size, count):
            if rows is None:
                rows = _Rows(path, count, size, key, block[0])
            rows.put(at, block)
            at += len(block)
            shown.update(len(block))


def _decoded_blocks(task: Task, split: str, size: int, count: int, block: int = 64) -> Iterator[list[np.ndarray]]:
    """Blocks of rows in order, decoded by a few threads (decoders release Python's lock)."""

    def one(row: int) -> np.ndarray:
        return to_row(task.read(split, row)[0], size)

    numbers = iter(range(count))
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        try:
            while chunk := list(islice(numbers, block)):
                yield list(pool.map(one, chunk))
        finally:
            pool.shutdown(cancel_futures=True)


def _open(path: Path, key: str, count: int, size: int) -> np.ndarray | None:
    """The rows as a read-only map, or None where the file is absent, damaged or of other content."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= _HEADER_LIMIT:
                return None
            header = json.loads(file.read(length))
        entry = header["images"]
        dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
        whole = int(np.prod(shape)) * dtype.itemsize == entry["data_offsets"][1] == path.stat().st_size - 8 - length
        if (
            not whole
            or header["__metadata__"]["key"] != key
            or shape[:3] != (count, size, size)
            or shape[3:] not in ((), (3,))
        ):
            return None
        return np.memmap(path, dtype, "r", 8 + length, shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
