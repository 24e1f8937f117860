"""The batches of an epoch, each a function of (seed, epoch, number): workers and resuming cannot change them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import on_device, to_tensor
from medzoo.data.malloc import keep_memory
from medzoo.data.rng import order
from medzoo.data.transforms.apply import Augmentation, InputConvention, normalise, to_unit, view, view_of_masks, whole
from medzoo.data.transforms.random_params import draw
from medzoo.errors import UsageError, WorkerError

Batch = dict[str, Any]
AT_ONCE = 16  # images whose intermediate values stay in a core's cache; it changes no result
SILENCE = 600  # seconds without a batch after which a process counts as hanging


class Batches(Dataset):
    """Item k is the k-th training batch of the epoch that was set.

    Args:
        data: decoded rows of the training split; of rows on a device, the batches are made there.
        augmentation: what may be done to an image.
        convention: the network's input.
        size: side of a view, pixels.
        batch_size: images a step over all processes.
        seed: the run's seed.
        views: random views an image; with one, a batch holds "image", with more, "views".
        rank: this process.
        world: processes of the launch; each takes an equal share of every batch.
    """

    def __init__(
        self,
        data: Decoded,
        augmentation: Augmentation,
        convention: InputConvention,
        *,
        size: int,
        batch_size: int,
        seed: int,
        views: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.data, self.augmentation, self.convention = data, augmentation, convention
        self.size, self.seed, self.views, self.rank, self.world = size, seed, views, rank, world
        self.batch_size = min(batch_size, len(data.ids))
        if self.batch_size % world:
            raise UsageError(
                f"A batch of {self.batch_size} images cannot be shared equally by {world} processes; choose a --batch-size "
                "that they divide."
            )
        self.epoch = 0
        self._order = order(seed, 0, len(data.ids))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, and with it order and augmentations."""
        self.epoch, self._order = epoch, order(self.seed, epoch, len(self.data.ids))

    def __len__(self) -> int:
        """Whole batches an epoch; the remainder of the order waits for another epoch's permutation."""
        return len(self.data.ids) // self.batch_size

    def __getitem__(self, number: int) -> Batch:
        chosen = self._order[number * self.batch_size : (number + 1) * self.batch_size][self.rank :: self.world]
        return self.batch_of(self.data, chosen, chosen)

    def batch_of(self, data: Decoded, chosen: np.ndarray, indices: np.ndarray) -> Batch:
        """Some rows as a batch.

        Args:
            data: that holds them.
            chosen: (N,) rows of it.
            indices: (N,) their positions in the whole split, which the draws follow.
        """
        device = on_device(data)
        channels, square = self.convention.channels, (self.size, self.size)
        views = [torch.empty((len(chosen), channels, *square), device=device) for _ in range(self.views)]
        masked = self.views if data.masks is not None else 0
        masks = [torch.empty((len(chosen), *square), dtype=torch.uint8, device=device) for _ in range(masked)]
        step = AT_ONCE if device is None or device.type == "cpu" else max(1, len(chosen))
        for first in range(0, len(chosen), step):
            part = slice(first, first + step)
            self._fill(data, chosen[part], indices[part], [out[part] for out in views], [out[part] for out in masks])
        batch: Batch = {"image": views[0]} if self.views == 1 else {"views": views}
        if masks:
            batch |= {"mask": masks[0]} if self.views == 1 else {"masks": masks}
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
        """Write the views of some rows, and their masks if they have some."""
        law = self.augmentation
        unit = to_unit(data.images[chosen], data.scale, self.convention.rule)
        given = None if data.masks is None else _tensor(data.masks[chosen])
        shape = unit.shape[-2], unit.shape[-1]
        for number, out in enumerate(views):
            drawn = draw(
                law, shape, self.size, seed=self.seed, epoch=self.epoch, indices=indices, stream=f"view{number}",
                device=on_device(data),
            )  # fmt: skip
            normalise(view(unit, law, drawn, self.size), self.convention, out)
            if given is not None:
                masks[number].copy_(view_of_masks(given, law, drawn, self.size))

    def from_step(self, first: int, workers: int) -> Iterator[Batch]:
        """The batches of the epoch from number `first` on.

        Args:
            first: number of the first batch.
            workers: processes that make them; 0 is this one, which also makes those of rows on a device.

        Raises:
            WorkerError: if one of the processes ended, or made nothing for ten minutes.
        """
        keep_memory()
        workers = 0 if on_device(self.data) is not None else workers
        loader = DataLoader(
            self, batch_size=None, sampler=range(first, len(self)), num_workers=workers,
            multiprocessing_context=worker_start() if workers else None, timeout=SILENCE if workers else 0,
        )  # fmt: skip
        try:
            yield from loader
        except RuntimeError as error:
            if not workers or "DataLoader" not in str(error):
                raise
            raise WorkerError(
                f"A process that makes batches ended or hangs ({str(error).splitlines()[0][:200]}); out of memory is the usual "
                "cause. What was saved stays: run the same command again, with a smaller --num-workers (0 needs none)."
            ) from error


def worker_start() -> Literal["fork", "spawn"]:
    """How processes that make batches begin: by fork on Linux, where a script needs no main guard; elsewhere that is unsafe
    (macOS) or impossible (Windows), and they begin anew.

    >>> worker_start() in ("fork", "spawn")
    True
    """
    return "fork" if sys.platform == "linux" else "spawn"


def _tensor(rows: np.ndarray | torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch whose tensors lie on the device; images channels last, which convolutions like."""

    def move(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list):
            return [move(item) for item in value]
        if not isinstance(value, torch.Tensor):
            return value
        layout = torch.channels_last if value.ndim == 4 else torch.preserve_format
        return value.to(device, non_blocking=True, memory_format=layout)

    return {key: move(value) for key, value in batch.items()}


@torch.inference_mode()
def evaluate_rows(
    model: Callable[[torch.Tensor], torch.Tensor],
    data: Decoded,
    convention: InputConvention,
    *,
    size: int,
    device: torch.device,
    batch_size: int = 256,
    progress: Callable[[int], Any] | None = None,
) -> np.ndarray:
    """The network's outputs for every row of a split, in order.

    Returns:
        (N, outputs) float32.
    """
    outputs = []
    for first in range(0, len(data.ids), batch_size):
        images = data.images[first : first + batch_size]
        if isinstance(images, np.ndarray) and device.type != "cpu":
            images = to_tensor(images, device)  # bytes travel, and become floats there
        unit = whole(to_unit(images, data.scale, convention.rule), size)
        batch = to_device({"image": normalise(unit, convention)}, device)
        outputs.append(model(batch["image"]).float().cpu())
        if progress is not None:
            progress(len(unit))
    return torch.cat(outputs).numpy()
