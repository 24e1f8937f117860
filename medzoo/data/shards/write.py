"""Write a task as shards: files of some thousand images each for streaming, and at the end an index.

An interrupted writer can continue: each file is written atomically, and existing files are not written again.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.decode_cache.cache import DECODER_VERSION
from medzoo.data.readers.hu_scale import on_hu_scale
from medzoo.data.rng import order
from medzoo.data.shards.encode import image_bytes, mask_bytes
from medzoo.data.shards.formats import Record, write_shard
from medzoo.data.shards.index import NAME, SCHEMA, SUFFIX, Format, ShardFile, ShardIndex, read_index, write_index
from medzoo.data.vocabulary import UNCERTAIN
from medzoo.errors import DataContractError, RunFolderError, UsageError
from medzoo.store import atomic_path, claim, sha256_file, sha256_of, sweep, write_json

if TYPE_CHECKING:
    import pyarrow as pa

    from medzoo.data.task import Task

SHARD_BYTES = 64 * 2**20  # approximate; a reader has a few shards in memory
_LEAST, _MOST, _SAMPLE, _BLOCK = 64, 16_384, 32, 64
_PLAN, _DONE, _CLAIM = ".plan.json", ".done.jsonl", ".claim"


def write_shards(
    task: Task,
    out: Path,
    *,
    splits: Sequence[str] | None = None,
    size: int | None = None,
    format: Format = "parquet",
    images_per_shard: int | None = None,
    shuffle: bool | None = None,
    hu: bool = False,
    progress: bool | None = None,
) -> ShardIndex:
    """Write the images of a task, with labels and patients, as shards. The same call continues an interrupted one.

    Args:
        task: with the label policy "soft", the shards contain uncertain labels as -1.
        out: folder: a new one, or one with the same shards.
        splits: to write; by default all.
        size: side of the square that images are resized to, pixels; by default images keep their size, and plain files are
            copied byte for byte.
        format: "parquet", or "webdataset" for tar files with PNG images.
        images_per_shard: rows per file; by default as many as make about 64 MB.
        shuffle: distribute the rows of train over the shards in random order, so that a shard is a sample of all; by default
            only if each image is a separate file (other files are much faster to read in order).
        hu: store CT on the whole scale of HU in 16 bits, so that a pre-training can draw windows (--ct-windows).
        progress: show a bar; by default on a terminal.

    Returns:
        the written index.

    Raises:
        RunFolderError: if the folder contains other files, or another process writes there.
        DataContractError: if the folder cannot be written, for example because the disk is full. An image that cannot be read
            raises the error of its reader. Finished files stay, and the same call continues.

    >>> import tempfile
    >>> from medzoo.data.task_registry import load_task
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = write_shards(load_task("phantom_oct,n=6,n_validation=4,n_test=4"), Path(folder), images_per_shard=4)
    >>> [(split, len(files)) for split, files in index.splits.items()]
    [('train', 2), ('validation', 1), ('test', 1)]
    """
    # Check the arguments.
    chosen = list(splits or task.tables)
    unknown = [split for split in chosen if split not in task.tables]
    if unknown:
        raise UsageError(
            f"Task {task.name} has no split {unknown[0]}; it has {', '.join(task.tables)}.", code="split-unknown"
        )
    if size is not None and size < 1:
        raise UsageError(f"The size is {size}. Give at least 1.", code="size-below-one")
    if images_per_shard is not None and images_per_shard < 1:
        raise UsageError(
            f"The number of images per shard is {images_per_shard}. Give at least 1.",
            code="images-per-shard-below-one",
        )
    if format not in SUFFIX:
        raise UsageError(f"The format is {format!r}. Choose one of {', '.join(SUFFIX)}.", code="shard-format-unknown")
    if hu:
        task = on_hu_scale(task, "hu")
    # Write, with a lock on the folder.
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"The folder {out} cannot be made ({error.strerror or error}). Choose another folder.",
            code="output-folder-not-made",
        ) from error
    job = _ShardJob(task, out, chosen, size, format, images_per_shard, shuffle, hu)
    with claim(out / _CLAIM):
        sweep(out, older_than=0)
        return job.write(job.begin(), sys.stderr.isatty() if progress is None else progress)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turn errors of the output folder into DataContractError. Code that reads images must be outside of it."""
    try:
        yield
    except OSError as error:
        raise DataContractError(
            f"{out} cannot be written ({error.strerror or error}). The finished files are intact. Free some space and run the "
            "same command again.",
            code="shards-not-written",
        ) from error


