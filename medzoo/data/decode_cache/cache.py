"""A cache of decoded images: the rows of a split, in a store that all splits, folds, fractions, seeds and checkpoints share.

The first use decodes the missing rows on all cores. Later uses read pixels from memory maps, 24 times faster than decoding
JPEGs. An interrupted build continues where it stopped. If another process builds the same store, this one waits for it.

The key of a store includes everything that decides its rows: the data's fingerprint and version, the simple attributes of the
reader, window, channels, size and filter, and a hash of what this machine's decoders produce for a few built-in files. Changed
data get a new store, and rows of different decoders are never mixed. See `rows`, `part_file` and `store` for the format.
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

DECODER_VERSION = "3"  # increased when the same file would give different rows
SCALES = {"uint8": 255.0, "uint16": 65535.0}
PATIENCE = 0.5  # seconds between checks of another process's progress


def decoded(
    task: Task,
    split: str,
    *,
    size: int,
    cache_dir: Path | None = None,
    progress: bool | None = None,
    workers: int | None = None,
) -> Decoded:
    """The rows of a split, from the store or decoded now.

    Args:
        task: the task of the images.
        split: "train", "validation" or "test".
        size: side of the rows, pixels.
        cache_dir: folder of all stores; by default `decoded` in medzoo's home.
        progress: show a bar; by default on a terminal, and lines elsewhere. False prints nothing.
        workers: cores for decoding; by default all that this process may use. The rows do not depend on it.

    Raises:
        ImageError: if an image cannot be read; the rows decoded before it are saved.
        DiskFullError: if the disk is full; complete rows stay saved.
        StoreError: if the store cannot be written.

    >>> from medzoo.data.task_registry import load_task
    >>> decoded(load_task("phantom_oct,n=8,n_validation=4,n_test=4"), "test", size=32).images.shape
    (4, 32, 32)
    """
    if size < 1:
        raise UsageError(f"The size is {size}. Give at least 1 pixel.", code="size-below-one")
    ids = [str(key) for key in task.column(split, "id")]
    keys = row_keys(task, split)
    rows = store_of(task, size, cache_dir)
    found = rows.find(keys)
    if found.missing.size:
        found = _complete(task, split, rows, keys, progress, workers)
    images = found.images()
    segmentation = task.kind == "segmentation"
    return Decoded(
        images,
        task.labels(split) if task.has_labels else np.zeros(len(ids), np.int64),
        ids,
        [str(group) for group in task.groups(split)],
        SCALES[images.dtype.name],
        sha256_of([rows.key, keys]),
        task.uncertain(split),
        task.policy,
        found.masks() if segmentation else None,
    )


def row_keys(task: Task, split: str) -> list[str]:
    """The keys of the rows of a split in the store: the image's key, with the mask's where the task has masks."""
    images = [str(key) for key in task.column(split, "image")]
    if task.kind != "segmentation":
        return images
    return [f"{image}\n{mask}" for image, mask in zip(images, task.column(split, "mask"), strict=True)]


def store_of(task: Task, size: int, cache_dir: Path | None = None) -> RowStore:
    """The store of a task's rows at a size; it may not exist yet.

    Args:
        task: the task, also with a fold or fraction of the data.
        size: side of the rows, pixels.
        cache_dir: folder of all stores.
    """
    root = cache_dir if cache_dir is not None else paths.home() / "decoded"
    facts = {"resize": RESIZE, "decoder": DECODER_VERSION, "golden": golden_hash()}
    masks = task.kind == "segmentation"
    return RowStore(root, task.info.name, content_key(task, size), size, masks, facts)


def content_key(task: Task, size: int) -> str:
    """The sha256 of everything that decides the decoded rows of a task; it does not depend on which rows the task uses.

    Args:
        task: the data.
        size: side of the rows, pixels.
    """
    reader = task.reader
    attributes = {
        name: value
        for name, value in getattr(reader, "__dict__", {}).items()
        if not name.startswith("_") and _is_simple(value)
    }
    return sha256_of(
        {
            "schema": SCHEMA,
            "fingerprint": task.fingerprint,
            "version": task.info.version,
            "reader": [*_reader_id(type(reader)), attributes],
            "window": task.info.window,
            "channels": task.info.channels,
            "size": size,
            "resize": RESIZE,
            "masks": task.kind == "segmentation",
            "decoder": DECODER_VERSION,
            "golden": golden_hash(),
        }
    )


def _complete(
    task: Task, split: str, rows: RowStore, keys: Sequence[str], bar: bool | None, workers: int | None
) -> FoundRows:
    """Decode the missing rows, or wait for another process that decodes them."""
    found = rows.find(keys)
    total = len(found.missing)
    with Steps(f"decode {task.name} {split}", total, "image", bar=bar) as steps:
        while missing := len(found.missing):
            steps.move_to(total - missing)
            try:
                with ExitStack() as stack:
                    with writing(rows.folder):
                        stack.enter_context(claim(rows.folder.with_name(f".{rows.folder.name}.lock")))
                        sweep(rows.folder)
                    found = rows.find(keys)  # rows of the previous builder
                    if found.missing.size:
                        _build(task, split, rows, keys, found.missing, steps, workers)
                        found = rows.find(keys)
                if found.missing.size:
                    raise StoreError(
                        f"{rows.folder}: rows were damaged directly after they were written. Check the disk.",
                        code="decoded-rows-damaged",
                    )
            except RunFolderError:  # another process builds the store
                time.sleep(PATIENCE)
                found = rows.find(keys)
                steps.wait(total - len(found.missing), "by another process")
        steps.line(f"decoded {task.name} {split}: {counted(total, 'image')}, {duration(steps.seconds)}")
    return found


def _build(
    task: Task, split: str, rows: RowStore, keys: Sequence[str], missing: np.ndarray, steps: Steps, workers: int | None
) -> None:
    first_of = {keys[position]: position for position in reversed(missing.tolist())}  # two rows can have the same image
    positions = sorted(first_of.values())
    least = len(positions) * rows.size**2  # grey, 8 bit
    if (free := shutil.disk_usage(rows.root).free) < least:
        raise DiskFullError(f"{rows.folder} ({len(positions)} images, at least {least:,} bytes)", free)
    with (
        Writer(rows) as writer,
        closing(decode_rows(task, split, positions, rows.size, masks=rows.masks, workers=workers)) as decoded_rows,
    ):
        for position, row in zip(positions, decoded_rows, strict=True):
            writer.add(keys[position], row)
            steps.update()


def _reader_id(kind: type) -> list[str]:
    """The identity of a reader class: its `ID` if the class itself defines one, else its module and name."""
    own = vars(kind).get("ID")
    return str(own).rsplit(".", 1) if own else [kind.__module__, kind.__qualname__]


def _is_simple(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_simple(item) for item in value)
    return value is None or isinstance(value, str | int | float)
