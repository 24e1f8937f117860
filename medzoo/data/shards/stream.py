"""Stream shards for pre-training: data of any size, exact resuming, equal parts for all processes.

What a process reads is a function of (seed, epoch, rank, number of the batch), so there is no state to save: a run resumes with
the next number. `datasets` can stream these files too, but its shuffle buffer loses rows when a run is resumed
(tests/data/shards/test_stream.py shows it), so this module makes the order itself.

The order of an epoch: the shards in random order, the rows of each shard in random order, concatenated. This sequence is cut into
equal parts, one per process; the rows of an incomplete last batch are dropped. Each process mixes the rows of a few neighbouring
shards. So one process reads each row once per epoch, a process reads only its part of the files, and a few shards are in memory
at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.rng import permutation
from medzoo.data.shards.formats import REPAIR, Shard, open_shard
from medzoo.data.shards.index import ShardFile, read_index
from medzoo.errors import DataContractError, IntegrityError, UsageError, listed
from medzoo.store import verified_sha256

MIX = 4  # shards that are mixed, and in memory, at a time


@dataclass(frozen=True)
class ShardRow:
    """One image of a stream.

    Args:
        number: over all shards of the split, in the order of writing; random augmentation depends on it.
        id: of the image.
        patient_id: or group; None if unknown.
        label: as in the shard; None for a segmentation.
        image: encoded.
        where: for messages.
    """

    number: int
    id: str
    patient_id: str | None
    label: Any
    image: bytes
    where: str


@dataclass(frozen=True)
class _Piece:
    """Some rows of a shard, in the order of an epoch."""

    shard: int
    first: int
    last: int


class ShardStream:
    """The batches of a split of shards for one process.

    Args:
        folder: of the shards.
        split: "train", ...
        seed: of the order.
        batch_size: images per step over all processes.
        rank: number of this process.
        world: number of processes.
        mix: shards that are mixed; a larger number mixes better and uses more memory.

    Raises:
        DataContractError: if the split does not exist.
        UsageError: if the batch size is not divisible by the number of processes.

    >>> import tempfile
    >>> from medzoo.data.tasks import shards
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shards.fake(Path(folder), 12)
    ...     stream = ShardStream(Path(folder), seed=0, batch_size=4)
    ...     sorted(row.number for number in range(len(stream)) for row in stream.rows(number))
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    """

    def __init__(
        self,
        folder: Path,
        split: str = "train",
        *,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        mix: int = MIX,
    ) -> None:
        self.folder, self.split, self.seed, self.rank, self.world = Path(folder), split, seed, rank, world
        self.index = read_index(self.folder)
        if split not in self.index.splits or not self.index.images(split):
            raise DataContractError(
                f"{folder} has no split {split}; it has {listed(self.index.splits) or 'nothing'}.",
                code="shard-split-missing",
            )
        self.shards: tuple[ShardFile, ...] = self.index.splits[split]
        self.images = self.index.images(split)
        self.batch_size, self.mix = min(batch_size, self.images), max(1, mix)
        if not 0 <= rank < world or self.batch_size % world:
            raise UsageError(
                f"A batch of {self.batch_size} images cannot be divided equally between {world} processes. Choose a "
                f"--batch-size that is a multiple of {world}.",
                code="batch-not-divisible",
            )
        self._starts = list(accumulate((shard.images for shard in self.shards), initial=0))
        self._open: OrderedDict[int, tuple[Shard, dict[str, list[Any]]]] = OrderedDict()
        self.set_epoch(0)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the stream without its open shards: another process opens them again."""
        return {**self.__dict__, "_open": OrderedDict()}

    def check_files(self) -> None:
        """Check with one listing of the folder that all files exist. Their content is checked when they are opened.

        Raises:
            DataContractError: lists the missing files.
        """
        present = {path.name for path in self.folder.iterdir()}
        missing = [shard.file for shard in self.shards if shard.file not in present]
        if missing:
            raise DataContractError(
                f"{self.folder}: {len(missing)} shards are missing: {listed(missing)}. {REPAIR}", code="shards-missing"
            )

    def __len__(self) -> int:
        """Batches per epoch, the same for every process."""
        return self.images // self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order."""
        self.epoch = epoch
        share = len(self) * self.batch_size // self.world
        self._windows = self._cut(self.rank * share, (self.rank + 1) * share)
        self._ends = list(accumulate(sum(piece.last - piece.first for piece in window) for window in self._windows))
        self._drawn: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def rows(self, number: int) -> list[ShardRow]:
        """The rows of this process's part of a batch.

        Args:
            number: of the batch in the epoch.

        Raises:
            IndexError: for a batch beyond the epoch.
            IntegrityError: if a shard is not the file that the index lists.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"An epoch has {len(self)} batches; there is no batch {number}.")
        part = self.batch_size // self.world
        return [self._row(*self._place(position)) for position in range(number * part, (number + 1) * part)]

    def _cut(self, first: int, last: int) -> list[list[_Piece]]:
        """This process's part of the epoch's sequence, as windows of a few pieces."""
        pieces, at = [], 0
        for shard in permutation("shards", self.seed, self.epoch, len(self.shards)).tolist():
            size = self.shards[shard].images
            low, high = max(first - at, 0), min(last - at, size)
            if low < high:
                pieces.append(_Piece(shard, low, high))
            at += size
        return [pieces[start : start + self.mix] for start in range(0, len(pieces), self.mix)]

    def _place(self, position: int) -> tuple[int, int]:
        """The shard and the row in it at a position of this process's epoch."""
        window = bisect_right(self._ends, position)
        shards, rows = self._order(window)
        at = position - (self._ends[window - 1] if window else 0)
        return int(shards[at]), int(rows[at])

    def _order(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """The shards and rows of a window in their mixed order."""
        if window not in self._drawn:
            shards, rows = [], []
            for piece in self._windows[window]:
                size = self.shards[piece.shard].images
                inside = permutation(f"shard {piece.shard}", self.seed, self.epoch, size)[piece.first : piece.last]
                shards.append(np.full(len(inside), piece.shard))
                rows.append(inside)
            mixed = permutation(f"window {self.rank} {window}", self.seed, self.epoch, sum(map(len, rows)))
            self._drawn[window] = np.concatenate(shards)[mixed], np.concatenate(rows)[mixed]
            while len(self._drawn) > 2:
                self._drawn.popitem(last=False)
        return self._drawn[window]

    def _row(self, number: int, row: int) -> ShardRow:
        shard, columns = self._opened(number)
        name = self.shards[number].file
        return ShardRow(
            self._starts[number] + row,
            columns["id"][row],
            columns["patient_id"][row],
            columns["label"][row] if "label" in columns else None,
            shard.image(row),
            f"{self.folder / name} row {row}",
        )

    def _opened(self, number: int) -> tuple[Shard, dict[str, list[Any]]]:
        """A shard in memory; the least recently used one is dropped."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        while len(self._open) >= self.mix:
            self._open.popitem(last=False)
        facts = self.shards[number]
        path = self.folder / facts.file
        try:
            intact = path.stat().st_size == facts.bytes and verified_sha256(path) == facts.sha256
        except OSError as error:
            raise IntegrityError(
                f"{path} cannot be read ({error.strerror or error}). {REPAIR}", code="shard-unreadable"
            ) from error
        if not intact:
            raise IntegrityError(f"{path} is not the file that index.json lists. {REPAIR}", code="shard-changed")
        shard = open_shard(path)
        columns = {name: shard.column(name) for name in shard.names() if name in ("id", "patient_id", "label")}
        self._open[number] = shard, columns
        return shard, columns
