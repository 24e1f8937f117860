"""The images of one data set: of a task, decoded once, or of shards that are streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medzoo.data.task import Task
from medzoo.errors import UsageError
from medzoo.training.options.shared import open_task, task_identity
from medzoo.training.pretrain_run.ct_windows import for_ct_windows

if TYPE_CHECKING:
    from accelerate import Accelerator

    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.data.transforms.apply import InputConvention
    from medzoo.training.inputs.batches import Batches
    from medzoo.training.inputs.shard_batches import StreamTask
    from medzoo.training.inputs.streamed_rows import StreamedRows
    from medzoo.training.inputs.views import View
    from medzoo.training.pretrain_options import PretrainOptions
    from medzoo.training.run_state.run_folder import RunFolder

SHARDS = "shards:"


def open_images_of(options: PretrainOptions, *, labels: bool) -> TaskImages | StreamedImages:
    """The data of a task or of `shards:FOLDER`.

    Args:
        options: of the pre-training.
        labels: whether the method needs labels.
    """
    if options.task.startswith(SHARDS):
        from medzoo.training.inputs.shard_batches import open_stream

        return StreamedImages(options, open_stream(options))
    return TaskImages(options, open_task(options, unlabelled=not labels))


class TaskImages:
    """The training split of a task, decoded once.

    Args:
        options: of the pre-training.
        task: that they name.
    """

    def __init__(self, options: PretrainOptions, task: Task) -> None:
        task = for_ct_windows(task, options)
        self.options, self.task = options, task
        self.name, self.kind, self.classes = task.name, task.kind, task.classes
        self.count = len(task.splits["train"])
        rest = [f"{table.num_rows:,} {split}" for split, table in task.tables.items() if split != "train"]
        self.notes = [*task.notes, *([f"not trained on: {' + '.join(rest)} images"] if rest else [])]

    def identity(self, size: int) -> dict[str, Any]:
        """See TrainingImages."""
        return task_identity(self.task, self.options, size)

    def decode(self, size: int) -> None:
        """See TrainingImages."""
        self.rows(size)

    def rows(self, size: int, split: str = "train") -> Decoded:
        """The decoded rows of a split.

        Args:
            size: side of the stored images, pixels.
            split: "train", "validation" or "test".
        """
        from medzoo.data.decode_cache.cache import decoded

        return decoded(self.task, split, size=size)

    def batches(
        self, views: Sequence[View], convention: InputConvention, accelerator: Accelerator, run: RunFolder, *, size: int,
        batch_size: int,
    ) -> Batches:  # fmt: skip
        """See TrainingImages."""
        from medzoo.training.inputs.batches import Batches
        from medzoo.training.inputs.device_placement import place_rows

        options = self.options
        rows = place_rows(self.rows(options.stored_size or size), accelerator.device, options.data_on_device, run)
        return Batches(
            rows, views, convention, size=size, batch_size=batch_size, seed=options.seed,
            rank=accelerator.process_index, world=accelerator.num_processes,
        )  # fmt: skip

    def validation(self, size: int) -> Decoded | None:
        """See TrainingImages."""
        return self.rows(size, "validation") if "validation" in self.task.splits else None


class StreamedImages:
    """The images of shards, read while the network trains.

    Args:
        options: of the pre-training.
        task: the shards.
    """

    def __init__(self, options: PretrainOptions, task: StreamTask) -> None:
        if options.ct_windows is not None and not task.index.hu:
            raise UsageError(
                f"--ct-windows needs images in HU, but {options.task} has images without a unit. Write them again with "
                "`medzoo shards TASK --hu`.",
                code="ct-windows-need-hu",
            )
        self.options, self.task = options, task
        self.name, self.kind, self.classes, self.count = task.name, task.kind, task.classes, task.images
        self.notes: list[str] = []
        if task.index.hu and options.ct_windows is None:
            self.notes.append(
                "images: on the whole scale of HU, with little contrast; --ct-windows shows windows of it"
            )

    def identity(self, size: int) -> dict[str, Any]:
        """See TrainingImages."""
        return task_identity(self.task, self.options, size)

    def decode(self, size: int) -> None:
        """Nothing is decoded before it is needed."""

    def rows(self, size: int) -> StreamedRows:
        """The training rows, for a mix.

        Args:
            size: side of the stored images, pixels.
        """
        from medzoo.training.inputs.streamed_rows import StreamedRows

        return StreamedRows(self.task, size=size, seed=self.options.seed)

    def batches(
        self, views: Sequence[View], convention: InputConvention, accelerator: Accelerator, run: RunFolder, *, size: int,
        batch_size: int,
    ) -> Batches:  # fmt: skip
        """See TrainingImages."""
        from medzoo.training.inputs.shard_batches import StreamBatches

        return StreamBatches(
            self.task, views, convention, size=size, batch_size=batch_size, seed=self.options.seed,
            rank=accelerator.process_index, world=accelerator.num_processes, stored_size=self.options.stored_size,
        )  # fmt: skip

    def validation(self, size: int) -> Decoded | None:
        """A stream has no separate validation rows."""
        return None
