"""Batches of several data sets, mixed by weights. The order of an epoch is a function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.rng import permutation
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.inputs.batches import Batch, Batches, possible_batch
from medzoo.training.inputs.streamed_rows import StreamedRows
from medzoo.training.inputs.views import View, as_views


class MixedBatches(Batches):
    """Item k is the k-th training batch of the epoch that was set.

    An epoch has as many images as all data sets together. Each data set has its share of them in every epoch: a small data set with
    a large weight is repeated, in a new order each time, and a large one with a small weight is sampled. The rows of shards come in
    the order of their stream, so that few shards are in memory.

    Args:
        sources: decoded rows of the training splits, or rows of shards; sizes, channels and scales may differ.
        weights: shares, relative to each other.
        views: how the views of an image are made.
        convention: the network's input convention.
        size: side of a view, pixels.
        batch_size: images per step over all processes.
        seed: the run's seed.
        rank: this process.
        world: processes of the launch.
        labels: whether labels are used; without, they are 0, since those of different data sets have different shapes.
    """

    def __init__(
        self,
        sources: Sequence[Decoded | StreamedRows],
        weights: Sequence[float],
        views: Augmentation | Sequence[View],
        convention: InputConvention,
        *,
        size: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        labels: bool = True,
    ) -> None:
        self.sources, self.views, self.convention = list(sources), as_views(views), convention
        self.size, self.seed, self.rank, self.world, self.labels = size, seed, rank, world, labels
        first = self.sources[0]
        self.data = first.nothing if isinstance(first, StreamedRows) else first  # all rows are on its device
        self._lengths = [len(one) if isinstance(one, StreamedRows) else len(one.ids) for one in self.sources]
        self._starts = np.cumsum([0, *self._lengths])
        self.counts = shares(weights, int(self._starts[-1]))
        self.batch_size = possible_batch(batch_size, int(self._starts[-1]), world)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines order and augmentations."""
        self.epoch = epoch
        drawn = [self._drawn(number, count) for number, count in enumerate(self.counts)]
        mixed = permutation("mix", self.seed, epoch, int(sum(self.counts)))
        self._order = np.concatenate(drawn)[mixed]
        # the mix says where the rows of shards come, and the stream in which order
        ends = np.cumsum([0, *self.counts])
        for number, source in enumerate(self.sources):
            if isinstance(source, StreamedRows):
                self._order[(ends[number] <= mixed) & (mixed < ends[number + 1])] = drawn[number]

    def _drawn(self, number: int, count: int) -> np.ndarray:
        """The images that a data set gives to this epoch, as numbers over all data sets; a repeated image gets another number.

        Of shards, these are positions in the order of the stream.
        """
        source, length = self.sources[number], self._lengths[number]
        # each pass over the data set has its own order
        orders = [
            self._starts[number]
            + turn * self._starts[-1]
            + (
                np.arange(length)
                if isinstance(source, StreamedRows)
                else permutation(f"mix{number}", self.seed, self._pass(number, turn), length)
            )
            for turn in range(self._passes(number))
        ]
        return np.concatenate(orders)[:count] if orders else np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Batches per epoch; the incomplete last batch is dropped."""
        return len(self._order) // self.batch_size

    def __getitem__(self, number: int) -> Batch:
        chosen = self._order[number * self.batch_size : (number + 1) * self.batch_size][self.rank :: self.world]
        of, rows = self._located(chosen)
        parts = [np.flatnonzero(of == source) for source in range(len(self.sources))]
        made = [self._made(source, chosen[part], rows[part]) for source, part in enumerate(parts) if len(part)]
        back = np.argsort(np.concatenate(parts))
        batch: Batch = {"label": torch.cat([part["label"] for part in made])[back]}
        batch["index"] = np.concatenate([part["index"] for part in made])[back]
        if "image" in made[0]:
            return {**batch, "image": torch.cat([part["image"] for part in made])[back]}
        views = zip(*(part["views"] for part in made), strict=True)
        return {**batch, "views": [torch.cat(view)[back] for view in views]}

    def _made(self, number: int, chosen: np.ndarray, rows: np.ndarray) -> Batch:
        """The part of a batch that is from one data set.

        Args:
            number: of the data set.
            chosen: (N,) numbers over all data sets.
            rows: (N,) in the data set, or positions in the order of its stream.
        """
        source = self.sources[number]
        if isinstance(source, StreamedRows):
            turns = self._pass(number, chosen // self._starts[-1])
            data, numbers = source.rows(turns, rows, self.epoch)
            chosen, rows = chosen - rows + numbers, np.arange(len(rows))
        else:
            data = source
        made = self.batch_of(data, rows, chosen)
        return made if self.labels else {**made, "label": torch.zeros(len(rows), dtype=torch.int64)}

    def _passes(self, number: int) -> int:
        """The passes of an epoch over a data set, of which the last may be a part."""
        return -(-self.counts[number] // self._lengths[number])

    def _pass(self, number: int, turn: Any) -> Any:  # noqa: ANN401 - a number, or an array of numbers
        """The number of a pass over a data set in the whole training, of its number in this epoch."""
        return self.epoch * self._passes(number) + turn

    def sample(self, count: int) -> list[Decoded]:
        """Some images of every data set, in its share of an epoch.

        Args:
            count: the most images.
        """
        wanted = shares(self.counts, count)
        return [
            source.some(max(2, part)) if isinstance(source, StreamedRows) else source.some(max(2, part), self.seed)
            for source, part in zip(self.sources, wanted, strict=True)
        ]

    def ids_of(self, indices: np.ndarray) -> list[str]:
        """The ids of the images of a batch; of shards, which contain the ids themselves, the folder and the number of the row.

        Args:
            indices: the batch's "index".
        """
        return [self._id(self.sources[source], int(row)) for source, row in zip(*self._located(indices), strict=True)]

    @staticmethod
    def _id(source: Decoded | StreamedRows, row: int) -> str:
        return f"{source.name} {row}" if isinstance(source, StreamedRows) else source.ids[row]

    def _located(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The data set of each image, and its row there."""
        numbers = np.asarray(indices) % self._starts[-1]
        of = np.searchsorted(self._starts, numbers, side="right") - 1
        return of, numbers - self._starts[of]


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers with a given sum, in proportion to weights; the largest remainders get what rounding leaves.

    Args:
        weights: positive.
        total: their sum.

    >>> shares([1, 1, 1], 10), shares([0.5, 1.5], 8)
    ([4, 3, 3], [2, 6])
    """
    exact = [weight / sum(weights) * total for weight in weights]
    counts = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda number: (counts[number] - exact[number], number))
    for number in order[: total - sum(counts)]:
        counts[number] += 1
    return counts
