"""Batches of several data sets, mixed by weights. The order of an epoch is a function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.rng import permutation
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.inputs.batches import Batch, Batches, possible_batch
from medzoo.training.inputs.views import View, as_views


class MixedBatches(Batches):
    """Item k is the k-th training batch of the epoch that was set.

    An epoch has as many images as all data sets together. Each data set has its share of them in every epoch: a small data set with
    a large weight is repeated, in a new order each time, and a large one with a small weight is sampled.

    Args:
        sources: decoded rows of the training splits; sizes, channels and scales may differ.
        weights: shares, relative to each other.
        views: how the views of an image are made.
        convention: the network's input convention.
        size: side of a view, pixels.
        batch_size: images per step over all processes.
        seed: the run's seed.
        rank: this process.
        world: processes of the launch.
    """

    def __init__(
        self,
        sources: Sequence[Decoded],
        weights: Sequence[float],
        views: Augmentation | Sequence[View],
        convention: InputConvention,
        *,
        size: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.sources, self.views, self.convention = list(sources), as_views(views), convention
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self.data = self.sources[0]  # all rows are on the same device as these
        self._starts = np.cumsum([0, *(len(source.ids) for source in self.sources)])
        self.counts = shares(weights, int(self._starts[-1]))
        self.batch_size = possible_batch(batch_size, int(self._starts[-1]), world)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines order and augmentations."""
        self.epoch = epoch
        drawn = [self._drawn(number, count) for number, count in enumerate(self.counts)]
        self._order = np.concatenate(drawn)[permutation("mix", self.seed, epoch, int(sum(self.counts)))]

    def _drawn(self, number: int, count: int) -> np.ndarray:
        """The images that a data set gives to this epoch, as numbers over all data sets; a repeated image gets another number."""
        length, total = len(self.sources[number].ids), int(self._starts[-1])
        passes = -(-count // length)
        # each pass over the data set has its own order
        orders = [
            permutation(f"mix{number}", self.seed, self.epoch * passes + turn, length)
            + self._starts[number]
            + turn * total
            for turn in range(passes)
        ]
        return np.concatenate(orders)[:count] if orders else np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Batches per epoch; the incomplete last batch is dropped."""
        return len(self._order) // self.batch_size

    def __getitem__(self, number: int) -> Batch:
        chosen = self._order[number * self.batch_size : (number + 1) * self.batch_size][self.rank :: self.world]
        of, rows = self._located(chosen)
        parts = [np.flatnonzero(of == source) for source in range(len(self.sources))]
        made = [
            self.batch_of(self.sources[source], rows[part], chosen[part])
            for source, part in enumerate(parts)
            if len(part)
        ]
        back = torch.from_numpy(np.argsort(np.concatenate(parts)))
        batch: Batch = {"label": torch.cat([part["label"] for part in made])[back], "index": chosen}
        if "image" in made[0]:
            return {**batch, "image": torch.cat([part["image"] for part in made])[back]}
        views = zip(*(part["views"] for part in made), strict=True)
        return {**batch, "views": [torch.cat(view)[back] for view in views]}

    def sample(self, count: int) -> list[Decoded]:
        """Some images of every data set, in its share of an epoch.

        Args:
            count: the most images.
        """
        wanted = shares(self.counts, count)
        return [source.some(max(2, part), self.seed) for source, part in zip(self.sources, wanted, strict=True)]

    def ids_of(self, indices: np.ndarray) -> list[str]:
        """The ids of the images of a batch.

        Args:
            indices: the batch's "index".
        """
        return [self.sources[source].ids[row] for source, row in zip(*self._located(indices), strict=True)]

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
