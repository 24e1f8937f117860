"""Predict images with a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from medzoo.commands.common import Accept, Hub, check_file
from medzoo.commands.terminal import completion


def predict(
    name: Annotated[
        str,
        typer.Argument(
            help="a run folder, a checkpoint folder, or a checkpoint's name", autocompletion=completion.checkpoints
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            help="files, folders (with their subfolders), `file#12` for one frame, and CSV or Parquet tables of paths",
        ),
    ],
    out: Annotated[Path, typer.Option(help="table to write: FILE.csv or FILE.parquet")],
    by: Annotated[
        Literal["image", "patient"],
        typer.Option(help="one row an image; or a patient, with the mean of the probabilities"),
    ] = "image",
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="add the pooled features as a column of lists (Parquet only)")
    ] = False,
    window: Annotated[
        str | None,
        typer.Option(
            help="range of the values: LOW:HIGH, a CT window such as lung, or a rule such as percentile:1,99; by default that of "
            "the fine-tuning, if it had one; none for no window"
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="images per forward pass; by default 64, and 16 with --explain")
    ] = None,
    device: Annotated[Literal["auto", "cpu"], typer.Option(help="auto uses a GPU if there is one; or cpu")] = "auto",
    num_workers: Annotated[
        int | None, typer.Option(help="threads that read images; by default one per core; 0 for none")
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "auto"], typer.Option(help="auto uses bf16 where the device computes it natively")
    ] = "fp32",
    explain: Annotated[
        Literal["gradcam", "attention"] | None,
        typer.Option(help="write heat maps: gradcam for networks with feature maps, attention for plain ViTs"),
    ] = None,
    explain_out: Annotated[Path | None, typer.Option(help="folder for the heat maps (PNG)")] = None,
    explain_class: Annotated[
        str | None, typer.Option(help="class that the heat maps explain; by default the predicted one")
    ] = None,
    masks_out: Annotated[
        Path | None, typer.Option(help="of a segmentation: new folder for the masks (PNG); by default FILE_masks")
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="of a segmentation: also draw each mask on its image")
    ] = False,
    views: Annotated[
        Literal["as-tested", "one"],
        typer.Option(help="average the views of the run's test (mirror images, ten crops), or use one view"),
    ] = "as-tested",
    image_column: Annotated[
        str | None, typer.Option(help="column of the paths in a table, if it has another name")
    ] = None,
    patient_column: Annotated[
        str | None, typer.Option(help="column of the patients in a table, if it has another name; or none")
    ] = None,
    hub: Hub = None,
    accept_license: Accept = False,
) -> None:
    """Predict images with a fine-tuned checkpoint: a table with label, probabilities and decisions, one row an image.

    The run of a segmentation gives a mask (PNG) an image, and a table with the area of each class.
    Images that cannot be read have no row: they are in FILE.errors.csv with the reason, and the command exits with 1.

    Example: medzoo predict runs/finetune scans/ --out scans.csv
    """
    from medzoo.data.images.ct_windows import parse_window
    from medzoo.progress import counted
    from medzoo.training.predict.options import PredictOptions, failed_text
    from medzoo.training.predict.predict import predict_to_file
    from medzoo.training.predict.table_writer import check_out, errors_file

    check_file(out, "--out")
    check_out(out, embeddings=embeddings)
    options = PredictOptions(
        by=by, embeddings=embeddings, window=window if window in (None, "none") else parse_window(window), batch_size=batch_size,
        device=device, num_workers=num_workers, precision=precision, explain=explain, explain_out=explain_out,
        explain_class=explain_class, masks_out=None if masks_out is None else masks_out.expanduser(), overlay=overlay,
        views=views, image_column=image_column, patient_column=patient_column, hub=hub,
        accept_license=accept_license,
    )  # fmt: skip
    out = out.expanduser()
    try:
        summary = predict_to_file(name, images, out, options)
    except KeyboardInterrupt:
        print(f"Stopped. {out} was not written.", file=sys.stderr)
        raise typer.Exit(130) from None
    speed = f"{summary.images / max(summary.seconds, 1e-9):,.1f} images/s"
    rows = f", {counted(summary.rows, 'patient')} (mean of the probabilities)" if by == "patient" else ""
    print(f"{out}: {counted(summary.images, 'image')}{rows}, {speed}")
    if summary.skipped:
        print(f"skipped: {counted(summary.skipped, 'DICOM file')} without an image (segmentations, reports)")
    if summary.failed:
        print(failed_text(summary), file=sys.stderr)
        for row in summary.errors:
            print(f"  {row['reason']}", file=sys.stderr)
        print(f"All of them: {errors_file(out)}", file=sys.stderr)
        raise typer.Exit(1)
