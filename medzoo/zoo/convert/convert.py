"""Convert an upstream file into a verified folder. Only this package reads torch files, and it runs no code from them."""

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
    hint_for_differences,
    hint_for_format,
    hint_to_drop,
    refuse_other_file,
    require_file,
    warn_other_hash,
)
from medzoo.zoo.convert.stages import Stages
from medzoo.zoo.convert.upstream_hash import as_published, sha256_of_parts
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.locations import cached_folder, is_folder
from medzoo.zoo.registry.registry import info

if TYPE_CHECKING:
    import torch

    from medzoo.zoo.convert.key_rules import Format
    from medzoo.zoo.convert.messages import Answer

TEMPORARY = f"{store.TEMPORARY}convert-"
STAGES = READ, COMPARE, HASH, WRITE = (
    "read the file", "compare it with the network", "hash it", "write and check the folder"
)  # fmt: skip


class Converted(NamedTuple):
    """The written folder, and the names of the file's tensors that are not in it."""

    folder: Path
    left_out: tuple[str, ...]


def convert(file: str | os.PathLike[str], name: str, *, out: str | os.PathLike[str] | None = None) -> Path:
    """Convert a local upstream file into a folder that medzoo, timm and transformers load.

    A file whose hash differs from the published one is converted too, with a note on stderr, in `medzoo check` and in the
    load receipt.

    Args:
        file: the file that the authors published; for a TensorFlow checkpoint the prefix, the folder or the zip.
        name: the checkpoint's name.
        out: the folder to write; by default in medzoo's cache, so that `medzoo.load(name)` finds it. An older checkpoint in
            it is replaced, with a note on stderr.

    Returns:
        The folder, absolute.

    Raises:
        UsageError: if the file has the published name of another checkpoint's file, or the folder holds something else.
        ConversionError: if the file is not of the checkpoint's format: a key matches no rule, a tensor is missing or has
            another shape, a value is NaN or infinite, or reading the file would need code.
    """
    entry, path = info(name), paths.absolute(file)
    folder = cached_folder(entry.name) if out is None else paths.absolute(out)
    refuse_other_file(path, entry)
    replaced = is_folder(folder)
    convert_entry(entry, path, folder)
    if replaced:
        print(f"The older checkpoint in {folder} was replaced.", file=sys.stderr)
    return folder


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
        url: the address from which medzoo fetched the file.
        hub: the Hub repository from which medzoo fetched the file.
        revision: that repository's commit.
        prefix: use only the tensors whose names begin with this, and remove it from the names.
        drop: regular expressions of names to leave out, in addition to the format's.

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
    adding: bool = False,
) -> Converted:
    """As `convert_entry`; also returns the names that were left out.

    Args:
        entry: the checkpoint.
        file: the upstream file.
        out: the folder to write.
        origin: address, Hub repository and its commit, if medzoo fetched the file.
        prefix: as for `convert_entry`.
        drop: as for `convert_entry`.
        adding: whether `medzoo add` adds the file; messages then name its options.

    Raises:
        ConversionError: as `convert`.
        UsageError: for an entry without upstream file, or a folder that holds something else.
    """
    try:
        with Stages(f"convert {printable(file.name)}", STAGES) as stages:
            return _converted(entry, file, out, origin, prefix, drop, adding, stages)
    except ConversionError as error:
        raise ConversionError(f"{str(error).removesuffix(NOTHING).rstrip()} {NOTHING}", code=error.code) from error


