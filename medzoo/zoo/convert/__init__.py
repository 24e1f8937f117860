"""Turn an upstream file into a verified folder. The only room that reads torch's own files, and it runs nothing in them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.errors import ConversionError, UsageError, WeightsMismatchError, listed
from medzoo.zoo.convert.read import read_tensors
from medzoo.zoo.convert.rules import FORMATS, Drop, Format, strip_optional, translate
from medzoo.zoo.facts import Checkpoint, Upstream
from medzoo.zoo.registry import info

if TYPE_CHECKING:
    import torch


def convert(file: str | os.PathLike[str], name: str, *, out: str | os.PathLike[str]) -> Path:
    """Turn an upstream file that you have into a folder that medzoo, timm and transformers load.

    Args:
        file: as its authors published it.
        name: the checkpoint it is.
        out: the folder to write.

    Returns:
        The folder.

    Raises:
        ConversionError: if the file is not of the checkpoint's format: a key that no rule names, a tensor that is
            missing or of another shape, NaN or infinity, or a file that would need code to be read.
    """
    return convert_entry(info(name), Path(file).expanduser(), Path(out).expanduser())


def convert_entry(
    entry: Checkpoint,
    file: Path,
    out: Path,
    *,
    url: str | None = None,
    hub: str | None = None,
    revision: str | None = None,
) -> Path:
    """As `convert`, for an entry; `url`, or `hub` and `revision`, say where medzoo itself fetched the file."""
    from medzoo.zoo.config import FolderConfig, Source, Step
    from medzoo.zoo.folder import write_folder
    from medzoo.zoo.schema import parse, plain
    from medzoo.zoo.stating import facts_of, read_card

    upstream = entry.upstream
    if upstream is None:
        raise UsageError(f"{entry.name} has no upstream file; medzoo.load({entry.name!r}) draws its weights.")
    if upstream.format not in FORMATS:
        raise ConversionError(
            f"{entry.name}: medzoo has no rules for the format {upstream.format!r}; it has {listed(FORMATS)}."
        )
    rules = FORMATS[upstream.format]
    state = _renamed(read_tensors(file), rules, f"{file} (format {upstream.format})")
    state, classes, config = _fitted(state, rules, entry, file)
    digest = store.sha256_file(file)
    source = Source(
        upstream.format,
        file.name,
        digest,
        file.stat().st_size,
        _as_published(file, digest, upstream),
        url,
        hub,
        revision,
    )
    lineage = tuple(parse(Step, plain(step), f"{entry.name}: lineage") for step in entry.lineage())
    facts = facts_of(read_card(entry), entry.input, lineage, source)
    arguments = dict(entry.model.kwargs) | ({"in_chans": entry.input.channels} if entry.input.channels != 3 else {})
    return write_folder(state, out, FolderConfig(Path(), entry.architecture, classes, arguments, config, facts=facts))


def _as_published(file: Path, digest: str, upstream: Upstream) -> bool | None:
    if upstream.sha256:
        return digest == upstream.sha256
    if upstream.md5:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "md5").hexdigest().startswith(upstream.md5)
    return None


def _renamed(tensors: dict[str, torch.Tensor], rules: Format, where: str) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    foreign, dropped = [], []
    for key, stored in strip_optional(tensors, rules.optional).items():
        new = translate(key, rules)
        if new is None:
            foreign.append(stored)
        elif isinstance(new, Drop):
            dropped.append(f"{stored} ({new.why})")
        elif new in state:
            raise ConversionError(f"{where}: two keys become {new}.")
        else:
            state[new] = tensors[stored]
    if foreign or not state:
        raise ConversionError(
            f"{where}: {len(foreign)} keys fit no rule: {listed(foreign, 6)}. {len(state)} keys are kept, {len(dropped)} are "
            "dropped by a rule. Nothing was written. Is it another file than this checkpoint's?"
        )
    return state


def _fitted(
    state: dict[str, torch.Tensor], rules: Format, entry: Checkpoint, path: Path
) -> tuple[dict[str, torch.Tensor], int, dict[str, object]]:
    """The tensors as the network needs them, the width of the stored head, and timm's configuration."""
    import torch

    from medzoo.zoo import build
    from medzoo.zoo.weights import compare_names, refuse_not_finite, shapes

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
    return state, classes, config
