"""Turn an upstream file into a verified folder. The only room that reads torch's own files, and it runs nothing in them."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medzoo import paths, store
from medzoo.errors import ConversionError, UsageError, listed, printable
from medzoo.zoo.convert.mismatch_hints import (
    NOTHING,
    common_start,
    of_network,
    other_layout,
    refuse_other_file,
    require_file,
    to_leave_out,
    told_hash,
)
from medzoo.zoo.convert.upstream_hash import as_published, sha256_of_parts
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.locations import cached_folder, is_folder
from medzoo.zoo.registry.registry import info

if TYPE_CHECKING:
    import torch

    from medzoo.zoo.convert.key_rules import Format
    from medzoo.zoo.convert.messages import Answer

TEMPORARY = f"{store.TEMPORARY}convert-"


class Converted(NamedTuple):
    """A folder that was written, and the names of the file's tensors that are not in it."""

    folder: Path
    left_out: tuple[str, ...]


def convert(file: str | os.PathLike[str], name: str, *, out: str | os.PathLike[str] | None = None) -> Path:
    """Turn an upstream file that you have into a folder that medzoo, timm and transformers load.

    A file with another hash than its authors published is converted all the same: stderr, `medzoo check` and the load receipt
    say so.

    Args:
        file: as its authors published it; of a TensorFlow checkpoint the prefix, the folder or the zip.
        name: the checkpoint it is.
        out: the folder to write; by default medzoo's own, so that `medzoo.load(name)` finds it. An older checkpoint in it is
            replaced, and stderr says so.

    Returns:
        The folder, absolute.

    Raises:
        UsageError: if the file carries the name under which another checkpoint's was published, or the folder holds
            something else.
        ConversionError: if the file is not of the checkpoint's format: a key that no rule names, a tensor that is
            missing or of another shape, NaN or infinity, or a file that would need code to be read.
    """
    entry, path = info(name), paths.absolute(file)
    folder = cached_folder(entry.name) if out is None else paths.absolute(out)
    refuse_other_file(path, entry)
    replaced = is_folder(folder)
    convert_entry(entry, path, folder)
    if replaced:
        print(f"The checkpoint that was in {folder} is replaced.", file=sys.stderr)
    return folder


def recognise(file: str | os.PathLike[str]) -> list[str]:
    """The formats whose rules name every key of a file; what a network needs is not looked at.

    Args:
        file: a weights file.

    Returns:
        Ids of medzoo.zoo.convert.formats, the plain "timm" (which takes any names) last.

    Raises:
        ConversionError: if it cannot be read.
    """
    return sorted(look(paths.absolute(file)).looks_like, key=lambda name: name == "timm")


