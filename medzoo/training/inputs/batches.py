"""The batches of an epoch. Each is a function of (seed, epoch, number): workers and resuming cannot change it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import on_device
from medzoo.data.decode_cache.malloc import keep_memory
from medzoo.data.rng import balanced_order, order
from medzoo.data.transforms.apply import Augmentation, InputConvention, normalise, to_unit, view, view_of_masks
from medzoo.data.transforms.random_params import draw
from medzoo.errors import UsageError, WorkerError
from medzoo.training.inputs.views import View, as_views

Batch = dict[str, Any]
AT_ONCE = 16  # images that are processed together, so that they fit into a core's cache; results do not depend on it
SILENCE = 600  # seconds without a batch after which a process is treated as hanging


class Batches(Dataset):
    """Item k is the k-th training batch of the epoch that was set.

    Args:
        data: decoded rows of the training split; batches of rows on a device are made there.
        views: how the views of an image are made; an augmentation makes one. With one view, a batch has "image", with
            more, "views".
        convention: the network's input convention.
        size: side of a view, pixels.
        batch_size: images per step over all processes.
        seed: the run's seed.
        rank: this process.
        world: processes of the launch; each gets an equal share of every batch.
        balanced: whether an epoch draws every class equally often, with repetition; one label per image only.
    """

    def __init__(
        self,
        data: Decoded,
        views: Augmentation | Sequence[View],
        convention: InputConvention,
        *,
        size: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        balanced: bool = False,
    ) -> None:
        self.data, self.views, self.convention = data, as_views(views), convention
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self.batch_size = possible_batch(batch_size, len(data.ids), world)
        self._classes = np.asarray(data.labels) if balanced else None
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines order and augmentations."""
        self.epoch = epoch
        if self._classes is None:
            self._order = order(self.seed, epoch, len(self.data.ids))
        else:
            self._order = balanced_order(self.seed, epoch, self._classes)

    def __len__(self) -> int:
        """Batches per epoch; the incomplete last batch is dropped."""
        return len(self.data.ids) // self.batch_size

    def __getitem__(self, number: int) -> Batch:
        chosen = self._order[number * self.batch_size : (number + 1) * self.batch_size][self.rank :: self.world]
        return self.batch_of(self.data, chosen, chosen)

    def sample(self, count: int) -> list[Decoded]:
        """Some images of the data, the same in every process and in a resumed run, for measurements.

        Args:
            count: the most images.
        """
        return [self.data.some(count, self.seed)]

    def ids_of(self, indices: np.ndarray) -> list[str]:
        """The ids of the images of a batch.

        Args:
            indices: the batch's "index".
        """
        return [str(self.data.ids[int(row)]) for row in indices]

    def batch_of(self, data: Decoded, chosen: np.ndarray, indices: np.ndarray) -> Batch:
        """Some rows as a batch.

        Args:
            data: the decoded rows.
            chosen: (N,) row numbers in `data`.
            indices: (N,) positions in the whole split; the random values depend on them.
        """
        # memory for all views and masks, on the device of the rows
        device = on_device(data)
        shapes = [(len(chosen), self.convention.channels, *[one.side(self.size)] * 2) for one in self.views]
        views = [torch.empty(shape, device=device) for shape in shapes]
        masked = [] if data.masks is None else shapes
        masks = [torch.empty((shape[0], *shape[2:]), dtype=torch.uint8, device=device) for shape in masked]
        # the CPU works in small groups of images, a device on the whole batch
        step = AT_ONCE if device is None or device.type == "cpu" else max(1, len(chosen))
        for first in range(0, len(chosen), step):
            part = slice(first, first + step)
            self._fill(data, chosen[part], indices[part], [out[part] for out in views], [out[part] for out in masks])
        batch: Batch = {"image": views[0]} if len(views) == 1 else {"views": views}
        if masks:
            batch |= {"mask": masks[0]} if len(views) == 1 else {"masks": masks}
        labels = data.labels_of(chosen, seed=self.seed, epoch=self.epoch)
        return {**batch, "label": torch.from_numpy(labels), "index": indices}

    def _fill(
        self,
        data: Decoded,
        chosen: np.ndarray,
        indices: np.ndarray,
        views: list[torch.Tensor],
        masks: list[torch.Tensor],
    ) -> None:
        """Write the views of some rows, and their masks if they have any."""
        unit = to_unit(data.images[chosen], data.scale, self.convention.rule)
        row_masks = None if data.masks is None else _tensor(data.masks[chosen])
        shape = unit.shape[-2], unit.shape[-1]
        for number, (one, out) in enumerate(zip(self.views, views, strict=True)):
            augmentation, size = one.augmentation, one.side(self.size)
            drawn = draw(
                augmentation,
                shape,
                size,
                seed=self.seed,
                epoch=self.epoch,
                indices=indices,
                stream=f"view{number}",
                device=unit.device,
            )
            normalise(view(unit, augmentation, drawn, size), self.convention, out)
            if row_masks is not None:
                masks[number].copy_(view_of_masks(row_masks, augmentation, drawn, size))

    def from_step(self, first: int, workers: int, target: torch.device | None = None) -> Iterator[Batch]:
        """The batches of the epoch from number `first` on.

        Args:
            first: number of the first batch.
            workers: processes that make batches; 0 uses this process, which also makes batches of rows on a device.
            target: where they go; for a GPU, batches of the host are in pinned memory, which is copied during the computation.

        Raises:
            WorkerError: if a process ended, or made no batch for ten minutes.
        """
        keep_memory()
        on_host = on_device(self.data) is None
        workers = workers if on_host else 0
        loader = DataLoader(
            self,
            batch_size=None,
            collate_fn=dict,  # as they were made: "index" stays an array of the host, random numbers are made from it there
            sampler=range(first, len(self)),
            num_workers=workers,
            multiprocessing_context=worker_start() if workers else None,
            timeout=SILENCE if workers else 0,
            worker_init_fn=_own_group,
            pin_memory=on_host and target is not None and target.type == "cuda",
        )
        try:
            yield from loader
        except RuntimeError as error:
            if not workers or "DataLoader" not in str(error):
                raise
            raise WorkerError(
                f"A process that makes batches ended or hangs ({str(error).splitlines()[0][:200]}). The usual cause is a lack of "
                "memory. Saved states are kept: run the same command again with a smaller --num-workers (0 starts none).",
                code="batch-worker-failed",
            ) from error


