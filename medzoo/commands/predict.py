"""Use a checkpoint: `medzoo predict` labels images with it, `medzoo export` writes it for other programs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from medzoo.commands.common import Accept, Hub, check_file, check_spelling


def predict(
    name: Annotated[str, typer.Argument(help="a run folder, a checkpoint folder, or a checkpoint's name")],
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
        typer.Option(help="range of the values: LOW:HIGH, a CT window such as lung, or a rule such as percentile:1,99"),
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
        by=by, embeddings=embeddings, window=None if window is None else parse_window(window), batch_size=batch_size,
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


def export(
    name: Annotated[str, typer.Argument(help="a run folder, a checkpoint folder, or a checkpoint's name")],
    out: Annotated[Path, typer.Option(help="file to write: FILE.onnx, or FILE.pt2 for torch_export")],
    format: Annotated[
        str,
        typer.Option(
            help="onnx for onnxruntime and other programs; torch_export for torch without the code of the network",
            metavar="onnx|torch_export",
        ),
    ] = "onnx",
    precision: Annotated[
        str,
        typer.Option(
            help="fp16 computes with weights of 16 bits; inputs and outputs stay float32", metavar="fp32|fp16"
        ),
    ] = "fp32",
    size: Annotated[
        int | None, typer.Option(help="side of the images, pixels; by default the checkpoint's", min=1, max=4096)
    ] = None,
    dynamic_size: Annotated[
        bool, typer.Option("--dynamic-size", help="let height and width vary: CNNs and plain vision transformers")
    ] = False,
    num_classes: Annotated[
        str | None,
        typer.Option(
            help="0 for pooled features, pretrained for the stored head; by default a folder gives its head, a name features",
            metavar="0|pretrained",
        ),
    ] = None,
    opset: Annotated[
        int | None, typer.Option(help="version of ONNX's operators; by default 18", min=18, max=23)
    ] = None,
    allow_random: Annotated[
        bool, typer.Option("--allow-random", help="export random weights, to measure speed")
    ] = False,
    hub: Hub = None,
    accept_license: Accept = False,
) -> None:
    """Write a network as an ONNX or torch.export file that runs without medzoo.

    Before the file gets its name, its outputs are compared with those of the network. Its metadata has the labels, the input
    convention, the thresholds, the licence and the lineage.

    Examples: medzoo export runs/finetune --out chest.onnx;
    medzoo export vit_small-dino-imagenet --size 384 --out features.onnx;
    medzoo export runs/finetune --format torch_export --precision fp16 --out chest.pt2
    """
    from medzoo.training.export.export import export as write
    from medzoo.training.export.metadata import read_metadata

    check_spelling(out, "--out")
    start = time.monotonic()
    classes: object = 0 if num_classes == "0" else num_classes
    file = write(
        name, out=out, format=format, precision=precision, dynamic_size=dynamic_size, size=size,  # type: ignore[arg-type]
        num_classes=classes, hub=hub, accept_license=accept_license, allow_random=allow_random, opset=opset,  # type: ignore[arg-type]
    )  # fmt: skip
    facts = read_metadata(file)
    print(
        f"{file}: {file.stat().st_size / 1e6:,.1f} MB, {facts['name']}, {facts['kind']}, {time.monotonic() - start:.1f} s"
    )
    print(
        f"checked: the outputs differ from the network's by {facts['largest_difference']} of the largest output "
        f"({facts['tolerance']} allowed)"
    )
    if not facts.get("weights_sha256"):
        print("random weights: the outputs mean nothing")
