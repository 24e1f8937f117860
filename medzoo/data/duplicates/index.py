"""The hashes of all images of a task: computed once, saved in a Parquet file without images, compared on any machine.

A saved index contains ids, splits and hashes, but no labels, patients, paths or small images. So it can be published even if the
data themselves must not be shared.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.duplicates.perceptual_hash import BITS, HASH_VERSION, INNER, ImageHash, hash_image
from medzoo.errors import DataContractError, MedzooError, MissingExtraError
from medzoo.store import atomic_path

if TYPE_CHECKING:
    from medzoo.data.task import Task

SCHEMA = "medzoo.hashes/1"
_BLOCK = 256


@dataclass
class HashIndex:
    """Hashes of N images; image k has the codes where `owner` is k.

    Args:
        name: of the task.
        fingerprint: of its data.
        ids: of the images.
        splits: of the images.
        files: (N,) sha256 of the encoded files, 32 bytes each; None where an image is not a separate file.
        pixels: (N,) sha256 of the decoded pixels, 32 bytes each.
        codes: (M, 32) uint8, perceptual hashes.
        owner: (M,) the image of each code, ascending.
        mirrored: (M, 32) uint8, of the mirrored images; None in an index that was read from a file.
        thumbs: (M, 32, 32) uint8, small images that confirm a match; None in an index that was read from a file.
        labels: of the images, as text; empty in an index that was read from a file.
        patients: of the images; empty in an index that was read from a file, and where they are unknown.
        unreadable: images that were skipped, with the reason.
    """

    name: str
    fingerprint: str
    ids: list[str]
    splits: list[str]
    files: list[bytes | None]
    pixels: list[bytes]
    codes: np.ndarray
    owner: np.ndarray
    mirrored: np.ndarray | None = None
    thumbs: np.ndarray | None = None
    labels: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def depth(self) -> np.ndarray:
        """The depth of each code's part in its image, int (M,): 0 whole or without padding, 1 and 2 inner parts."""
        place = np.arange(len(self.owner)) - np.searchsorted(self.owner, self.owner)
        return np.where(place <= len(INNER), place, 0)


