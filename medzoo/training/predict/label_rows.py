"""The rows of a network with one output per image: labels, probabilities, decisions, embeddings and heat maps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medzoo.errors import UsageError
from medzoo.training.inputs.input_transform import transform
from medzoo.training.predict.decode import Failed, Ready
from medzoo.training.predict.head import Columns
from medzoo.training.predict.network import Network, NetworkOutputs
from medzoo.training.predict.options import PredictOptions
from medzoo.training.predict.overlay import overlay, png_path, write_picture
from medzoo.training.predict.patients import PatientMeans


class LabelRows:
    """Batches of images → rows of the table.

    Args:
        name: as for `predict`.
        options: of the prediction.

    Raises:
        UsageError: if the checkpoint cannot give what is requested.
    """

    def __init__(self, name: Any, options: PredictOptions) -> None:  # noqa: ANN401
        if options.masks_out is not None or options.overlay:
            raise UsageError(
                "Masks are for a segmentation, and this network has a label per image. Leave out --masks-out and --overlay "
                "(masks_out, overlay); for heat maps give --explain gradcam.",
                code="masks-need-segmentation",
            )
        self.options = options
        self.network = Network(
            name, embeddings=options.embeddings, explain=options.explain, explain_class=options.explain_class,
            views=options.views, device=options.device, precision_choice=options.precision, hub=options.hub,
            accept_license=options.accept_license,
        )  # fmt: skip
        self.transform, self.side = transform(self.network.model, window=options.window), self.network.side
        self.pictures, self.batch_size = options.explain is not None, 16 if options.explain else 64
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

    def rows(self, batch: list[Ready], number: int) -> Iterator[list[Any] | Failed | None]:
        """The row of each image of a batch, or why it has none; None where the row of its patient comes at the end.

        Args:
            batch: the images.
            number: of the first row, from 1.
        """
        outputs = self.network(torch.stack([one.tensor for one in batch]))
        main = outputs.embeddings if outputs.probabilities is None else outputs.probabilities
        assert main is not None
        for place, one in enumerate(batch):
            name = one.item.key or one.item.path
            if not np.isfinite(main[place]).all():
                reason = f"{name}: the network's output is NaN or infinite."
                yield Failed(one.item, "prediction-not-finite", reason)
            elif self.means is None:
                yield self._row(one, place, outputs, number)
                number += 1
            elif one.patient_id is None:
                reason = f"{name}: the patient is not known. Give a table with a column patient_id, or leave out --by patient."
                yield Failed(one.item, "patient-unknown", reason)
            else:
                self.means.add(one.patient_id, main[place])
                yield None

    def last_rows(self) -> Iterator[list[Any]]:
        """The rows of the patients."""
        return iter(()) if self.means is None else self.means.rows()

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
            png: Path = png_path(self.options.explain_out, number, name, label)
            write_picture(png, overlay(one.picture, outputs.heat[place], self.network.centre))
            row.append(str(png))
        return row
