"""The rows of a segmentation network: a mask as PNG at the size of the image, and the area of each class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medzoo import precision
from medzoo.errors import UsageError
from medzoo.training.inputs.evaluation_views import stored_side
from medzoo.training.inputs.input_transform import transform
from medzoo.training.predict.decode import Failed, Ready
from medzoo.training.predict.head import Columns
from medzoo.training.predict.options import PredictOptions
from medzoo.training.predict.overlay import mask_overlay, png_path, write_picture
from medzoo.training.segmentation.masks import classes_at
from medzoo.training.segmentation.network import segmenter
from medzoo.training.segmentation.sliding_window import slide
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.folder.facts import FolderEvaluation


class AreaRows:
    """Batches of images → rows of the table, with one mask file an image.

    Args:
        name: a run folder, a folder or a name whose checkpoint has a trained decoder.
        options: of the prediction.

    Raises:
        UsageError: for options that a segmentation cannot use, or a checkpoint without a trained decoder.
        IntegrityError: if the decoder's file is missing or changed.
    """

    def __init__(self, name: Any, options: PredictOptions) -> None:  # noqa: ANN401
        self.options = options
        self.network = segmenter(name, hub=options.hub, accept_license=options.accept_license)
        _refuse(options)
        self.classes = self.network.classes
        folder: str = self.network.load_receipt.folder  # type: ignore[union-attr,assignment]
        facts = read_config(Path(folder)).facts
        evaluation = (facts.evaluation if facts else None) or FolderEvaluation()
        self.size, self.overlap = self.network.size, evaluation.window_overlap
        self.flip = evaluation.views == "flip" and options.views == "as-tested"
        self.side = stored_side(self.size, evaluation.crop_share)
        self.transform = transform(self.network, window=options.window)
        self.device = torch.device(precision.device_kind(options.device))
        self.precision = precision.resolve(precision.checked(options.precision), options.device)
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pictures, self.batch_size = options.overlay, 16
        self.folder: Path | None = None  # where masks are written
        self.named: Path | None = None  # that folder, as the table names it

    @property
    def columns(self) -> Columns:
        """Names and types of the table's columns."""
        columns: Columns = {"path": "text", "key": "text", "patient_id": "text"}
        for name in ("mask", "overlay") if self.folder is not None else ():
            if name == "mask" or self.options.overlay:
                columns[name] = "text"
        for name in self.classes:
            columns |= {f"pixels_{name}": "int", f"mm2_{name}": "float", f"share_{name}": "float"}
        return columns

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        """The logits (N, outputs, side, side) on the CPU, as the test of the run computes them.

        Args:
            batch: (N, channels, side, side), normalised.
        """
        images = batch.to(self.device, memory_format=torch.channels_last)
        kind, short = self.device.type, self.precision == "bf16"
        with torch.inference_mode(), precision.full_float32(kind), torch.autocast(kind, torch.bfloat16, enabled=short):
            logits = self._slide(images)
            if self.flip:
                logits = (logits + self._slide(images.flip(-1)).flip(-1)) / 2
        return logits.float().cpu()

    def _slide(self, images: torch.Tensor) -> torch.Tensor:
        return slide(self.network, images, self.size, overlap=self.overlap)

    def rows(self, batch: list[Ready], number: int) -> Iterator[list[Any] | Failed | None]:
        """The row of each image of a batch, or why it has none.

        Args:
            batch: the images.
            number: of the first row, from 1.
        """
        for one, logits in zip(batch, self.logits(torch.stack([one.tensor for one in batch])), strict=True):
            if not torch.isfinite(logits).all():
                reason = f"{one.item.key or one.item.path}: the network's output is NaN or infinite."
                yield Failed(one.item, "prediction-not-finite", reason)
                continue
            yield self._row(one, classes_at(logits, one.shape).numpy(), number)
            number += 1

    def last_rows(self) -> Iterator[list[Any]]:
        """No more rows."""
        return iter(())

    def _row(self, one: Ready, mask: np.ndarray, number: int) -> list[Any]:
        row: list[Any] = [one.item.path, one.item.key, one.patient_id]
        name = one.item.key or one.item.path
        if self.folder is not None:
            row.append(self._written(png_path(self.folder, number, name), mask))
            if self.options.overlay:
                assert one.picture is not None
                row.append(
                    self._written(png_path(self.folder, number, name, "overlay"), mask_overlay(one.picture, mask))
                )
        counts = np.bincount(mask.ravel(), minlength=len(self.classes) + 1)[1:].tolist()
        for count in counts:
            row += [count, None if one.pixel_mm2 is None else count * one.pixel_mm2, count / mask.size]
        return row

    def _written(self, path: Path, picture: np.ndarray) -> str:
        """Write a file, and give its name for the table."""
        write_picture(path, picture)
        assert self.named is not None
        return (self.named / path.name).as_posix()


def _refuse(options: PredictOptions) -> None:
    """Refuse the options of labels.

    Raises:
        UsageError: names the option.
    """
    if options.by == "patient":
        raise UsageError(
            "A segmentation has one mask an image, and no mean over a patient. Leave out by='patient' (--by patient).",
            code="not-by-patient",
        )
    if options.embeddings:
        raise UsageError(
            "Give either masks or the embeddings of the encoder: leave out --embeddings, or --masks-out and --overlay "
            "(embeddings, masks_out, overlay).",
            code="embeddings-not-with-masks",
        )
    if options.explain is not None:
        raise UsageError(
            "A heat map explains a label, and a segmentation gives a mask. Leave out --explain (explain); --overlay draws the mask "
            "on the image.",
            code="explain-not-for-masks",
        )
