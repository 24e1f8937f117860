"""Turn an upstream file into a verified folder. The only room that reads torch's own files, and it runs nothing in them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import ConversionError, UsageError, WeightsMismatchError, listed
from medzoo.zoo.facts import Checkpoint, Upstream
from medzoo.zoo.places import cached_folder
from medzoo.zoo.registry import info, names

if TYPE_CHECKING:
    import torch

    from medzoo.zoo.convert.child import Answer
    from medzoo.zoo.convert.rules import Format


def convert(file: str | os.PathLike[str], name: str, *, out: str | os.PathLike[str] | None = None) -> Path:
    """Turn an upstream file that you have into a folder that medzoo, timm and transformers load.

    Args:
        file: as its authors published it; of a TensorFlow checkpoint the prefix, the folder or the zip.
        name: the checkpoint it is.
        out: the folder to write; by default medzoo's own, so that `medzoo.load(name)` finds it.

    Returns:
        The folder.

    Raises:
        ConversionError: if the file is not of the checkpoint's format: a key that no rule names, a tensor that is
            missing or of another shape, NaN or infinity, or a file that would need code to be read.
    """
    entry = info(name)
    folder = cached_folder(entry.name) if out is None else Path(out).expanduser()
    return convert_entry(entry, Path(file).expanduser(), folder)


def recognise(file: str | os.PathLike[str]) -> list[str]:
    """The formats whose rules name every key of a file; what a network needs is not looked at.

    Args:
        file: a weights file.

    Returns:
        Ids of medzoo.zoo.convert.formats, the plain "timm" (which takes any names) last.

    Raises:
        ConversionError: if it cannot be read.
    """
    return sorted(look(Path(file).expanduser()).looks_like, key=lambda name: name == "timm")


def look(file: Path, *, drop: tuple[str, ...] = ()) -> Answer:
    """The names of a file's tensors, and the formats that they fit.

    Args:
        file: a weights file.
        drop: regular expressions of names to leave out.

    Raises:
        ConversionError: if it cannot be read.
    """
    from medzoo.zoo.convert.child import Request
    from medzoo.zoo.convert.sandbox import read_apart

    with tempfile.TemporaryDirectory() as folder:
        answer = read_apart(Request(str(file.absolute()), (), folder, drop=drop))
    if answer.error:
        raise ConversionError(answer.error)
    return answer


def convert_entry(
    entry: Checkpoint,
    file: Path,
    out: Path,
    *,
    url: str | None = None,
    hub: str | None = None,
    revision: str | None = None,
    prefix: str = "",
    drop: tuple[str, ...] = (),
) -> Path:
    """As `convert`, for an entry.

    Args:
        entry: the checkpoint.
        file: the upstream file.
        out: the folder to write.
        url: where medzoo itself fetched the file.
        hub: the repository where medzoo itself fetched the file.
        revision: that repository's commit.
        prefix: take only the tensors whose names begin so, without it.
        drop: regular expressions of names to leave out, on top of the format's.
    """
    from medzoo.zoo.config import FolderConfig, Source, Step
    from medzoo.zoo.convert.formats import FORMATS
    from medzoo.zoo.convert.read import files_of
    from medzoo.zoo.folder import write_folder
    from medzoo.zoo.schema import parse, plain
    from medzoo.zoo.stating import facts_of, read_card

    upstream = entry.upstream
    if upstream is None:
        raise UsageError(f"{entry.name} has no upstream file; medzoo.load({entry.name!r}) draws its weights.")
    if upstream.format is None:
        raise ConversionError(
            f"{entry.name}: the layout of its file is not known, so medzoo has no rules for it. {upstream.instructions or ''}"
        )
    asked = (upstream.format, *upstream.also)
    if unknown := [name for name in asked if name not in FORMATS]:
        raise ConversionError(f"{entry.name}: medzoo has no format {unknown[0]!r}; it has {listed(FORMATS, 80)}.")
    state, read_as = _read(entry, file, asked, out, prefix, drop)
    state, entry, classes, config = _fitted(state, FORMATS[read_as], entry, file)
    parts = files_of(file)
    digest = _sha256(parts)
    source = Source(
        read_as, file.name, digest, sum(part.stat().st_size for part in parts), _as_published(file, digest, upstream),
        url, hub, revision,
    )  # fmt: skip
    lineage = tuple(parse(Step, plain(step), f"{entry.name}: lineage") for step in entry.lineage())
    facts = facts_of(read_card(entry), entry.input, lineage, source)
    arguments = dict(entry.model.kwargs) | ({"in_chans": entry.input.channels} if entry.input.channels != 3 else {})
    return write_folder(state, out, FolderConfig(Path(), entry.architecture, classes, arguments, config, facts=facts))


def _read(
    entry: Checkpoint, file: Path, formats: tuple[str, ...], out: Path, prefix: str, drop: tuple[str, ...]
) -> tuple[dict[str, torch.Tensor], str]:
    """The file's tensors under timm's names, and the format that it has; read in a process of its own."""
    from medzoo.zoo.convert.child import STATE, Request
    from medzoo.zoo.convert.sandbox import read_apart
    from medzoo.zoo.weights import read_weights

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-convert-", dir=out.parent) as folder:
        answer = read_apart(Request(str(file.absolute()), formats, folder, prefix, drop))
        if answer.format is None:
            raise ConversionError(f"{answer.error}{_hint(answer.looks_like)} Nothing was written.")
        return read_weights(Path(folder) / STATE), answer.format


def _hint(looks_like: tuple[str, ...]) -> str:
    found = [name for name in looks_like if name != "timm"]
    if not found:
        return ""
    owners = [name for name in names() if (source := info(name).upstream) and source.format in found]
    whose = f", as of {listed(owners, 6)}" if owners else ""
    return f" Its keys are those of {listed(found, 4)}{whose}: is it another checkpoint's file?"


def _sha256(parts: tuple[Path, ...]) -> str:
    """Of the bytes of all parts, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as opened:
            while chunk := opened.read(1024 * 1024):
                digest.update(chunk)
    return digest.hexdigest()


