"""One prediction: images are read in threads, batches go through the network, and rows are written as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from medzoo import progress, store
from medzoo.cores import usable_cores
from medzoo.errors import DeviceMemoryError, ImageError, UsageError, is_out_of_memory
from medzoo.training.inputs.input_transform import Transform
from medzoo.training.predict.decode import Decoder, Failed, Ready, decoded, worker_pool
from medzoo.training.predict.head import Columns
from medzoo.training.predict.inputs import Inputs
from medzoo.training.predict.label_rows import LabelRows
from medzoo.training.predict.mask_rows import AreaRows
from medzoo.training.predict.options import NAMED, PredictOptions, Summary, failed_text
from medzoo.training.predict.table_writer import ERROR_COLUMNS, Sink


class RowMaker(Protocol):
    """What turns images into rows of the table: `LabelRows` or `AreaRows`."""

    transform: Transform
    side: int
    pictures: bool
    batch_size: int

    @property
    def columns(self) -> Columns:
        """Names and types of the table's columns."""

    def rows(self, batch: list[Ready], number: int) -> Iterator[list[Any] | Failed | None]:
        """The row of each image, or why it has none; None where its row comes at the end."""

    def last_rows(self) -> Iterator[list[Any]]:
        """The rows that need all images."""


class Job:
    """One prediction with its network loaded and its inputs counted.

    Args:
        name: as for `predict`.
        images: as for `predict`.
        options: of the prediction.
    """

    def __init__(self, name: Any, images: Any, options: PredictOptions) -> None:  # noqa: ANN401
        self.options = options
        self.inputs = Inputs(images, options.image_column, options.patient_column)
        if options.explain_out is not None:
            self._refuse_inside(options.explain_out)
        self.maker: RowMaker = _maker(name, options)
        self.total = self.inputs.count()

    @property
    def columns(self) -> Columns:
        """Names and types of the table's columns."""
        return self.maker.columns

    @contextmanager
    def masks_in(self, folder: Path | None, named: Path | None = None) -> Iterator[None]:
        """Write the masks of a segmentation into a folder that gets its name if the block ends without an error.

        Args:
            folder: new or empty; None writes no masks. Without masks in the job, it is not used.
            named: the folder as the table names it; by default `folder`.

        Raises:
            UsageError: if the folder has files, or is inside a folder of images.
        """
        if folder is None or not isinstance(self.maker, AreaRows):
            yield
            return
        self._refuse_inside(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{folder} exists, and masks of another prediction must not be mixed with these. Remove it, or give a new folder: "
                "--masks-out DIR (masks_out=DIR).",
                code="masks-out-not-empty",
            )
        with store.atomic_folder(folder) as temporary:
            self.maker.folder, self.maker.named = temporary, folder if named is None else named
            yield

    def run(self, sink: Sink, errors: Sink, *, keep_errors: bool = False) -> Summary:
        """Read all images once, and write their rows.

        Args:
            sink: of the rows.
            errors: of the images without a prediction.
            keep_errors: whether the summary has all errors, and not only the first.

        Raises:
            ImageError: if no image has a prediction.
        """
        options, summary = self.options, Summary()
        size = options.batch_size or self.maker.batch_size
        workers = usable_cores() if options.num_workers is None else options.num_workers
        decode = Decoder(self.maker.transform, self.maker.side, self.maker.pictures)
        batch: list[Ready] = []

        def fail(failed: Failed) -> None:
            row = [failed.item.path, failed.item.key, failed.code, failed.reason]
            errors.write(row)
            summary.failed += 1
            if keep_errors or len(summary.errors) < NAMED:
                summary.errors.append(dict(zip(ERROR_COLUMNS, row, strict=True)))

        def flush() -> None:
            if not batch:
                return
            with _memory_for(len(batch)):
                rows = list(self.maker.rows(batch, summary.rows + 1))
            for row in rows:
                if isinstance(row, Failed):
                    fail(row)
                    continue
                summary.images += 1
                if row is not None:
                    sink.write(row)
                    summary.rows += 1
            batch.clear()

        with ExitStack() as stack:
            pool = stack.enter_context(worker_pool(workers))
            steps = stack.enter_context(progress.Steps("predict", self.total or 0, "image"))
            unknown = self.total is None
            for one in decoded(self.inputs, decode, pool, max(2 * workers, size), steps.grow):
                if unknown:
                    steps.grow(1)
                if isinstance(one, Ready):
                    batch.append(one)
                elif one.not_an_image:
                    summary.skipped += 1
                else:
                    fail(one)
                if len(batch) == size:
                    flush()
                steps.update(1, lambda: f"{steps.done / max(steps.seconds, 1e-9):.1f} images/s")
            flush()
            summary.seconds = steps.seconds
        for row in self.maker.last_rows():
            sink.write(row)
            summary.rows += 1
        if not summary.rows:
            raise ImageError(
                f"No image has a prediction. {failed_text(summary) if summary.failed else 'There was none to read.'}"
                + (f" The first reason: {summary.errors[0]['reason']}" if summary.errors else ""),
                code="no-predictions",
            )
        return summary

    def _refuse_inside(self, out: Path) -> None:
        """Refuse a folder of pictures that is inside a folder of images: the next prediction would read them."""
        for folder in self.inputs.folders():
            if out.expanduser().resolve().is_relative_to(folder.resolve()):
                raise UsageError(
                    f"{out} is inside the folder of images {folder}, so its pictures would be read as images. Give another folder.",
                    code="explain-out-inside-images",
                )


@contextmanager
def _memory_for(images: int) -> Iterator[None]:
    """A block whose batch may be too large for the device."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"A batch of {images} image{'s' * (images != 1)} does not fit into the memory of the device. Choose a smaller "
            "--batch-size (batch_size=N), --precision bf16, or --device cpu; predictions are the same up to rounding.",
            code="prediction-out-of-memory",
        ) from error


def _maker(name: Any, options: PredictOptions) -> RowMaker:  # noqa: ANN401
    """The rows of a checkpoint with a head, or with a trained decoder."""
    try:
        return LabelRows(name, options)
    except UsageError as error:
        if error.code not in ("no-stored-head", "masks-need-segmentation"):
            raise
        try:
            return AreaRows(name, options)
        except UsageError as other:
            if other.code == "classes-missing":  # neither a head nor a decoder
                raise error from None
            raise
