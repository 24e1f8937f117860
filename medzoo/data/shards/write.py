"""A task as shards: files of some thousand images each that stream, with an index that is written last.

A writer that was killed goes on where it was: each file appears whole or not at all, and what is there is not made again.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.decode_cache.cache import DECODER_VERSION
from medzoo.data.rng import order
from medzoo.data.shards.encode import encode, image_bytes
from medzoo.data.shards.formats import Record, write_shard
from medzoo.data.shards.index import NAME, SCHEMA, SUFFIX, Format, ShardFile, ShardIndex, read_index, write_index
from medzoo.data.vocabulary import UNCERTAIN
from medzoo.errors import DataContractError, RunFolderError, UsageError
from medzoo.store import atomic_path, claim, sha256_file, sha256_of, sweep, write_json

if TYPE_CHECKING:
    import pyarrow as pa

    from medzoo.data.task import Task

SHARD_BYTES = 64 * 2**20  # about; a reader holds a few shards in memory
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
    progress: bool | None = None,
) -> ShardIndex:
    """Write the images of a task, with labels and patients, as shards; a call that was stopped goes on.

    Args:
        task: under the label policy "soft" if its uncertain labels shall stay uncertain (-1) in the shards.
        out: folder; new, or of the same shards.
        splits: which; by default all.
        size: side of the square that images are brought to, pixels; by default they stay as they are, and plain files byte for
            byte.
        format: "parquet", or "webdataset" for tar files, in which images are PNG.
        images_per_shard: rows of a file; by default so many as make about 64 MB.
        shuffle: deal the rows of train over the shards in a drawn order, so that a shard is a sample of all; by default where
            each image is a file of its own (other files are much faster to read in their order).
        progress: show a bar; by default on a terminal.

    Returns:
        the index, as written.

    Raises:
        RunFolderError: if the folder holds other things, or another process writes there.
        DataContractError: if an image cannot be read, or the disk is full; what was written stays, and the same call goes on.

    >>> import tempfile
    >>> from medzoo.data.task_registry import load_task
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = write_shards(load_task("phantom_oct,n=6,n_validation=4,n_test=4"), Path(folder), images_per_shard=4)
    >>> [(split, len(files)) for split, files in index.splits.items()]
    [('train', 2), ('validation', 1), ('test', 1)]
    """
    chosen = list(splits or task.tables)
    unknown = [split for split in chosen if split not in task.tables]
    if unknown:
        raise UsageError(f"Task {task.name} has no split {unknown[0]}; it has {', '.join(task.tables)}.")
    for what, number in (("size", size), ("number of images per shard", images_per_shard)):
        if number is not None and number < 1:
            raise UsageError(f"The {what} is {number}; it should be at least 1.")
    if format not in SUFFIX:
        raise UsageError(f"The format is {format!r}; it should be one of {', '.join(SUFFIX)}.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{out} cannot be a folder ({error.strerror or error}). Choose another place.") from error
    job = _ShardJob(task, out, chosen, size, format, images_per_shard, shuffle)
    with claim(out / _CLAIM):
        sweep(out, older_than=0)
        done = job.begin()
        try:
            return job.write(done, sys.stderr.isatty() if progress is None else progress)
        except OSError as error:
            raise DataContractError(
                f"{out} cannot be written ({error.strerror or error}). What is there is whole: free some space, and give the "
                "same command again."
            ) from error


class _ShardJob:
    """One folder of shards to be written."""

    def __init__(
        self, task: Task, out: Path, splits: list[str], size: int | None, format: Format, count: int | None, shuffle: bool | None,
    ) -> None:  # fmt: skip
        self.task, self.out, self.splits, self.size, self.format = task, out, splits, size, format
        self.kept = task.policy is not None and task.policy.kind == "soft"
        self.uncertain: np.ndarray | None = None
        if shuffle is None:
            shuffle = not any("#" in str(key) for key in task.column(splits[0], "image")[:1])
        self.order = "drawn by seed 0 (train)" if shuffle else "task"
        self.counts = {split: count or self._usual_count(split) for split in splits}
        policy = None if task.policy is None or self.kept else str(task.policy)
        decides = {
            "schema": SCHEMA, "task": task.name, "fingerprint": task.fingerprint, "split_hash": task.split_hash, "size": size,
            "format": format, "order": self.order, "images_per_shard": self.counts, "label_policy": policy,
            "decoder": DECODER_VERSION, "rows": {split: task.tables[split].num_rows for split in splits},
        }  # fmt: skip
        self.decides: dict[str, Any] = json.loads(json.dumps(decides))
        info = replace(task.info, name=task.name, classes=task.classes, window=None, uncertain=self.kept)
        self.index = ShardIndex(
            info, format, size, self.order, task.fingerprint, task.split_hash, policy, sha256_of(self.decides)
        )

    def _usual_count(self, split: str) -> int:
        rows = range(min(_SAMPLE, self.task.tables[split].num_rows))
        sizes = [len(self._image(split, row)[0]) for row in rows]
        return int(min(_MOST, max(_LEAST, SHARD_BYTES // max(1, int(np.mean(sizes)))))) if sizes else _LEAST

    def begin(self) -> dict[str, ShardFile]:
        """The files that are there already, by name; the folder is this job's from here on."""
        there = [path.name for path in self.out.iterdir() if not path.name.startswith(".")]
        plan = self.out / _PLAN
        rows: list[dict[str, Any]] = []
        if (self.out / NAME).is_file():
            index = read_index(self.out)
            if index.plan != self.index.plan:
                raise self._other(f"they are of {index.info.name}, size {index.size}, {index.format}")
            rows = [asdict(shard) for shards in index.splits.values() for shard in shards]
        elif plan.is_file():
            old = json.loads(plan.read_text())
            if old != self.decides:
                keys = [key for key in {**old, **self.decides} if old.get(key) != self.decides.get(key)]
                raise self._other(
                    "; ".join(f"{key}: {old.get(key)} there, {self.decides.get(key)} now" for key in keys)
                )
            with suppress(FileNotFoundError):
                for line in (self.out / _DONE).read_text().splitlines():
                    with suppress(ValueError):  # the last line of a killed writer
                        rows.append(json.loads(line))
        elif there:
            raise RunFolderError(
                f"{self.out} holds files that are no shards. Choose an empty or new folder; nothing was touched."
            )
        else:
            write_json(plan, self.decides)
        found = {row["file"]: ShardFile(**row) for row in rows}
        return {name: shard for name, shard in found.items() if self._whole(shard)}

    def _whole(self, shard: ShardFile) -> bool:
        path = self.out / shard.file
        return path.is_file() and path.stat().st_size == shard.bytes

    def _other(self, why: str) -> RunFolderError:
        return RunFolderError(
            f"{self.out} holds other shards ({why}). Choose another folder for --out; nothing was touched."
        )

    def write(self, done: dict[str, ShardFile], bar: bool) -> ShardIndex:
        """Write what is missing, then the index."""
        from tqdm import tqdm

        total = sum(self.task.tables[split].num_rows for split in self.splits)
        with tqdm(total=total, desc=f"shards of {self.task.name}", unit="img", disable=not bar) as shown:
            for split in self.splits:
                files = []
                self.uncertain = self.task.uncertain(split)  # once: it is turned from the whole table
                for name, rows in self._parts(split):
                    shard = done.get(name) or self._write_one(name, split, rows)
                    files.append(shard)
                    shown.update(len(rows))
                self.index.splits[split] = tuple(files)
        write_index(self.index, self.out)
        for name in (_PLAN, _DONE):
            (self.out / name).unlink(missing_ok=True)
        return self.index

    def _parts(self, split: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        """Each file's name, and its rows as (number over all shards, row of the task)."""
        rows, count = self.task.tables[split].num_rows, self.counts[split]
        drawn = order(0, 0, rows) if split == "train" and self.order != "task" else np.arange(rows)
        total = -(-rows // count)
        for number in range(total):
            keys = range(number * count, min(rows, (number + 1) * count))
            yield (
                f"{split}-{number:05d}-of-{total:05d}.{SUFFIX[self.format]}",
                [(key, int(drawn[key])) for key in keys],
            )

    def _write_one(self, name: str, split: str, rows: list[tuple[int, int]]) -> ShardFile:
        schema, columns = self._columns(split, [row for _, row in rows])
        records, colour = [], False
        for (key, _), values, (image, tinted, mask) in zip(rows, columns, self._images(split, rows), strict=True):
            records.append(Record(key, image, mask, values))
            colour |= tinted
        path = self.out / name
        with atomic_path(path) as temporary:
            write_shard(temporary, records, self.index.info, schema)
        shard = ShardFile(name, len(records), path.stat().st_size, sha256_file(path), colour)
        with (self.out / _DONE).open("a") as file:
            file.write(json.dumps(asdict(shard)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return shard

    def _images(self, split: str, rows: list[tuple[int, int]]) -> Iterator[tuple[bytes, bool, bytes | None]]:
        """Images and masks in order, made by a few threads."""
        left = iter(row for _, row in rows)
        with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
            try:
                while block := list(islice(left, _BLOCK)):
                    yield from pool.map(lambda row: (*self._image(split, row), self._mask(split, row)), block)
            finally:
                pool.shutdown(cancel_futures=True)

    def _image(self, split: str, row: int) -> tuple[bytes, bool]:
        return image_bytes(self.task, split, row, size=self.size, jpeg=self.format == "parquet")

    def _mask(self, split: str, row: int) -> bytes | None:
        if self.task.kind != "segmentation":
            return None
        mask = self.task.read_mask(split, row)
        if self.size is not None and mask.shape != (self.size, self.size):
            from PIL import Image

            mask = np.asarray(Image.fromarray(mask).resize((self.size, self.size), Image.Resampling.NEAREST))
        return encode(mask, f"mask of row {row}")

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
