"""The images of several data sets, mixed by weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medzoo.errors import UsageError
from medzoo.training.pretrain_run.task_images import StreamedImages, open_images_of

if TYPE_CHECKING:
    from accelerate import Accelerator

    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.data.transforms.apply import InputConvention
    from medzoo.training.inputs.batches import Batches
    from medzoo.training.inputs.views import View
    from medzoo.training.pretrain_options import PretrainOptions
    from medzoo.training.pretrain_run.mix_file import MixSource
    from medzoo.training.run_state.run_folder import RunFolder


class MixedImages:
    """The training splits of several data sets: of tasks, each decoded once, and of shards, which are streamed.

    Args:
        options: of the pre-training.
        sources: of the file.
        labels: whether the method needs labels; then all tasks need the same classes.
    """

    def __init__(self, options: PretrainOptions, sources: Sequence[MixSource], *, labels: bool) -> None:
        from medzoo.training.inputs.mixed_batches import shares

        self.options, self.sources, self.labels = options, sources, labels
        self.parts = []
        for source in sources:
            own = replace(options, task=source.task, root=source.root, fraction=source.fraction, groups=source.groups)
            self.parts.append(open_images_of(own, labels=labels))
        first = self.parts[0]
        if labels:
            for part in self.parts[1:]:
                if (part.kind, list(part.classes)) != (first.kind, list(first.classes)):
                    raise UsageError(
                        f"{options.task}: tasks {first.name} and {part.name} have different classes, so one head cannot "
                        "learn both. Mix them with a method that needs no labels.",
                        code="mix-of-other-classes",
                    )
        self.name = "+".join(part.name for part in self.parts)
        self.kind, self.classes = first.kind, first.classes
        self.count = sum(part.count for part in self.parts)
        self.weights = [
            part.count if source.weight is None else source.weight
            for source, part in zip(sources, self.parts, strict=True)
        ]
        counts = shares(self.weights, self.count)
        mixed = [f"{count:,} of {part.name} ({part.count:,})" for count, part in zip(counts, self.parts, strict=True)]
        self.notes = [f"images of an epoch: {' + '.join(mixed)}"]

    def identity(self, size: int) -> dict[str, Any]:
        """See TrainingImages."""
        parts = [
            {**part.identity(size), "weight": weight} for part, weight in zip(self.parts, self.weights, strict=True)
        ]
        return {"id": self.name, "mix": parts}

    def decode(self, size: int) -> None:
        """See TrainingImages."""
        for part in self.parts:
            part.decode(size)

    def batches(
        self, views: Sequence[View], convention: InputConvention, accelerator: Accelerator, run: RunFolder, *, size: int,
        batch_size: int,
    ) -> Batches:  # fmt: skip
        """See TrainingImages."""
        from medzoo.data.decode_cache.device import place
        from medzoo.training.inputs.mixed_batches import MixedBatches

        options = self.options
        if options.data_on_device == "always":
            raise UsageError(
                "--data-on-device is always, but the images of a mix stay in the memory of the host. Use auto or never.",
                code="mix-not-on-device",
            )
        side = options.stored_size or size
        rows = [
            part.rows(side) if isinstance(part, StreamedImages) else place(part.rows(side), accelerator.device, "never")
            for part in self.parts
        ]
        return MixedBatches(
            rows, self.weights, views, convention, size=size, batch_size=batch_size, seed=options.seed,
            rank=accelerator.process_index, world=accelerator.num_processes, labels=self.labels,
        )  # fmt: skip

    def validation(self, size: int) -> Decoded | None:
        """A mix has no validation images of its own."""
        return None