def look(file: Path, *, drop: tuple[str, ...] = ()) -> Answer:
    """The names of a file's tensors, and the formats that they fit.

    Args:
        file: a weights file.
        drop: regular expressions of names to leave out.

    Raises:
        ConversionError: if it cannot be read.
    """
    from medzoo.zoo.convert.messages import Request
    from medzoo.zoo.convert.sandbox import read_apart

    require_file(file)
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

    Raises:
        ConversionError: as `convert`.
        UsageError: for an entry without upstream file, or a folder that holds something else.
    """
    return convert_file(entry, file, out, (url, hub, revision), prefix=prefix, drop=drop).folder


def convert_file(
    entry: Checkpoint,
    file: Path,
    out: Path,
    origin: tuple[str | None, str | None, str | None] = (None, None, None),
    *,
    prefix: str = "",
    drop: tuple[str, ...] = (),
    own: bool = False,
) -> Converted:
    """As `convert_entry`, and what was left out.

    Args:
        entry: the checkpoint.
        file: the upstream file.
        out: the folder to write.
        origin: address, Hub repository and its commit, where medzoo itself fetched the file.
        prefix: as for `convert_entry`.
        drop: as for `convert_entry`.
        own: whether the file is being added, so that messages speak of its options.

    Raises:
        ConversionError: as `convert`.
        UsageError: for an entry without upstream file, or a folder that holds something else.
    """
    try:
        return _converted(entry, file, out, origin, prefix, drop, own)
    except ConversionError as error:
        raise ConversionError(f"{str(error).removesuffix(NOTHING).rstrip()} {NOTHING}") from error


def _converted(
    entry: Checkpoint, file: Path, out: Path, origin: tuple[str | None, str | None, str | None], prefix: str,
    drop: tuple[str, ...], own: bool,
) -> Converted:  # fmt: skip
    from medzoo.zoo.convert.formats import FORMATS
    from medzoo.zoo.convert.readers.detect import files_of
    from medzoo.zoo.folder.card_input import facts_of, read_card
    from medzoo.zoo.folder.config import FolderConfig
    from medzoo.zoo.folder.facts import Source, Step
    from medzoo.zoo.folder.read_write import write_folder
    from medzoo.zoo.registry.closed_schema import parse, plain

    upstream = entry.upstream
    if upstream is None:
        raise UsageError(f"{entry.name} has no upstream file; medzoo.load({entry.name!r}) draws its weights.")
    if upstream.format is None:
        raise ConversionError(
            f"{entry.name}: the layout of its file is not known, so medzoo has no rules for it. {upstream.instructions or ''}"
        )
    require_file(file)
    asked = (upstream.format, *upstream.also)
    if unknown := [name for name in asked if name not in FORMATS]:
        raise ConversionError(f"{entry.name}: medzoo has no format {unknown[0]!r}; it has {listed(FORMATS, 80)}.")
    state, answer = _read(file, asked, out, prefix, drop, own)
    read_as = str(answer.format)
    state, entry, classes, config = _fitted(state, FORMATS[read_as], entry, file, own)
    parts = files_of(file)
    digest = sha256_of_parts(parts)
    size, published = sum(part.stat().st_size for part in parts), as_published(file, digest, upstream)
    source = Source(read_as, printable(file.name), digest, size, published, *origin)
    lineage = tuple(parse(Step, plain(step), f"{entry.name}: lineage") for step in entry.lineage())
    facts = facts_of(read_card(entry), entry.input, lineage, source)
    arguments = dict(entry.model.kwargs) | ({"in_chans": entry.input.channels} if entry.input.channels != 3 else {})
    written = FolderConfig(
        Path(), entry.architecture, classes, arguments, config, _labels(entry, classes, file), facts=facts
    )
    folder = write_folder(state, out, written)
    if published is False:
        told_hash(file, entry)
    return Converted(folder, answer.left_out)


def _labels(entry: Checkpoint, classes: int, file: Path) -> tuple[str, ...]:
    """What the outputs of the stored head mean, if anybody stated it."""
    labels = entry.model.labels
    if labels and len(labels) != classes:
        has = f"a head of {classes} outputs" if classes else "no head"
        raise ConversionError(f"{file} has {has}, and the labels that {entry.name} states are {len(labels)} in number.")
    return labels


def _read(
    file: Path, formats: tuple[str, ...], out: Path, prefix: str, drop: tuple[str, ...], own: bool
) -> tuple[dict[str, torch.Tensor], Answer]:
    """The file's tensors under timm's names, and the format that it has; read in a process of its own."""
    from medzoo.zoo.convert.messages import STATE, Request
    from medzoo.zoo.convert.sandbox import read_apart
    from medzoo.zoo.models.weights import read_weights

    out.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        store.sweep(out.parent, start=TEMPORARY)  # what a kill left behind
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=out.parent) as folder:
        answer = read_apart(Request(str(file.absolute()), formats, folder, prefix, drop))
        if answer.format is None:
            network = set(answer.names) - set(answer.foreign)
            below = "" if own else common_start(network)
            hint = other_layout(answer.looks_like) or to_leave_out(answer.foreign, network, file, own=own, below=below)
            raise ConversionError(f"{answer.error}{hint}")
        return read_weights(Path(folder) / STATE), answer


def _fitted(
    state: dict[str, torch.Tensor], rules: Format, entry: Checkpoint, path: Path, own: bool
) -> tuple[dict[str, torch.Tensor], Checkpoint, int, dict[str, Any]]:
    """The tensors as the network needs them, the entry as the file decides it, the head's width, timm's configuration."""
    import torch

    from medzoo.zoo.models import build
    from medzoo.zoo.models.weights import differences, refuse_impossible, shapes

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
    if off := differences(shapes(state.items()), shapes(need.items())):
        raise ConversionError(
            f"{path}, renamed by its format's rules, does not hold the weights of {entry.architecture}: {off}."
            f"{of_network(off, need, path, config, own=own)}"
        )
    refuse_impossible(state, str(path))
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