def hash_task(task: Task, *, progress: bool | None = None) -> HashIndex:
    """Decode and hash every image of a task with a few threads. An unreadable image is recorded and skipped.

    Args:
        task: of any kind.
        progress: show a bar; by default on a terminal.

    >>> from medzoo.data.task_registry import load_task
    >>> found = hash_task(load_task("phantom_oct,n=4,n_validation=4,n_test=4"))
    >>> len(found), found.splits[0], found.mirrored.shape == found.codes.shape
    (12, 'train', True)
    """
    from tqdm import tqdm

    # One entry per image, in the order of the rows.
    rows = [(split, row) for split, table in task.tables.items() for row in range(table.num_rows)]
    found = HashIndex(task.name, task.fingerprint, [], [], [], [], np.zeros((0, BITS // 8), np.uint8), np.zeros(0, int))
    labels = {split: label_words(task, split) for split in task.tables}
    ids = {split: task.column(split, "id") for split in task.tables}
    patients = {} if task.info.groups.startswith("none") else {split: task.groups(split) for split in task.tables}
    hashes: list[ImageHash] = []
    bar = sys.stderr.isatty() if progress is None else progress
    with tqdm(total=len(rows), desc=f"hash {task.name}", unit="img", disable=not bar) as progress_bar:
        for (split, row), result in zip(rows, _hashed(task, rows), strict=True):
            progress_bar.update()
            if isinstance(result, str):
                found.unreadable.append(result)
                continue
            encoded, one = result
            hashes.append(one)
            found.ids.append(str(ids[split][row]))
            found.splits.append(split)
            found.labels.append(labels[split][row])
            found.files.append(encoded)
            found.pixels.append(one.pixels)
            if patients:
                found.patients.append(str(patients[split][row]))
    # Join the codes of all images.
    if hashes:
        found.codes = np.concatenate([one.codes for one in hashes])
        found.mirrored = np.concatenate([one.mirrored for one in hashes])
        found.thumbs = np.concatenate([one.thumbs for one in hashes])
        found.owner = np.repeat(np.arange(len(hashes)), [len(one.codes) for one in hashes])
    return found


def _hashed(task: Task, rows: list[tuple[str, int]]) -> Iterator[tuple[bytes | None, ImageHash] | str]:
    """The hash of each row in order, or the reason for a failure. Decoders release the GIL, so threads help."""
    raw = getattr(task.reader, "raw", None)

    def one(place: tuple[str, int]) -> tuple[bytes | None, ImageHash] | str:
        split, row = place
        try:
            pixels, _ = task.read(split, row)
            data = raw(task.tables[split]["image"][row].as_py()) if raw is not None else None
        except (MedzooError, OSError) as error:
            return str(error)
        return (None if data is None else hashlib.sha256(data).digest()), hash_image(pixels)

    remaining = iter(rows)
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        try:
            while block := list(islice(remaining, _BLOCK)):
                yield from pool.map(one, block)
        finally:
            pool.shutdown(cancel_futures=True)


def label_words(task: Task, split: str) -> list[str]:
    """The label of every row as text: class names, joined by `|` if there are several; empty without labels."""
    count = task.tables[split].num_rows
    if not task.has_labels:
        return [""] * count
    labels = task.labels(split)
    if task.kind == "multilabel":
        return ["|".join(name for name, value in zip(task.classes, row, strict=True) if value == 1) for row in labels]
    if task.kind == "regression":
        return [f"{value:g}" for value in labels]
    return [task.classes[number] for number in labels.tolist()]


def save_index(index: HashIndex, path: Path) -> None:
    """Write an index without labels, patients and small images, atomically.

    Args:
        index: of a task.
        path: of the Parquet file.
    """
    pa, pq = _arrow()
    ends = np.searchsorted(index.owner, np.arange(len(index) + 1))
    table = pa.table(
        {
            "id": index.ids,
            "split": index.splits,
            "file_sha256": pa.array(index.files, pa.binary()),
            "pixels_sha256": pa.array(index.pixels, pa.binary()),
            "codes": pa.array(
                [index.codes[ends[row] : ends[row + 1]].tobytes() for row in range(len(index))], pa.binary()
            ),
        }
    )
    facts = {"schema": SCHEMA, "task": index.name, "fingerprint": index.fingerprint, "hash_version": HASH_VERSION}
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(facts), temporary, compression="zstd")


def load_index(path: Path) -> HashIndex:
    """Read a file of `save_index`.

    Raises:
        DataContractError: if the file is not such an index, or was made with another version of the hash.
    """
    pa, pq = _arrow()
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataContractError(
            f"{path} is not a readable index of hashes ({error}). `medzoo tasks duplicates NAME --save-index FILE` makes one.",
            code="hash-index-unreadable",
        ) from error
    facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if facts.get("schema") != SCHEMA or facts.get("hash_version") != HASH_VERSION:
        raise DataContractError(
            f"{path} is not an index of hashes for this medzoo (it needs {SCHEMA}, hash version {HASH_VERSION}). Make it "
            "again: medzoo tasks duplicates NAME --save-index FILE.",
            code="hash-index-version",
        )
    # Every image has one pixel hash and at least one code.
    packed = table["codes"].to_pylist()
    width = BITS // 8
    sizes = [len(cell) // width for cell in packed]
    if any(len(cell) % width or not cell for cell in packed) or any(
        len(cell) != 32 for cell in table["pixels_sha256"].to_pylist()
    ):
        raise DataContractError(
            f"{path} is damaged: it has hashes of a wrong length. Make it again.", code="hash-index-damaged"
        )
    codes = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, width)
    return HashIndex(
        facts["task"],
        facts["fingerprint"],
        table["id"].to_pylist(),
        table["split"].to_pylist(),
        table["file_sha256"].to_pylist(),
        table["pixels_sha256"].to_pylist(),
        codes,
        np.repeat(np.arange(len(sizes)), sizes),
    )


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("pyarrow", "recipes", "An index of hashes") from None
    return pa, pq