def possible_batch(batch_size: int, images: int, world: int) -> int:
    """The images of a step over all processes: never more than there are.

    Args:
        batch_size: that was chosen.
        images: of the data.
        world: processes of the launch.

    Raises:
        UsageError: if the processes cannot share a batch equally.
    """
    possible = min(batch_size, images)
    if possible % world:
        raise UsageError(
            f"A batch of {possible} images cannot be divided equally among {world} processes; choose a --batch-size that is a "
            f"multiple of {world}.",
            code="batch-not-divisible",
        )
    return possible


def worker_start() -> Literal["fork", "spawn"]:
    """The start method of processes that make batches: fork on Linux, where a script needs no main guard, else spawn.

    Fork is unsafe on macOS and does not exist on Windows.

    >>> worker_start() in ("fork", "spawn")
    True
    """
    return "fork" if sys.platform == "linux" else "spawn"


def _own_group(number: int) -> None:
    """Let a signal to the group of a process reach that process alone: it needs its workers until its state is saved."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def _tensor(rows: np.ndarray | torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch with its tensors on the device; images are in channels_last format, which is faster for convolutions."""

    def move(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list):
            return [move(item) for item in value]
        if not isinstance(value, torch.Tensor):
            return value
        layout = torch.channels_last if value.ndim == 4 else torch.preserve_format
        return value.to(device, non_blocking=True, memory_format=layout)

    return {key: move(value) for key, value in batch.items()}