class _ShardJob:
    """A job that writes one folder of shards."""

    def __init__(
        self,
        task: Task,
        out: Path,
        splits: list[str],
        size: int | None,
        format: Format,
        count: int | None,
        shuffle: bool | None,
        hu: bool,
    ) -> None:
        self.task, self.out, self.splits, self.size, self.format = task, out, splits, size, format
        self.keeps_uncertain = task.policy is not None and task.policy.kind == "soft"
        self.uncertain: np.ndarray | None = None
        if shuffle is None:
            shuffle = not any("#" in str(key) for key in task.column(splits[0], "image")[:1])
        self.order = "drawn by seed 0 (train)" if shuffle else "task"
        self.counts = {split: count or self._usual_count(split) for split in splits}
        policy = None if task.policy is None or self.keeps_uncertain else str(task.policy)
        # Everything that determines the content of the shards.
        settings = {
            "schema": SCHEMA, "task": task.name, "fingerprint": task.fingerprint, "split_hash": task.split_hash, "size": size,
            "format": format, "order": self.order, "images_per_shard": self.counts, "label_policy": policy,
            "decoder": DECODER_VERSION, "rows": {split: task.tables[split].num_rows for split in splits},
        } | ({"hu": True} if hu else {})  # fmt: skip
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        info = replace(task.info, name=task.name, classes=task.classes, window=None, uncertain=self.keeps_uncertain)
        self.index = ShardIndex(
            info,
            format,
            size,
            self.order,
            task.fingerprint,
            task.split_hash,
            policy,
            sha256_of(self.settings),
            hu=hu,
        )

    def _usual_count(self, split: str) -> int:
        rows = range(min(_SAMPLE, self.task.tables[split].num_rows))
        sizes = [len(self._image(split, row)[0]) for row in rows]
        return int(min(_MOST, max(_LEAST, SHARD_BYTES // max(1, int(np.mean(sizes)))))) if sizes else _LEAST

    def begin(self) -> dict[str, ShardFile]:
        """Check the folder, reserve it for this job, and return its finished files by name."""
        present = [path.name for path in self.out.iterdir() if not path.name.startswith(".")]
        plan = self.out / _PLAN
        rows: list[dict[str, Any]] = []
        # Complete shards, an interrupted job, foreign files, or an empty folder.
        if (self.out / NAME).is_file():
            index = read_index(self.out)
            if index.plan != self.index.plan:
                raise self._other(f"of {index.info.name}, size {index.size}, {index.format}")
            rows = [asdict(shard) for shards in index.splits.values() for shard in shards]
        elif plan.is_file():
            old = json.loads(plan.read_text())
            if old != self.settings:
                keys = [key for key in {**old, **self.settings} if old.get(key) != self.settings.get(key)]
                raise self._other(
                    "; ".join(f"{key}: {old.get(key)} there, {self.settings.get(key)} now" for key in keys)
                )
            with suppress(FileNotFoundError):
                for line in (self.out / _DONE).read_text().splitlines():
                    with suppress(ValueError):  # the last line may be incomplete
                        rows.append(json.loads(line))
        elif present:
            raise RunFolderError(
                f"{self.out} has files that are not shards. Choose an empty or new folder. Nothing was changed.",
                code="output-folder-not-empty",
            )
        else:
            write_json(plan, self.settings)
        found = {row["file"]: ShardFile(**row) for row in rows}
        return {name: shard for name, shard in found.items() if self._is_complete(shard)}

    def _is_complete(self, shard: ShardFile) -> bool:
        path = self.out / shard.file
        return path.is_file() and path.stat().st_size == shard.bytes

    def _other(self, difference: str) -> RunFolderError:
        return RunFolderError(
            f"{self.out} has other shards ({difference}). Choose another folder for --out. Nothing was changed.",
            code="other-shards-in-folder",
        )

    def write(self, done: dict[str, ShardFile], bar: bool) -> ShardIndex:
        """Write the missing files, then the index."""
        from tqdm import tqdm

        total = sum(self.task.tables[split].num_rows for split in self.splits)
        with tqdm(total=total, desc=f"shards of {self.task.name}", unit="img", disable=not bar) as progress:
            for split in self.splits:
                files = []
                self.uncertain = self.task.uncertain(split)  # once per split: it converts the whole table
                for name, rows in self._parts(split):
                    shard = done.get(name) or self._write_one(name, split, rows)
                    files.append(shard)
                    progress.update(len(rows))
                self.index.splits[split] = tuple(files)
        with _writing(self.out):
            write_index(self.index, self.out)
            for name in (_PLAN, _DONE):
                (self.out / name).unlink(missing_ok=True)
        return self.index

    def _parts(self, split: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        """The name of each file, and its rows as (number over all shards, row of the task)."""
        rows, count = self.task.tables[split].num_rows, self.counts[split]
        rows_in_order = order(0, 0, rows) if split == "train" and self.order != "task" else np.arange(rows)
        total = -(-rows // count)
        for number in range(total):
            keys = range(number * count, min(rows, (number + 1) * count))
            yield (
                f"{split}-{number:05d}-of-{total:05d}.{SUFFIX[self.format]}",
                [(key, int(rows_in_order[key])) for key in keys],
            )

    def _write_one(self, name: str, split: str, rows: list[tuple[int, int]]) -> ShardFile:
        schema, columns = self._columns(split, [row for _, row in rows])
        records, colour = [], False
        for (key, _), values, (image, has_colour, mask) in zip(rows, columns, self._images(split, rows), strict=True):
            records.append(Record(key, image, mask, values))
            colour |= has_colour
        path = self.out / name
        with _writing(self.out):
            with atomic_path(path) as temporary:
                write_shard(temporary, records, self.index.info, schema)
            shard = ShardFile(name, len(records), path.stat().st_size, sha256_file(path), colour)
            with (self.out / _DONE).open("a") as file:
                file.write(json.dumps(asdict(shard)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return shard

    def _images(self, split: str, rows: list[tuple[int, int]]) -> Iterator[tuple[bytes, bool, bytes | None]]:
        """Images and masks in order, encoded by a few threads."""
        remaining = iter(row for _, row in rows)
        with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
            try:
                while block := list(islice(remaining, _BLOCK)):
                    yield from pool.map(
                        lambda row: (*self._image(split, row), mask_bytes(self.task, split, row, size=self.size)), block
                    )
            finally:
                pool.shutdown(cancel_futures=True)

    def _image(self, split: str, row: int) -> tuple[bytes, bool]:
        return image_bytes(self.task, split, row, size=self.size, jpeg=self.format == "parquet")

    def _columns(self, split: str, rows: list[int]) -> tuple[pa.Schema, list[dict[str, Any]]]:
        """Types of the columns without images, and the rows."""
        import pyarrow as pa

        table = self.task.tables[split].drop_columns(
            [name for name in ("image", "mask", "label", UNCERTAIN) if name in self.task.tables[split].column_names]
        )
        part = table.take(rows)
        if self.task.has_labels:
            labels = self.task.labels(split)[rows]
            if self.uncertain is not None:
                labels = np.where(self.uncertain[rows], np.float32(-1), labels)
            kind = {"multilabel": pa.list_(pa.float32()), "regression": pa.float32()}.get(self.task.kind, pa.int64())
            part = part.append_column("label", pa.array(labels.tolist(), kind))
        return part.schema.remove_metadata(), part.to_pylist()
