"""`medzoo add`: a name for the user's own checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.errors import UsageError

Numbers = Annotated[str, typer.Option(help="one number per channel, joined by commas: 0.485,0.456,0.406")]


def add(
    file: Annotated[Path, typer.Argument(help="your weights: .pth, .pt, .safetensors, .h5, ...")],
    name: Annotated[str, typer.Argument(help="the new name: `<architecture>[-<method>]-<data>`")],
    license: Annotated[str, typer.Option(help="licence id of the weights, or 'unknown'")],
    data: Annotated[list[str], typer.Option(help="pre-training data; repeat in the order of use")],
    mean: Numbers,
    std: Numbers,
    size: Annotated[int, typer.Option(help="side of the input, pixels")] = 224,
    architecture: Annotated[str | None, typer.Option(help="timm's name; by default the name's first token")] = None,
    model: Annotated[str | None, typer.Option(help='keywords of the architecture as JSON: {"num_heads": 12}')] = None,
    format: Annotated[str | None, typer.Option(help="layout of the file; by default detected from its names")] = None,
    prefix: Annotated[
        str | None,
        typer.Option(help="prefix of the network's names in the file: state_dict.module.; by default detected"),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="names that do not belong to the network, as regular expression")
    ] = None,
    channel_order: Annotated[
        str | None, typer.Option(help="order of the input channels in training, rgb or bgr: for Keras and RadImageNet")
    ] = None,
    rule: Annotated[str, typer.Option(help="scaling to [0, 1]: unit or per_image_minmax")] = "unit",
    clip: Annotated[str | None, typer.Option(help="lowest and highest HU, for CT: -1024,3072")] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="interpolation in its training: nearest, bilinear, bicubic or lanczos")
    ] = None,
    crop_pct: Annotated[float | None, typer.Option(help="centre crop in its training, as share of the side")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="name of an output of the file's classifier; repeat in their order")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="text file of the labels instead, one per line")] = None,
    method: Annotated[str | None, typer.Option(help="pre-training method: supervised, simclr, ...")] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="kind of training images: CT, X-ray, ...; may be repeated")
    ] = None,
    images: Annotated[int | None, typer.Option(help="number of training images")] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over these images")] = None,
    init: Annotated[str | None, typer.Option(help="checkpoint that it started from; by default random weights")] = None,
    license_url: Annotated[str | None, typer.Option(help="URL of the licence terms")] = None,
    redistributable: Annotated[
        bool, typer.Option("--redistributable", help="the licence allows to publish the weights again")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="overwrite your older entry with this name")] = False,
) -> None:
    """Add your own checkpoint under a name, so that load, recipes and tables use it like any other.

    Example: medzoo add best.pth resnet50-simclr-ours --license cc-by-4.0 --data ours
    --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    from medzoo.zoo.add import add as add_checkpoint

    keywords = _keywords(model)
    numbers = {
        key: _numbers(text, key) for key, text in (("mean", mean), ("std", std), ("clip", clip)) if text is not None
    }
    outputs = _labels(label, labels)
    report = add_checkpoint(
        file,
        name,
        license=license,
        data=data,
        mean=numbers["mean"],
        std=numbers["std"],
        size=size,
        architecture=architecture,
        model_kwargs=keywords,
        format=format,
        prefix=prefix,
        drop=drop or (),
        channel_order=channel_order,  # type: ignore[arg-type]
        interpolation=interpolation,  # type: ignore[arg-type]
        crop_pct=crop_pct,
        rule=rule,  # type: ignore[arg-type]
        clip=numbers.get("clip"),
        method=method,
        modalities=modality or (),
        images=images,
        epochs=epochs,
        init=init,
        license_url=license_url,
        redistributable=redistributable,
        labels=outputs,
        replace_old=replace,
    )
    print(f"{report}\n\nto use it: medzoo.load({name!r})")


def _labels(typed: list[str] | None, file: Path | None) -> list[str]:
    if file is None:
        return typed or []
    if typed:
        raise UsageError("Give --label or --labels FILE, not both.", code="labels-given-twice")
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {file} cannot be read as text: {error}", code="labels-file-unreadable") from error


def _numbers(text: str, key: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--{key} is {text!r}; give numbers joined by commas, for example 0.5,0.5,0.5.", code="numbers-invalid"
        ) from None


def _keywords(text: str | None) -> dict[str, Any]:
    try:
        rows = json.loads(text or "{}")
    except ValueError as error:
        raise UsageError(f"--model is not JSON: {error}", code="model-keywords-not-json") from None
    if not isinstance(rows, dict):
        raise UsageError(
            '--model must be a JSON object, for example {"num_heads": 12}.', code="model-keywords-not-object"
        )
    return rows
