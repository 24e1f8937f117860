"""Predict: images → one row each, with label, probabilities and decisions of a fine-tuned checkpoint, or with masks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo import progress
from medzoo.errors import UsageError
from medzoo.precision import PrecisionChoice
from medzoo.training.predict.explain import Method
from medzoo.training.predict.job import Job
from medzoo.training.predict.network import Views
from medzoo.training.predict.options import PredictOptions, Summary, failed_text
from medzoo.training.predict.table_writer import (
    ERROR_COLUMNS,
    FrameSink,
    check_out,
    errors_table,
    need_pandas,
    table_file,
)

if TYPE_CHECKING:
    import pandas

    from medzoo.data.images.ct_windows import WindowChoice


def predict(
    folder_or_name: str | os.PathLike[str],
    images: Any,  # noqa: ANN401 - a path, an image, or a list of them
    *,
    by: Literal["image", "patient"] = "image",
    embeddings: bool = False,
    window: WindowChoice | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    num_workers: int | None = None,
    precision: PrecisionChoice = "fp32",
    explain: Method | None = None,
    explain_out: str | os.PathLike[str] | None = None,
    explain_class: str | None = None,
    masks_out: str | os.PathLike[str] | None = None,
    overlay: bool = False,
    views: Views = "as-tested",
    image_column: str | None = None,
    patient_column: str | None = None,
    hub: str | os.PathLike[str] | None = None,
    accept_license: bool = False,
) -> pandas.DataFrame:
    """Predict images with a fine-tuned checkpoint: one row an image, in the order of the images.

    The columns are `path`; `key` (`file#frame`), for a file with several images; `patient_id`, from the DICOM header or the table;
    and by the kind of the head:

    * classes: `label`, and `probability_CLASS` for each class. Two classes also have `decision_CLASS` (0 or 1) of the second
      one, by the folder's threshold, which decides the label.
    * several labels at once: the names of all positive labels with `|` between them, `probability_LABEL`, `decision_LABEL`.
    * regression: `value`.
    * segmentation: `mask` and `overlay`, the PNG files in `masks_out`; for each class `pixels_CLASS`, its `share_CLASS` of the
      image, and `mm2_CLASS`, the area where the header has the spacing in the patient.

    Images are resized, cropped and averaged over views as in the test of the training run. Probabilities are calibrated where the
    folder has a calibration (temperature, thresholds); otherwise the temperature is 1 and the thresholds are 0.5. Unknown cells
    are missing values.

    Args:
        folder_or_name: a run folder (its checkpoint is used), a checkpoint folder, or a name as for `medzoo.load`.
        images: a file, a folder (searched with its subfolders), a CSV or Parquet table with a column of paths, an image in memory
            (array, PIL image, tensor, bytes), or an iterable of them. `file#12` is one frame. A file with several images (frames,
            slices of a volume) gives one row each.
        by: "patient" gives one row a patient, with the mean of the probabilities of the patient's images.
        embeddings: add the column `embedding`, pooled features (float32). A checkpoint without a head gives only these.
        window: (low, high), the name of a CT window, or a rule, as for `medzoo.transform`; by default the window of the
            fine-tuning, if it had one; "none" uses no window.
        batch_size: images per forward pass; by default 64, and 16 with heat maps.
        device: "auto" uses an accelerator if there is one; "cpu".
        num_workers: threads that read images; by default one per usable core; 0 reads in this thread.
        precision: "fp32", "bf16", or "auto" for bf16 where the device computes it natively.
        explain: "gradcam" or "attention" writes heat maps as PNG; the column `explanation` has their paths.
        explain_out: the folder of the heat maps.
        explain_class: the class that the heat maps explain; by default the predicted one.
        masks_out: of a segmentation: a new folder for the masks, one PNG an image at its own size. A pixel is the number of its
            class, from 1 in the order of the columns; 0 is the background. Without a folder, only the areas are computed.
        overlay: of a segmentation: also draw each mask on its image.
        views: "as-tested" averages the views of the run's test (mirror images, ten crops); "one" is faster.
        image_column: of tables: the paths; by default found by its name (image, path, file, ...).
        patient_column: of tables: the patients; by default found by its name (patient_id, ...); "none" uses no column.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
        accept_license: accept non-commercial or contested terms.

    Returns:
        The table. Images that cannot be read have no row: `frame.attrs["errors"]` lists path, key, code and reason, and a
        UserWarning counts them.

    Raises:
        UsageError: for a checkpoint without a head, or an invalid option.
        DataContractError: for a table that cannot be read, or a folder without images.
        ImageError: if no image could be read.
        MissingExtraError: if pandas is not installed.

    >>> import numpy as np, tempfile, timm, medzoo
    >>> net = timm.create_model("test_resnet", num_classes=2)
    >>> card = {"name": "test_resnet-lungs", "license": "mit", "data": ["lungs"], "labels": ["normal", "pneumonia"]}
    >>> folder = medzoo.save(net, tempfile.mkdtemp(), card=card)
    >>> table = predict(folder, [np.zeros((40, 50), np.uint8), np.full((30, 30), 200, np.uint8)])
    >>> list(table)[3:]
    ['label', 'probability_normal', 'probability_pneumonia', 'decision_pneumonia']
    >>> len(table)
    2
    """
    need_pandas()
    options = PredictOptions(
        by=by, embeddings=bool(embeddings), window=window, batch_size=batch_size, device=device,
        num_workers=num_workers, precision=precision, explain=explain,
        explain_out=None if explain_out is None else Path(explain_out), explain_class=explain_class,
        masks_out=None if masks_out is None else Path(masks_out).expanduser(), overlay=bool(overlay), views=views,
        image_column=image_column, patient_column=patient_column, hub=hub, accept_license=accept_license,
    )  # fmt: skip
    if options.overlay and options.masks_out is None:
        raise UsageError("overlay draws masks into a folder: give masks_out=DIR.", code="overlay-needs-folder")
    job, errors = Job(folder_or_name, images, options), FrameSink(dict.fromkeys(ERROR_COLUMNS, "text"))
    with job.masks_in(options.masks_out):
        sink = FrameSink(job.columns)
        summary = job.run(sink, errors, keep_errors=True)
    frame = sink.frame()
    if summary.failed:
        frame.attrs["errors"] = summary.errors
        progress.warn(f"{failed_text(summary)} The table's attrs['errors'] lists all.")
    return frame


def predict_to_file(
    folder_or_name: str | os.PathLike[str],
    images: Any,  # noqa: ANN401 - as for `predict`
    out: Path,
    options: PredictOptions | None = None,
) -> Summary:
    """As `predict`, into a CSV or Parquet file that appears when it is complete; memory does not grow with the number of images.

    Images that cannot be read are in `FILE.errors.csv`, next to the table. Masks of a segmentation are in the folder `FILE_masks`
    next to it, or in `masks_out`; the table names them by their path from its folder.

    Args:
        folder_or_name: as for `predict`.
        images: as for `predict`.
        out: the file, .csv or .parquet; an older file is replaced.
        options: as the arguments of `predict`.

    Raises:
        ImageError: if no image could be read; an older table is kept.
    """
    options = options or PredictOptions()
    check_out(out, embeddings=options.embeddings)
    job = Job(folder_or_name, images, options)
    masks = options.masks_out or out.with_name(f"{out.stem}_masks")
    with errors_table(out) as errors, job.masks_in(masks, Path(os.path.relpath(masks, out.parent))):
        with table_file(out, job.columns) as sink:
            return job.run(sink, errors)
