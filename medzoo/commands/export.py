"""Write a checkpoint for other programs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import Accept, Hub, check_spelling
from medzoo.commands.terminal import completion


def export(
    name: Annotated[
        str,
        typer.Argument(
            help="a run folder, a checkpoint folder, or a checkpoint's name", autocompletion=completion.checkpoints
        ),
    ],
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
