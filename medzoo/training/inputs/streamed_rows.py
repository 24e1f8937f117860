"""The rows of shards as one part of a mix."""

from __future__ import annotations

import numpy as np

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.inputs.shard_batches import StreamBatches, StreamTask


class StreamedRows:
    """The training rows of shards, read in an order that is the same in every process.

    A few shards are in memory at a time, as long as positions are asked for in their order. Every process reads all shards, and
    decodes only the images that it asks for.

    Args:
        task: the shards.
        size: side that images are resized to, pixels.
        seed: the run's seed.
    """

    def __init__(self, task: StreamTask, *, size: int, seed: int) -> None:
        # one process, one row in a batch: position k of its epoch is row k of the order
        self._batches = StreamBatches(task, Augmentation(), InputConvention(), size=size, batch_size=1, seed=seed)
        self.name, self.nothing = task.name, self._batches.data

    def __len__(self) -> int:
        """Rows of the shards."""
        return self._batches.stream.images

    def rows(self, passes: np.ndarray, positions: np.ndarray, epoch: int) -> tuple[Decoded, np.ndarray]:
        """Decoded rows, and their numbers in the index.

        Args:
            passes: (N,) numbers of passes over the shards; each has its own order.
            positions: (N,) in the order of that pass.
            epoch: of the run; uncertain labels are drawn anew in each.
        """
        stream, found = self._batches.stream, []
        for number, position in zip(passes.tolist(), positions.tolist(), strict=True):
            if number != stream.epoch:
                stream.set_epoch(number)
            found += stream.rows(position)
        self._batches.epoch = epoch
        return self._batches.decoded(found)

    def some(self, count: int) -> Decoded:
        """The first rows of the first pass.

        Args:
            count: the most rows.
        """
        positions = np.arange(min(count, len(self)))
        return self.rows(np.zeros_like(positions), positions, 0)[0]
