"""The images of a pre-training: of a task, of shards that are streamed, or of several of these mixed by weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from medzoo.training.pretrain_run.mix_file import MIX, read_mix
from medzoo.training.pretrain_run.mixed_images import MixedImages
from medzoo.training.pretrain_run.task_images import open_images_of

if TYPE_CHECKING:
    from accelerate import Accelerator

    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.data.transforms.apply import InputConvention
    from medzoo.training.inputs.batches import Batches
    from medzoo.training.inputs.views import View
    from medzoo.training.pretrain_options import PretrainOptions
    from medzoo.training.run_state.run_folder import RunFolder


class TrainingImages(Protocol):
    """What a pre-training needs of its data."""

    @property
    def name(self) -> str:
        """Of the data, as in a lineage."""

    @property
    def kind(self) -> str:
        """As `Task.kind`, or "unlabelled"."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes, where there are labels."""

    @property
    def count(self) -> int:
        """Training images."""

    @property
    def notes(self) -> Sequence[str]:
        """How the data are read, for the first lines of a run."""

    def identity(self, size: int) -> dict[str, Any]:
        """The facts that can change the weights.

        Args:
            size: side of the training images, pixels.
        """

    def decode(self, size: int) -> None:
        """Decode what can be kept, before processes start.

        Args:
            size: side of the stored images, pixels.
        """

    def batches(
        self, views: Sequence[View], convention: InputConvention, accelerator: Accelerator, run: RunFolder, *, size: int,
        batch_size: int,
    ) -> Batches:  # fmt: skip
        """The batches of this process.

        Args:
            views: of an image.
            convention: of the network's input.
            accelerator: device and processes.
            run: the open run folder.
            size: side of a view, pixels.
            batch_size: images per step over all processes.
        """

    def validation(self, size: int) -> Decoded | None:
        """The labelled validation images, if there are any.

        Args:
            size: side of the stored images, pixels.
        """


def open_images(options: PretrainOptions, *, labels: bool) -> TrainingImages:
    """The data that the options name: a task, `shards:FOLDER` or `mix:FILE.toml`.

    Without labels, all images of the user's own data are for training.

    Args:
        options: of the pre-training.
        labels: whether the method needs labels.
    """
    if options.task.startswith(MIX):
        return MixedImages(options, read_mix(options), labels=labels)
    return open_images_of(options, labels=labels)
