"""The options of a prediction, and what it did."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo import progress
from medzoo.errors import UsageError, listed
from medzoo.precision import PrecisionChoice
from medzoo.training.predict.explain import Method
from medzoo.training.predict.network import Views

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice

NAMED = 10  # errors that a message lists


@dataclass(frozen=True)
class PredictOptions:
    """The options of a prediction, as in `predict`."""

    by: Literal["image", "patient"] = "image"
    embeddings: bool = False
    window: WindowChoice | None = None
    batch_size: int | None = None
    device: str = "auto"
    num_workers: int | None = None
    precision: PrecisionChoice = "fp32"
    explain: Method | None = None
    explain_out: Path | None = None
    explain_class: str | None = None
    masks_out: Path | None = None
    overlay: bool = False
    views: Views = "as-tested"
    image_column: str | None = None
    patient_column: str | None = None
    hub: str | os.PathLike[str] | None = None
    accept_license: bool = False

    def __post_init__(self) -> None:
        if self.by not in ("image", "patient"):
            raise UsageError(f"by is {self.by!r}. Choose image or patient.", code="by-unknown")
        if self.device not in ("auto", "cpu"):
            raise UsageError(f"device is {self.device!r}. Choose auto or cpu.", code="device-unknown")
        if self.views not in ("as-tested", "one"):
            raise UsageError(f"views is {self.views!r}. Choose as-tested or one.", code="views-unknown")
        if self.by == "patient" and (self.embeddings or self.explain):
            raise UsageError(
                "Embeddings and heat maps belong to single images. Leave out by='patient' (--by patient).",
                code="not-by-patient",
            )
        for name, value, least in (("batch_size", self.batch_size, 1), ("num_workers", self.num_workers, 0)):
            if value is not None and (type(value) is not int or not least <= value <= 65_536):
                raise UsageError(
                    f"{name} is {value!r}. Give a whole number from {least} to 65,536.", code="number-out-of-range"
                )
        if (self.explain is None) != (self.explain_out is None) or (self.explain_class and not self.explain):
            raise UsageError(
                "A heat map needs a method and a folder: explain='gradcam' or 'attention' (--explain) and explain_out=DIR "
                "(--explain-out DIR).",
                code="explain-incomplete",
            )


@dataclass
class Summary:
    """What a prediction did.

    Args:
        images: with a prediction.
        rows: of the table.
        failed: images without a prediction.
        skipped: DICOM objects without an image in folders.
        seconds: of reading and computing.
        errors: path, key, code and reason of the first failed images, or of all of them.
    """

    images: int = 0
    rows: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    errors: list[dict[str, Any]] = field(default_factory=list)


def failed_text(summary: Summary) -> str:
    """One sentence with the first images that have no prediction."""
    shown = (f"{row['key'] or row['path']} ({row['code']})" for row in summary.errors[:NAMED])
    more = f" and {summary.failed - NAMED:,} more" if summary.failed > NAMED else ""
    return f"{progress.counted(summary.failed, 'image')} without a prediction: {listed(shown, NAMED)}{more}."
