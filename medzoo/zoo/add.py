"""A person's own checkpoint under a name of its own: facts, verified folder and entry, in one step or not at all."""

from __future__ import annotations

import os
import re
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
from medzoo.zoo.convert.convert import Converted, convert_file, look
from medzoo.zoo.convert.mismatch_hints import NOTHING
from medzoo.zoo.convert.readers.tensorbundle import is_bundle
from medzoo.zoo.models import build
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.license_acceptance import require_acceptance
from medzoo.zoo.registry.licenses import check_license
from medzoo.zoo.registry.locations import WEIGHTS, cached_folder
from medzoo.zoo.registry.registry import NAME, config_dir, is_known, own_dir, read_checkpoint

CANDIDATES = 6  # formats that are tried if a file's names fit several


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
    """Give a checkpoint of your own a name: from then on `medzoo.load(name)`, recipes and tables take it as any other.

    The entry is written to MEDZOO_HOME/hub_configs/<name>.toml, the verified folder to medzoo's cache. If anything fails,
    neither is left behind. The input convention has no default: a wrong one costs accuracy and shows nowhere.

    Args:
        file: a weights file: timm's names, bare or inside a training checkpoint, or one of the published layouts.
        name: the new name, <architecture>[-<method>]-<data>[-<data>...]; not one of medzoo's own.
        license: SPDX or Hub id of the weights; "unknown" says that nobody stated one.
        data: what it was pre-trained on, in the order of use.
        mean: of the normalisation, one number a channel (1 or 3), of inputs in [0, 1]; divide what is stated for 0 to 255.
        std: as mean.
        size: side of the input, pixels.
        architecture: timm's name; by default the name's first token.
        format: of medzoo.zoo.convert.formats; by default it is told from the file's names.
        prefix: where in the file the network's names begin ("state_dict.module.", the last dot may be absent); by default it
            is looked for.
        drop: regular expressions of names below the prefix that are no part of the network (a projection head).
        model_kwargs: keywords of the architecture (num_heads, img_size, ...).
        interpolation: of the resize.
        crop_pct: share that a centre crop keeps.
        rule: what scales to [0, 1]: the range of the type, or of each image.
        clip: lowest and highest HU, for CT.
        method: of the pre-training.
        modalities: kinds of image it saw.
        images: how many.
        epochs: of the pre-training.
        init: what it started from.
        license_url: where the terms stand.
        redistributable: whether the weights may be published again.
        labels: what the outputs of the file's classifier mean, in its order.
        replace_old: write over your own older entry of this name.

    Returns:
        What `check` found about the new folder, and the file's tensors that were left out.

    Raises:
        UsageError: for a name that is taken or outside the grammar, an unknown architecture, statistics that are not of
            inputs in [0, 1], or a file that holds the network several times (weights and their moving average).
        CardError: for an unknown licence.
        RegistryError: for facts that contradict one another.
        ConversionError: if the file does not hold the network's weights.
    """
    path = paths.absolute(file)
    if not path.exists() and not is_bundle(path):
        raise UsageError(f"There is no file {path}.")
    _free(name, replace_old)
    mean, std = _statistics(mean, "mean"), _statistics(std, "std")
    architecture = architecture or name.partition("-")[0]
    _architecture(architecture, name)
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
            "access": "manual", "format": format or "timm", "file": file_name,
            "instructions": f"These are your own weights: run `medzoo add {file_name} {name} --replace` with the same facts "
            "on the machine that has them, or copy the folder.",
        },
        "license": {
            "id": check_license(license, name), "url": license_url, "redistributable": redistributable,
        },
    }  # fmt: skip
    own_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-add-", dir=own_dir().parent) as work, _told(work, name):
        entry = _entry(table, Path(work) / f"{name}.toml")
        (folder, left_out), chosen = _converted(entry, path, Path(work), format, prefix, _rules(drop))
        table["upstream"]["format"] = chosen
        _entry(table, Path(work) / f"{name}.toml")
        report = check(folder)
        # convert has proved it already, so this says that the disk or the machine is at fault; an entry that is to be
        # replaced still stands, and may say otherwise
        if any(row.result == "FAIL" and row.check != "registry" for row in report.rows):
            raise ConversionError(f"The converted folder does not hold what it should:\n{report}")
        home = cached_folder(name)
        home.parent.mkdir(parents=True, exist_ok=True)
        with store.atomic_folder(home) as target:
            shutil.copytree(folder, target, dirs_exist_ok=True)
        require_acceptance(name, entry.license, accepted=True)  # of one's own weights nobody asks again
        os.replace(Path(work) / f"{name}.toml", own_dir() / f"{name}.toml")  # last: with it the name exists
        store.fsync_folder(own_dir())
    report = check(name)
    return replace(report, rows=(*report.rows, _left_out(left_out, path)))


def _left_out(names: Sequence[str], file: Path) -> CheckRow:
    count = f"{len(names)} tensor{'s' if len(names) > 1 else ''}"
    said = f"{count} of {file.name}: {listed(names, 6)}" if names else f"every tensor of {file.name} is in the folder"
    return CheckRow("left out", "PASS", said)


