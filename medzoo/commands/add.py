"""A checkpoint of one's own under a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.commands.common import working
from medzoo.errors import UsageError

Numbers = Annotated[str, typer.Option(help="one number a channel, joined by commas: 0.485,0.456,0.406")]


def add(
    file: Annotated[Path, typer.Argument(help="your weights: .pth, .pt, .safetensors, .h5, ...")],
    name: Annotated[str, typer.Argument(help="the new name: `<architecture>[-<method>]-<data>`")],
    license: Annotated[str, typer.Option(help="licence id of the weights; 'unknown' if nobody stated one")],
    data: Annotated[list[str], typer.Option(help="what it was pre-trained on; repeat in the order of use")],
    mean: Numbers,
    std: Numbers,
    size: Annotated[int, typer.Option(help="side of the input, pixels")] = 224,
    architecture: Annotated[str | None, typer.Option(help="timm's name; by default the name's first token")] = None,
    model: Annotated[str | None, typer.Option(help='keywords of the architecture as JSON: {"num_heads": 12}')] = None,
    format: Annotated[str | None, typer.Option(help="layout of the file; by default told from its names")] = None,
    prefix: Annotated[
        str | None,
        typer.Option(help="where the net's names begin in the file: state_dict.module.; looked for by default"),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="names that are no part of the net, as regular expression")
    ] = None,
    rule: Annotated[str, typer.Option(help="what scales to [0, 1]: unit or per_image_minmax")] = "unit",
    clip: Annotated[str | None, typer.Option(help="lowest and highest HU, for CT: -1024,3072")] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="of the resize in its training: nearest, bilinear, bicubic or lanczos")
    ] = None,
    crop_pct: Annotated[float | None, typer.Option(help="share of the side that its centre crop kept")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="what an output of the file's classifier means; repeat in its order")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="text file of the labels instead, one a line")] = None,
    method: Annotated[str | None, typer.Option(help="of the pre-training: supervised, simclr, ...")] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="kind of image it saw: CT, X-ray, ...; may be repeated")
    ] = None,
    images: Annotated[int | None, typer.Option(help="number of images it saw")] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over these images")] = None,
    init: Annotated[str | None, typer.Option(help="checkpoint that it started from; by default random weights")] = None,
    license_url: Annotated[str | None, typer.Option(help="address of the terms")] = None,
    redistributable: Annotated[
        bool, typer.Option("--redistributable", help="the weights may be published again")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="write over your own older entry of this name")] = False,
) -> None:
    """Give a checkpoint of your own a name, so that load, recipes and tables take it as any other.

    Example: medzoo add best.pth resnet50-simclr-ours --license cc-by-4.0 --data ours
    --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    from medzoo.zoo.add import add as enter

    keywords = _keywords(model)
    numbers = {
        key: _numbers(text, key) for key, text in (("mean", mean), ("std", std), ("clip", clip)) if text is not None
    }
    outputs = _labels(label, labels)
    with working(f"Reading {file.name} and proving what comes of it"):
        report = enter(
            file, name, license=license, data=data, mean=numbers["mean"], std=numbers["std"], size=size,
            architecture=architecture, model_kwargs=keywords, format=format, prefix=prefix, drop=drop or (),
            interpolation=interpolation, crop_pct=crop_pct, rule=rule, clip=numbers.get("clip"),  # type: ignore[arg-type]
            method=method, modalities=modality or (), images=images, epochs=epochs, init=init, license_url=license_url,
            redistributable=redistributable, labels=outputs, replace_old=replace,
        )  # fmt: skip
    print(f"{report}\n\nto use it: medzoo.load({name!r})")


def _labels(typed: list[str] | None, file: Path | None) -> list[str]:
    if file is None:
        return typed or []
    if typed:
        raise UsageError("Give --label or --labels FILE, not both.")
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {file} cannot be read as text: {error}") from error


def _numbers(text: str, key: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--{key} is {text!r}; give numbers joined by commas, for example 0.5,0.5,0.5.") from None


def _keywords(text: str | None) -> dict[str, Any]:
    try:
        rows = json.loads(text or "{}")
    except ValueError as error:
        raise UsageError(f"--model is no JSON: {error}") from None
    if not isinstance(rows, dict):
        raise UsageError('--model is a JSON table, for example {"num_heads": 12}.')
    return rows
