"""Add the user's own checkpoint under a new name: facts, verified folder and registry entry, all or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from medzoo import paths, store
from medzoo.errors import ConversionError, IntegrityError, RegistryError, UsageError, listed, printable
from medzoo.zoo.check.check import check
from medzoo.zoo.check.report import CheckReport, CheckRow
from medzoo.zoo.convert.layout import ChannelOrder, check_channel_order, check_patterns, convert_any
from medzoo.zoo.convert.mismatch_hints import NOTHING
from medzoo.zoo.convert.readers.tensorbundle import is_bundle
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.license_acceptance import require_acceptance
from medzoo.zoo.registry.licenses import check_license
from medzoo.zoo.registry.locations import cached_folder
from medzoo.zoo.registry.registry import NAME, config_dir, is_known, own_dir, read_checkpoint


def add(
    file: str | os.PathLike[str],
    name: str,
    *,
    license: str,
    data: str | Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    size: int = 224,
    architecture: str | None = None,
    format: str | None = None,
    prefix: str | None = None,
    drop: Sequence[str] = (),
    channel_order: ChannelOrder | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None,
    crop_pct: float | None = None,
    rule: Literal["unit", "per_image_minmax"] = "unit",
    clip: Sequence[float] | None = None,
    method: str | None = None,
    modalities: Sequence[str] = (),
    images: int | None = None,
    epochs: int | None = None,
    init: str | None = None,
    license_url: str | None = None,
    redistributable: bool = False,
    labels: Sequence[str] = (),
    replace_old: bool = False,
) -> CheckReport:
    """Add your own checkpoint under a name: `medzoo.load(name)`, recipes and tables then use it like all others.

    The entry is written to MEDZOO_HOME/hub_configs/<name>.toml, the verified folder to medzoo's cache. If a step fails, neither
    is written. The input convention has no default, because a wrong one reduces accuracy without any error.

    Args:
        file: a weights file with timm's names, bare or inside a training checkpoint, or with one of the published layouts.
        name: the new name, <architecture>[-<method>]-<data>[-<data>...]; not one of medzoo's own.
        license: SPDX or Hub id of the weights; "unknown" if no licence is stated.
        data: the pre-training data sets, in the order of use.
        mean: of the normalisation, one number for each channel (1 or 3), for inputs in [0, 1]; divide values for 0 to 255 by 255.
        std: as mean.
        size: side of the input, pixels.
        architecture: timm's name; by default the name's first token.
        format: of medzoo.zoo.convert.formats; by default it is found from the tensor names.
        prefix: the prefix of the network's tensor names in the file ("state_dict.module.", the last dot may be absent); by
            default it is searched for.
        drop: regular expressions of names after the prefix that do not belong to the network (a projection head).
        channel_order: "rgb" or "bgr", the order of the input channels in training; needed for the layouts of Keras and RadImageNet,
            which do not show it. "bgr" reverses the channels of the first convolution, because medzoo's input is RGB.
        model_kwargs: keywords of the architecture (num_heads, img_size, ...).
        interpolation: of the resize.
        crop_pct: share of the image that a centre crop keeps.
        rule: scaling to [0, 1]: by the range of the data type, or of each image.
        clip: lowest and highest HU, for CT.
        method: of the pre-training.
        modalities: kinds of images in the pre-training.
        images: number of images in the pre-training.
        epochs: of the pre-training.
        init: the weights at the start of the pre-training.
        license_url: address of the terms.
        redistributable: whether the weights may be published again.
        labels: names of the outputs of the file's classifier, in order.
        replace_old: replace your older entry of this name.

    Returns:
        The report of `check` for the new folder, and the file's tensors that were left out.

    Raises:
        UsageError: for a name that is taken or invalid, an unknown architecture, statistics that are not for inputs in [0, 1],
            a file with several copies of the network (weights and their moving average), or a missing channel order.
        CardError: for an unknown licence.
        RegistryError: for facts that contradict one another.
        ConversionError: if the file does not have the network's weights.
    """
    # check the arguments
    path = paths.absolute(file)
    if not path.exists() and not is_bundle(path):
        raise UsageError(f"There is no file {path}. Check the path.", code="file-not-found")
    _check_name(name, replace_old)
    mean, std = _statistics(mean, "mean"), _statistics(std, "std")
    check_channel_order(channel_order, len(mean))
    architecture = architecture or name.partition("-")[0]
    _check_architecture(architecture)
    # the facts, as the registry's TOML files have them
    channels, file_name = len(mean), printable(path.name)
    table: dict[str, Any] = {
        "architecture": architecture,
        "model": {"kwargs": dict(model_kwargs or {}) or None, "labels": list(labels)} if model_kwargs or labels else None,
        "input": {
            "size": size, "channels": channels, "mean": mean, "std": std, "interpolation": interpolation, "crop_pct": crop_pct,
            "rule": rule, "clip": [float(value) for value in clip] if clip is not None else None,
        },
        "pretraining": {
            "method": method, "data": [data] if isinstance(data, str) else list(data), "modalities": list(modalities),
            "images": images, "epochs": epochs, "init": init,
        },
        "upstream": {
            "access": "manual", "format": format or "timm", "file": file_name, "channel_order": channel_order,
            "instructions": f"These are your own weights: run `medzoo add {file_name} {name} --replace` with the same facts "
            "on the machine that has the file, or copy the folder.",
        },
        "license": {"id": check_license(license, name), "url": license_url, "redistributable": redistributable},
    }  # fmt: skip
    # convert and check in a temporary folder; the entry is moved last
    own_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-add-", dir=own_dir().parent) as work, _clean_errors(work, name):
        entry = _entry(table, Path(work) / f"{name}.toml")
        (folder, left_out), chosen = convert_any(entry, path, Path(work), format, prefix, check_patterns(drop))
        table["upstream"]["format"] = chosen
        _entry(table, Path(work) / f"{name}.toml")
        report = check(folder)
        # convert has checked this already, so a failure means a damaged disk or machine; the row "registry" compares with
        # the older entry, which is still there
        if any(row.result == "FAIL" and row.check != "registry" for row in report.rows):
            raise ConversionError(f"The converted folder failed its checks:\n{report}", code="converted-folder-damaged")
        home = cached_folder(name)
        home.parent.mkdir(parents=True, exist_ok=True)
        with store.atomic_folder(home) as target:
            shutil.copytree(folder, target, dirs_exist_ok=True)
        require_acceptance(name, entry.license, accepted=True)  # the user's own weights need no confirmation
        os.replace(Path(work) / f"{name}.toml", own_dir() / f"{name}.toml")  # last: now the name exists
        store.fsync_folder(own_dir())
    report = check(name)
    return replace(report, rows=(*report.rows, *_order_row(channel_order), _left_out_row(left_out, path)))


def _order_row(order: ChannelOrder | None) -> list[CheckRow]:
    details = {
        "rgb": "the file takes RGB, as medzoo does",
        "bgr": "the file takes BGR: the input channels of its first convolution were reversed, so that the folder takes RGB",
    }
    return [CheckRow("channel order", "PASS", details[order])] if order else []


def _left_out_row(names: Sequence[str], file: Path) -> CheckRow:
    count = f"{len(names)} tensor{'s' if len(names) > 1 else ''}"
    detail = f"{count} of {file.name}: {listed(names, 6)}" if names else f"every tensor of {file.name} is in the folder"
    return CheckRow("left out", "PASS", detail)


@contextmanager
def _clean_errors(work: str, name: str) -> Iterator[None]:
    """Remove the temporary paths from error messages, and add that nothing was written."""
    try:
        yield
    except (UsageError, ConversionError, RegistryError, IntegrityError) as error:
        text = str(error).replace(f"{Path(work) / name}.toml", name).replace(work, name)
        if isinstance(error, ConversionError) and not text.endswith(NOTHING):
            text = f"{text} {NOTHING}"
        error.args = (text,)
        raise


def _statistics(values: object, key: str) -> list[float]:
    """Mean or std as numbers, for inputs in [0, 1]."""
    try:
        rows = [float(value) for value in values]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise UsageError(
            f"{key} is {values!r}. Give one number for each channel, for example (0.485, 0.456, 0.406).",
            code="mean-std-not-numbers",
        ) from None
    if not rows:
        raise UsageError(f"{key} is empty. Give one number for each channel (1 or 3).", code="mean-std-empty")
    if key == "mean" and not all(0 <= value <= 1 for value in rows):
        raise UsageError(
            f"mean is {rows}, but mean and std must be for inputs in [0, 1]. If yours are for 0 to 255, divide both by 255; "
            "for inputs from -1 to 1, mean and std are 0.5.",
            code="mean-out-of-range",
        )
    return rows


def _check_name(name: str, replace_old: bool) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a checkpoint name. Use <architecture>[-<method>]-<data>[-<data>...]: lower-case letters and "
            "digits, words in a token joined by _, tokens by -; for example resnet50-simclr-ourhospital.",
            code="name-invalid",
        )
    if name.endswith("-random"):
        raise UsageError(
            f"{name}: names that end in -random are for random weights. Choose another name.", code="name-for-random"
        )
    own = own_dir() / f"{name}.toml"
    if (config_dir() / f"{name}.toml").is_file() or (not own.is_file() and is_known(name)):
        raise UsageError(
            f"{name} is one of medzoo's own checkpoints (`medzoo info {name}`). Choose another name.",
            code="name-of-medzoo",
        )
    if own.is_file() and not replace_old:
        raise UsageError(
            f"You already have a checkpoint {name} ({own}). Replace it with --replace, or choose another name.",
            code="name-taken",
        )


def _check_architecture(architecture: str) -> None:
    import timm

    import medzoo.zoo.variants  # noqa: F401 - registers the variants with timm

    if not timm.is_model(architecture):
        near = timm.list_models(f"{architecture}*")[:4]
        hint = f" timm has {listed(near, 4)}." if near else ""
        raise UsageError(
            f"{architecture!r} is not an architecture of timm {timm.__version__}.{hint} Give the right one: --architecture.",
            code="architecture-unknown",
        )


def _entry(table: Mapping[str, Any], path: Path) -> Checkpoint:
    """Write the facts as TOML and read them back, to check that the registry accepts them."""
    import tomli_w

    rows = {
        key: {name: fact for name, fact in value.items() if fact not in (None, [])}
        if isinstance(value, dict)
        else value
        for key, value in table.items()
        if value
    }
    store.write_text(path, tomli_w.dumps(rows))
    return read_checkpoint(path)