def _as_published(file: Path, digest: str, upstream: Upstream) -> bool | None:
    if upstream.sha256:
        return digest == upstream.sha256
    if upstream.md5 and file.is_file():
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "md5").hexdigest().startswith(upstream.md5)
    return None


def _fitted(
    state: dict[str, torch.Tensor], rules: Format, entry: Checkpoint, path: Path
) -> tuple[dict[str, torch.Tensor], Checkpoint, int, dict[str, Any]]:
    """The tensors as the network needs them, the entry as the file decides it, the head's width, timm's configuration."""
    import torch

    from medzoo.zoo import build
    from medzoo.zoo.weights import compare_names, refuse_not_finite, shapes

    if rules.adapt:
        entry = _adapted(entry, rules.adapt(state))
    shape, terms = entry.input, entry.license
    source = entry.upstream
    origin = (source.url or (f"https://huggingface.co/{source.hub}" if source.hub else None)) if source else None
    config = build.timm_config(entry.architecture, shape, num_classes=0, license_id=terms.id.lower(), origin=origin)
    head = f"{config['classifier']}.weight"
    classes = int(state[head].shape[0]) if rules.head and head in state else 0
    config["num_classes"] = classes
    arguments = {**entry.model.kwargs, "in_chans": shape.channels, "num_classes": classes}
    need = build.twin(entry.architecture, config, arguments).state_dict()
    counters = {name: tensor for name, tensor in need.items() if name.endswith("num_batches_tracked")}
    if rules.counters and not counters.keys() & state.keys():
        state |= {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in counters.items()}
    try:
        compare_names(
            shapes(state.items()), shapes(need.items()), f"{path}, renamed by its format's rules,", entry.architecture
        )
    except WeightsMismatchError as error:
        raise ConversionError(str(error)) from error
    refuse_not_finite(state, str(path))
    state = {name: tensor.to(need[name].dtype) for name, tensor in state.items()}
    if rules.bgr:
        first = f"{config['first_conv']}.weight"
        state[first] = state[first].flip(1)
    return state, entry, classes, config


def _adapted(entry: Checkpoint, keywords: dict[str, Any]) -> Checkpoint:
    if not keywords:
        return entry
    model = dataclasses.replace(entry.model, kwargs={**entry.model.kwargs, **keywords})
    size = int(keywords.get("img_size", entry.input.size))
    return dataclasses.replace(entry, model=model, input=dataclasses.replace(entry.input, size=size))
