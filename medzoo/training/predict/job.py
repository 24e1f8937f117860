"""One prediction: images are read in threads, batches go through the network, and rows are written as they come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medzoo import progress
from medzoo.cores import usable_cores
from medzoo.errors import ImageError, UsageError
from medzoo.training.inputs.input_transform import transform
from medzoo.training.predict.decode import Decoder, Failed, Ready, decoded, worker_pool
from medzoo.training.predict.head import Columns
from medzoo.training.predict.inputs import Inputs
from medzoo.training.predict.network import Network, NetworkOutputs
from medzoo.training.predict.options import NAMED, PredictOptions, Summary, failed_text
from medzoo.training.predict.overlay import write_png
from medzoo.training.predict.patients import PatientMeans
from medzoo.training.predict.table_writer import ERROR_COLUMNS, Sink


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
            _refuse_inside(options.explain_out, self.inputs.folders())
        self.network = Network(
            name, embeddings=options.embeddings, explain=options.explain, explain_class=options.explain_class,
            device=options.device, precision_choice=options.precision, hub=options.hub,
            accept_license=options.accept_license,
        )  # fmt: skip
        self.transform = transform(self.network.model, window=options.window)
        self.total = self.inputs.count()
        if options.by == "patient" and self.network.head is None:
            raise UsageError("Rows of patients need a head.", code="not-by-patient")
        self.means = PatientMeans(self.network.head) if options.by == "patient" and self.network.head else None

    @property
    def columns(self) -> Columns:
        """Names and types of the table's columns."""
        if self.means is not None:
            return self.means.columns
        columns: Columns = {"path": "text", "key": "text", "patient_id": "text"}
        columns |= self.network.head.columns if self.network.head else {}
        columns |= {"embedding": "floats"} if self.options.embeddings else {}
        return columns | ({"explanation": "text"} if self.options.explain else {})

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
        size = options.batch_size or (16 if options.explain else 64)
        workers = usable_cores() if options.num_workers is None else options.num_workers
        decode = Decoder(self.transform, pictures=options.explain is not None)
        batch: list[Ready] = []

        def fail(failed: Failed) -> None:
            row = [failed.item.path, failed.item.key, failed.code, failed.reason]
            errors.write(row)
            summary.failed += 1
            if keep_errors or len(summary.errors) < NAMED:
                summary.errors.append(dict(zip(ERROR_COLUMNS, row, strict=True)))

        def flush() -> None:
            if batch:
                self._write(batch, sink, summary, fail)
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
        if self.means is not None:
            for row in self.means.rows():
                sink.write(row)
                summary.rows += 1
        if not summary.rows:
            raise ImageError(
                f"No image has a prediction. {failed_text(summary) if summary.failed else 'There was none to read.'}"
                + (f" The first reason: {summary.errors[0]['reason']}" if summary.errors else ""),
                code="no-predictions",
            )
        return summary

    def _write(self, batch: list[Ready], sink: Sink, summary: Summary, fail: Callable[[Failed], None]) -> None:
        """Compute a batch, and write its rows."""
        outputs = self.network(torch.stack([one.tensor for one in batch]))
        main = outputs.embeddings if outputs.probabilities is None else outputs.probabilities
        assert main is not None
        for place, one in enumerate(batch):
            name = one.item.key or one.item.path
            if not np.isfinite(main[place]).all():
                reason = f"{name}: the network's output is NaN or infinite."
                fail(Failed(one.item, "prediction-not-finite", reason))
                continue
            if self.means is None:
                sink.write(self._row(one, place, outputs, summary.rows + 1))
                summary.rows += 1
            elif one.patient_id is None:
                reason = f"{name}: the patient is not known. Give a table with a column patient_id, or leave out --by patient."
                fail(Failed(one.item, "patient-unknown", reason))
                continue
            else:
                self.means.add(one.patient_id, main[place])
            summary.images += 1

    def _row(self, one: Ready, place: int, outputs: NetworkOutputs, number: int) -> list[Any]:
        row = [one.item.path, one.item.key, one.patient_id]
        head = self.network.head
        if head is not None and outputs.probabilities is not None:
            row += head.cells(outputs.probabilities[place])
        if self.options.embeddings and outputs.embeddings is not None:
            row.append(outputs.embeddings[place])
        if outputs.heat is not None and head is not None and self.options.explain_out is not None:
            assert one.picture is not None
            label, name = head.classes[outputs.explained[place]], one.item.key or one.item.path
            png = write_png(self.options.explain_out, number, name, label, one.picture, outputs.heat[place])
            row.append(str(png))
        return row


def _refuse_inside(out: Path, folders: list[Path]) -> None:
    """Refuse a folder of heat maps that is inside a folder of images: the next prediction would read them."""
    for folder in folders:
        if out.expanduser().resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                f"{out} is inside the folder of images {folder}, so heat maps would be read as images. Give another folder.",
                code="explain-out-inside-images",
            )
