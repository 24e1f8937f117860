"""Pre-training from shards: the replacement of a task, and the batches of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import get_worker_info

from medzoo.cores import usable_cores
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.rows import to_row, widened
from medzoo.data.images.read import decode_bytes, with_channels
from medzoo.data.label_policy import LabelPolicy, draw_soft, settle
from medzoo.data.shards.index import ShardIndex, read_index
from medzoo.data.shards.stream import ShardRow, ShardStream
from medzoo.data.tasks.shards import policy_of
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.errors import UsageError
from medzoo.training.inputs.batches import Batch, Batches
from medzoo.training.inputs.views import View, as_views
from medzoo.training.options.shared import SharedOptions

PREFIX = "shards:"


class StreamTask:
    """The facts about shards that a training needs from a task; only the index is read.

    Args:
        path: the folder of the shards.
        root: the folder that `path` is relative to; by default the working directory.
        label_policy: of uncertain labels; None uses the shards' policy.

    Raises:
        DataContractError: if there is no index, or a file of the index is missing.
    """

    def __init__(self, path: str, root: str | None = None, label_policy: str | None = None) -> None:
        self.folder = (Path(root) / path if root else Path(path)).expanduser()
        self.index: ShardIndex = read_index(self.folder)
        self.policy: LabelPolicy | None = policy_of(self.index, label_policy)
        info = self.index.info
        self.name = f"{PREFIX}{self.folder.resolve().name}"
        self.kind, self.classes, self.version = info.kind, info.classes, info.version
        self.fingerprint, self.split_hash = self.index.content, self.index.split_hash
        self.label_policy = None if self.policy is None else str(self.policy)
        stream = ShardStream(self.folder, seed=0, batch_size=1)
        stream.check_files()  # a missing file should raise now, not after days of training
        self.images = stream.images


def open_stream(options: SharedOptions) -> StreamTask:
    """The shards that the options name.

    Args:
        options: of a recipe; `task` is "shards:PATH".

    Raises:
        UsageError: for an option that does not apply to a stream.
    """
    if options.data_on_device == "always":
        raise UsageError(
            "--data-on-device is always, but shards are streamed. Use auto or never.", code="shards-not-on-device"
        )
    selections = {
        "--split-file": options.split_file,
        "--fold": options.fold,
        "--fold-count": options.fold_count,
        "--groups": options.groups,
        "--fraction": None if options.fraction == 1 else options.fraction,
        "--per-class": options.per_class,
    }
    for name, value in selections.items():
        if value is not None:
            raise UsageError(
                f"{name} selects rows, but shards are streamed as they were written. Give it to `medzoo shards`, then "
                "stream the shards that it writes.",
                code="option-not-for-shards",
            )
    return StreamTask(options.task.removeprefix(PREFIX), options.root, options.label_policy)


class StreamBatches(Batches):
    """Item k is the k-th training batch of the epoch that was set, read from shards.

    Args:
        task: the shards.
        views: how the views of an image are made; an augmentation makes one.
        convention: the network's input convention.
        size: side of a view, pixels.
        stored_size: side that images are first resized to, pixels; None takes `size`.
        batch_size: images per step over all processes.
        seed: the run's seed.
        rank: this process.
        world: processes of the launch.
    """

    def __init__(
        self,
        task: StreamTask,
        views: Augmentation | Sequence[View],
        convention: InputConvention,
        *,
        size: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        stored_size: int | None = None,
    ) -> None:
        self.task, self.views, self.convention = task, as_views(views), convention
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self._stored_size = stored_size or size
        self.stream = ShardStream(task.folder, seed=seed, batch_size=batch_size, rank=rank, world=world)
        self.batch_size, self.epoch = self.stream.batch_size, 0
        self.data = Decoded(np.zeros((0, size, size), np.uint8), np.zeros(0, np.int64), [], [], 255.0, task.fingerprint)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines order and augmentations."""
        self.epoch = epoch
        self.stream.set_epoch(epoch)

    def __len__(self) -> int:
        """Complete batches per epoch, the same for every process."""
        return len(self.stream)

    def __getitem__(self, number: int) -> Batch:
        data, numbers = self._rows(number)
        return self.batch_of(data, np.arange(len(numbers)), numbers)

    def sample(self, count: int) -> list[Decoded]:
        """The images of the first batches of an epoch, of this process.

        Args:
            count: the most images.
        """
        self.set_epoch(0)
        batches = min(len(self), -(-count * self.world // self.batch_size))
        return [self._rows(number)[0] for number in range(batches)]

    def _rows(self, number: int) -> tuple[Decoded, np.ndarray]:
        """The decoded images of a batch, and their numbers in the index."""
        return self.decoded(self.stream.rows(number))

    def decoded(self, rows: Sequence[ShardRow]) -> tuple[Decoded, np.ndarray]:
        """The decoded images of some rows, and their numbers in the index.

        Args:
            rows: of the stream.
        """
        if get_worker_info() is None:  # only this process makes batches; decoders release the GIL, so threads help
            with ThreadPoolExecutor(usable_cores()) as pool:
                images = list(pool.map(self._image, rows))
        else:
            images = [self._image(row) for row in rows]
        dtype = np.result_type(*images)
        colour = self._colour
        array = np.stack([widened(image, colour and image.ndim == 2, dtype) for image in images])
        numbers = np.array([row.number for row in rows], np.int64)
        data = Decoded(
            array,
            self._labels(rows, numbers),
            [row.id for row in rows],
            [str(row.patient_id) for row in rows],
            float(np.iinfo(dtype).max),
            self.task.fingerprint,
        )
        return data, numbers

    def ids_of(self, indices: np.ndarray) -> list[str]:
        """The numbers of the images of a batch, in the order of the index of the shards: ids are in the shards only.

        Args:
            indices: the batch's "index".
        """
        return [str(int(row)) for row in indices]

    @cached_property
    def _colour(self) -> bool:
        return self.task.index.colour("train")

    def _image(self, row: ShardRow) -> np.ndarray:
        pixels = with_channels(decode_bytes(row.image, row.where), self.task.index.info.channels)
        return to_row(pixels, self._stored_size)

    def _labels(self, rows: Sequence[ShardRow], numbers: np.ndarray) -> np.ndarray:
        """The labels, with the policy applied to uncertain ones."""
        values: list[Any] = [row.label for row in rows]
        if self.task.kind in ("segmentation", "unlabelled"):
            return np.zeros(len(rows), np.int64)
        if self.task.kind != "multilabel":
            return np.array(values, np.float32 if self.task.kind == "regression" else np.int64)
        labels = np.array(values, np.float32)
        if self.task.policy is None:
            return labels
        settled, uncertain = settle(labels, self.task.policy)
        return draw_soft(settled, uncertain, self.task.policy, seed=self.seed, epoch=self.epoch, indices=numbers)