def _converted(
    entry: Checkpoint, file: Path, out: Path, origin: tuple[str | None, str | None, str | None], prefix: str,
    drop: tuple[str, ...], adding: bool, stages: Stages,
) -> Converted:  # fmt: skip
    from medzoo.closed_schema import parse, plain
    from medzoo.zoo.convert.formats import FORMATS
    from medzoo.zoo.convert.readers.detect import files_of
    from medzoo.zoo.folder.card_fields import read_card
    from medzoo.zoo.folder.card_input import facts_of
    from medzoo.zoo.folder.config import FolderConfig
    from medzoo.zoo.folder.facts import Source, Step
    from medzoo.zoo.folder.read_write import write_folder

    upstream = entry.upstream
    if upstream is None:
        raise UsageError(
            f"{entry.name} has no upstream file. Use medzoo.load({entry.name!r}), which draws random weights.",
            code="no-upstream-file",
        )
    if upstream.format is None:
        raise ConversionError(
            f"{entry.name}: medzoo does not know the layout of its file and cannot convert it. {upstream.instructions or ''}",
            code="layout-unknown",
        )
    require_file(file)
    formats = (upstream.format, *upstream.also)
    if unknown := [name for name in formats if name not in FORMATS]:
        raise ConversionError(
            f"{entry.name}: unknown format {unknown[0]!r}. Known formats: {listed(FORMATS, 80)}.", code="format-unknown"
        )
    # read and rename in the sandbox, then compare with the network
    stages.begin(READ)
    state, answer = _read(file, formats, out, prefix, drop, adding)
    read_as = str(answer.format)
    stages.begin(COMPARE)
    state, entry, classes, config = _match_network(state, FORMATS[read_as], entry, file, adding)
    # config.json records which file the weights came from, and whether it is the published one
    stages.begin(HASH)
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
    stages.begin(WRITE)
    folder = write_folder(state, out, written)
    if published is False:
        warn_other_hash(file, entry)
    return Converted(folder, answer.left_out)


def _labels(entry: Checkpoint, classes: int, file: Path) -> tuple[str, ...]:
    """The labels of the stored head's outputs; empty if unknown."""
    labels = entry.model.labels
    if labels and len(labels) != classes:
        head = f"a head of {classes} outputs" if classes else "no head"
        raise ConversionError(
            f"{file} has {head}, but {entry.name} has {len(labels)} labels. Give one label for each output.",
            code="label-count-mismatch",
        )
    return labels


def _read(
    file: Path, formats: tuple[str, ...], out: Path, prefix: str, drop: tuple[str, ...], adding: bool
) -> tuple[dict[str, torch.Tensor], Answer]:
    """The file's tensors under timm's names, and its format; a separate process reads it."""
    from medzoo.zoo.convert.messages import STATE, Request
    from medzoo.zoo.convert.sandbox import read_in_sandbox
    from medzoo.zoo.models.weights import read_weights

    out.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        store.sweep(out.parent, start=TEMPORARY)  # leftovers of killed processes
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=out.parent) as folder:
        answer = read_in_sandbox(Request(str(file.absolute()), formats, folder, prefix, drop))
        if answer.format is None:
            network = set(answer.names) - set(answer.foreign)
            below = "" if adding else common_start(network)
            hint = hint_for_format(answer.looks_like) or hint_to_drop(
                answer.foreign, network, file, adding=adding, below=below
            )
            raise ConversionError(f"{answer.error}{hint}", code=answer.code)
        return read_weights(Path(folder) / STATE), answer


def _match_network(
    state: dict[str, torch.Tensor], rules: Format, entry: Checkpoint, path: Path, adding: bool
) -> tuple[dict[str, torch.Tensor], Checkpoint, int, dict[str, Any]]:
    """The tensors as the network needs them, the entry adapted to the file, the head's outputs, timm's configuration."""
    import torch

    from medzoo.zoo.models import build
    from medzoo.zoo.models.weights import differences, refuse_impossible, shapes

    if rules.adapt:
        entry = _adapted(entry, rules.adapt(state))
    shape, terms, source = entry.input, entry.license, entry.upstream
    origin = (source.url or (f"https://huggingface.co/{source.hub}" if source.hub else None)) if source else None
    config = build.timm_config(entry.architecture, shape, num_classes=0, license_id=terms.id.lower(), origin=origin)
    # an empty network of the architecture gives the names, shapes and types that the file must have
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
            f"{hint_for_differences(off, need, path, config, adding=adding)}",
            code="weights-differ-from-architecture",
        )
    refuse_impossible(state, str(path))
    state = {name: tensor.to(need[name].dtype) for name, tensor in state.items()}
    if rules.takes_bgr(source.channel_order if source else None):  # medzoo's input is RGB
        first = f"{config['first_conv']}.weight"
        state[first] = state[first].flip(1)
    return state, entry, classes, config


def _adapted(entry: Checkpoint, keywords: dict[str, Any]) -> Checkpoint:
    if not keywords:
        return entry
    model = dataclasses.replace(entry.model, kwargs={**entry.model.kwargs, **keywords})
    size = int(keywords.get("img_size", entry.input.size))
    return dataclasses.replace(entry, model=model, input=dataclasses.replace(entry.input, size=size))