@contextmanager
def _told(work: str, name: str) -> Iterator[None]:
    """Errors as a person needs them: no place that is gone when they read it, and whether anything was written."""
    try:
        yield
    except (UsageError, ConversionError, RegistryError, IntegrityError) as error:
        text = str(error).replace(f"{Path(work) / name}.toml", name).replace(work, name)
        kept = text if text.endswith(NOTHING) or not isinstance(error, ConversionError) else f"{text} {NOTHING}"
        raise type(error)(kept) from error


def _statistics(values: object, key: str) -> list[float]:
    """Mean or std as numbers, of inputs in [0, 1]."""
    try:
        rows = [float(value) for value in values]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise UsageError(f"{key} is {values!r}; give one number a channel, such as (0.485, 0.456, 0.406).") from None
    if not rows:
        raise UsageError(f"{key} is empty; give one number a channel (1 or 3).")
    if key == "mean" and not all(0 <= value <= 1 for value in rows):
        raise UsageError(
            f"mean is {rows}; mean and std are of inputs in [0, 1]. Divide both by 255 if they were stated for 0 to 255; "
            "for inputs from -1 to 1, mean and std are 0.5."
        )
    return rows


def _free(name: str, replace_old: bool) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no checkpoint name. It is <architecture>[-<method>]-<data>[-<data>...]: small letters and digits, "
            "words inside a token joined by _, tokens by -; for example resnet50-simclr-ourhospital."
        )
    if name.endswith("-random"):
        raise UsageError(f"{name}: a name that ends in -random has no weights.")
    own = own_dir() / f"{name}.toml"
    if (config_dir() / f"{name}.toml").is_file() or (not own.is_file() and is_known(name)):
        raise UsageError(f"{name} is one of medzoo's own checkpoints (`medzoo info {name}`); choose another name.")
    if own.is_file() and not replace_old:
        raise UsageError(
            f"You have a checkpoint {name} already ({own}). Replace it with --replace, or choose another name."
        )


def _architecture(architecture: str, name: str) -> None:
    import timm

    import medzoo.zoo.variants  # noqa: F401 - registers the variants with timm

    if not timm.is_model(architecture):
        near = timm.list_models(f"{architecture}*")[:4]
        hint = f" timm has {listed(near, 4)}." if near else ""
        raise UsageError(
            f"{architecture!r} is no architecture of timm {timm.__version__}.{hint} Name it: --architecture."
        )


def _entry(table: Mapping[str, Any], path: Path) -> Checkpoint:
    """Write the facts as TOML and read them back, so that the registry will accept them later."""
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


def _rules(drop: Sequence[str]) -> tuple[str, ...]:
    for rule in drop:
        try:
            re.compile(rule)
        except re.error as error:
            raise UsageError(f"drop: {rule!r} is no regular expression: {error}.") from error
    return tuple(drop)


def _converted(
    entry: Checkpoint, path: Path, work: Path, asked: str | None, prefix: str | None, drop: tuple[str, ...]
) -> tuple[Converted, str]:
    """The folder, and the format in which the file was read; of several that fit, all must say the same."""
    assert entry.upstream is not None
    ways = [(asked or "timm", prefix or "")] if asked or prefix is not None else _ways(entry, path, drop)
    made: dict[tuple[str, str], Converted] = {}
    errors: list[ConversionError] = []
    for number, (name, below) in enumerate(ways):
        told = replace(entry, upstream=replace(entry.upstream, format=name))
        try:
            made[name, below] = convert_file(told, path, work / str(number), prefix=below, drop=drop, adding=True)
        except ConversionError as error:
            errors.append(error)
    if not made:
        raise errors[-1]
    if len({store.sha256_file(result.folder / WEIGHTS) for result in made.values()}) > 1:
        said = listed([f"--format {name}" + (f" --prefix {below}" if below else "") for name, below in made], 8)
        raise UsageError(f"{path} can be read in several ways that give different weights: {said}. Say which it is.")
    chosen = min(made, key=lambda way: (way[0] != "timm", way))
    return made[chosen], chosen[0]


def _ways(entry: Checkpoint, path: Path, drop: tuple[str, ...]) -> list[tuple[str, str]]:
    """Formats and prefixes in which a file may be read: published layouts first, else wherever all of timm's names stand."""
    seen = look(path, drop=drop)
    known = [(name, "") for name in seen.looks_like if name != "timm"][:CANDIDATES]
    arguments = {**entry.model.kwargs, "in_chans": entry.input.channels, "num_classes": 0}
    config = build.timm_config(entry.architecture, entry.input, num_classes=0)
    need = [
        name
        for name in build.twin(entry.architecture, config, arguments).state_dict()
        if not name.endswith("num_batches_tracked")
    ]
    names = set(seen.names)
    starts = [name.removesuffix(need[0]) for name in seen.names if f".{name}".endswith(f".{need[0]}")]
    found = [start for start in starts if all(start + name in names for name in need)]
    nearest = max(starts, key=lambda start: sum(start + name in names for name in need), default="")
    return [*known, *(("timm", start) for start in found)] or [("timm", nearest)]  # whose message helps most
