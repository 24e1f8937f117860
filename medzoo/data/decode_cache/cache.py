"""Every image decoded once: the rows of a split, from a store that all splits, folds, fractions, seeds and checkpoints share.

The first time, the rows that are missing are decoded on all cores; from then on pixels are read from memory maps, 24 times
faster than JPEGs decode. A build that was killed goes on where it was. A process that finds another one at work waits for it.

The key of a store holds all that decides its rows: the data's fingerprint and version, what the reader says of itself (its plain
attributes), window, channels, size and filter, and what this machine's decoders make of a few built-in files. So changed data
are another store, and rows of different decoders are never mixed. `rows`, `parts` and `row_store` say how rows are kept.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medzoo import paths
from medzoo.data.decode_cache.decode import decode_rows
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.decoder_hash import golden_hash
from medzoo.data.decode_cache.part_file import SCHEMA
from medzoo.data.decode_cache.rows import RESIZE
from medzoo.data.decode_cache.store import FoundRows, RowStore, StoreError, Writer, writing
from medzoo.errors import DiskFullError, RunFolderError, UsageError
from medzoo.progress import Steps, counted, duration
from medzoo.store import claim, sha256_of, sweep

if TYPE_CHECKING:
    from medzoo.data.task import Task

DECODER_VERSION = "3"  # changes when the same file would give other rows
SCALES = {"uint8": 255.0, "uint16": 65535.0}
PATIENCE = 0.5  # seconds between looks at another builder's work


def decoded(
    task: Task,
    split: str,
    *,
    size: int,
    cache_dir: Path | None = None,
    progress: bool | None = None,
    workers: int | None = None,
) -> Decoded:
    """The rows of a split, found in the store or decoded now.

    Args:
        task: whose images are read.
        split: "train", "validation" or "test".
        size: side of the rows, pixels.
        cache_dir: folder of all stores; by default `decoded` in medzoo's home.
        progress: show a bar; by default one on a terminal, and lines elsewhere. False says nothing.
        workers: cores that decode; by default all that this process may use. It changes no row.

    Raises:
        ImageError: if an image cannot be read; the rows before it are kept.
        DiskFullError: if the rows find no room; what was whole before is kept.
        StoreError: if the store cannot be written.

    >>> from medzoo.data.task_registry import load_task
    >>> decoded(load_task("phantom_oct,n=8,n_validation=4,n_test=4"), "test", size=32).images.shape
    (4, 32, 32)
    """
    if size < 1:
        raise UsageError(f"The size is {size}; it should be at least 1 pixel.")
    ids = [str(key) for key in task.column(split, "id")]
    keys = row_keys(task, split)
    rows = store_of(task, size, cache_dir)
    found = rows.find(keys)
    if found.missing.size:
        found = _complete(task, split, rows, keys, progress, workers)
    images = found.images()
    segmentation = task.kind == "segmentation"
    return Decoded(
        images, task.labels(split) if task.has_labels else np.zeros(len(ids), np.int64), ids,
        [str(group) for group in task.groups(split)], SCALES[images.dtype.name], sha256_of([rows.key, keys]), task.uncertain(split),
        task.policy, found.masks() if segmentation else None,
    )  # fmt: skip


def row_keys(task: Task, split: str) -> list[str]:
    """What names the rows of a split in the store: the image's key, and the mask's where the task has masks."""
    images = [str(key) for key in task.column(split, "image")]
    if task.kind != "segmentation":
        return images
    return [f"{image}\n{mask}" for image, mask in zip(images, task.column(split, "mask"), strict=True)]


def store_of(task: Task, size: int, cache_dir: Path | None = None) -> RowStore:
    """The store of a task's rows at a size, which need not exist yet.

    Args:
        task: any split, fold or fraction of the data.
        size: side of the rows, pixels.
        cache_dir: folder of all stores.
    """
    root = cache_dir if cache_dir is not None else paths.home() / "decoded"
    facts = {"resize": RESIZE, "decoder": DECODER_VERSION, "golden": golden_hash()}
    masks = task.kind == "segmentation"
    return RowStore(root, task.info.name, content_key(task, size), size, masks, facts)


def content_key(task: Task, size: int) -> str:
    """The sha256 of all that decides the decoded rows of a task, whichever of them it uses.

    Args:
        task: the data.
        size: side of the rows, pixels.
    """
    reader = task.reader
    stated = {
        name: value
        for name, value in getattr(reader, "__dict__", {}).items()
        if not name.startswith("_") and _plain(value)
    }
    return sha256_of(
        {
            "schema": SCHEMA, "fingerprint": task.fingerprint, "version": task.info.version,
            "reader": [*_reader_id(type(reader)), stated],
            "window": task.info.window, "channels": task.info.channels, "size": size, "resize": RESIZE,
            "masks": task.kind == "segmentation", "decoder": DECODER_VERSION, "golden": golden_hash(),
        }
    )  # fmt: skip


def _complete(
    task: Task, split: str, rows: RowStore, keys: Sequence[str], bar: bool | None, workers: int | None
) -> FoundRows:
    """Decode what is missing, or wait until another process has."""
    found = rows.find(keys)
    total = len(found.missing)
    with Steps(f"decode {task.name} {split}", total, "image", bar=bar) as shown:
        while missing := len(found.missing):
            shown.move_to(total - missing)
            try:
                with ExitStack() as stack:
                    with writing(rows.folder):
                        stack.enter_context(claim(rows.folder.with_name(f".{rows.folder.name}.lock")))
                        sweep(rows.folder)
                    found = rows.find(keys)  # what the last builder left
                    if found.missing.size:
                        _build(task, split, rows, keys, found.missing, shown, workers)
                        found = rows.find(keys)
                if found.missing.size:
                    raise StoreError(
                        f"{rows.folder}: rows were damaged right after they were written. Is the disk failing?"
                    )
            except RunFolderError:  # another process builds
                time.sleep(PATIENCE)
                found = rows.find(keys)
                shown.wait(total - len(found.missing), "by another process")
        shown.line(f"decoded {task.name} {split}: {counted(total, 'image')}, {duration(shown.seconds)}")
    return found


def _build(
    task: Task, split: str, rows: RowStore, keys: Sequence[str], missing: np.ndarray, shown: Steps, workers: int | None
) -> None:
    first_of = {keys[position]: position for position in reversed(missing.tolist())}  # an image may stand in two rows
    wanted = sorted(first_of.values())
    least = len(wanted) * rows.size**2  # grey, 8 bit
    if (free := shutil.disk_usage(rows.root).free) < least:
        raise DiskFullError(f"{rows.folder} ({len(wanted)} images, at least {least:,} bytes)", free)
    with (
        Writer(rows) as writer,
        closing(decode_rows(task, split, wanted, rows.size, masks=rows.masks, workers=workers)) as made,
    ):
        for position, row in zip(wanted, made, strict=True):
            writer.add(keys[position], row)
            shown.update()


def _reader_id(kind: type) -> list[str]:
    """What names a class of readers: its own `ID`, never one that it inherited; else the place where it is defined."""
    own = vars(kind).get("ID")
    return str(own).rsplit(".", 1) if own else [kind.__module__, kind.__qualname__]


def _plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float)
