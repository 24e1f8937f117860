"""From a verified folder to the network that was asked for: only the named head and stem may differ from the file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo.errors import UsageError, WeightsMismatchError, listed
from medzoo.zoo.folder.config import RESERVED, FolderConfig
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.loading.stem import adapt_stem
from medzoo.zoo.models import build
from medzoo.zoo.models.receipt import LoadReceipt
from medzoo.zoo.models.weights import compare_names, read_weights, shapes
from medzoo.zoo.registry.closed_schema import plain

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medzoo.zoo.registry.checkpoint import Checkpoint
    from medzoo.zoo.registry.locations import LocatedFolder

HEAD_NOTE = "the stored head of {stored} outputs{named} was left out, and a fresh one was drawn in its place"
STEM_NOTE = "the stem of {stored} channels was turned into {now} as timm does; it is not the same function"
FOREIGN_HASH = "converted from {file}, which has another hash than its authors published: changed, or another release"


def draw(entry: Checkpoint, want: LoadRequest) -> nn.Module:
    """A network with fresh weights from torch's generator, under the checkpoint's input convention."""
    if want.num_classes == "pretrained":
        raise UsageError(f"{entry.name} has no stored head; give num_classes a number, or 0 for features.")
    shape = entry.input
    channels = want.in_chans or shape.channels
    cfg = build.timm_config(entry.architecture, shape, num_classes=want.num_classes)
    cfg = _own_config(cfg, channels, want)
    arguments = {**entry.model.kwargs, "in_chans": channels, "num_classes": want.num_classes, **want.keywords()}
    model = build.create(entry.architecture, cfg, arguments)
    model.eval()
    kept = {key: value for key, value in arguments.items() if key not in RESERVED}
    model.load_receipt = LoadReceipt(  # type: ignore[assignment]
        entry.name, entry.architecture, fresh=tuple(model.state_dict()), model_args=kept, input_rule=shape.rule,
        input_clip=shape.clip, notes=("random weights, drawn from torch's generator",),
        head="fresh" if want.num_classes else "none",
    )  # fmt: skip
    return model


def assemble(found: LocatedFolder, config: FolderConfig, want: LoadRequest, hashed: Mapping[str, int]) -> nn.Module:
    """The network of a verified folder, with the head and stem that were asked for.

    Args:
        found: what the name stands for.
        config: its folder's configuration, the sha256 already checked.
        want: what was asked for.
        hashed: the weights file's fingerprint from before it was hashed.

    Raises:
        IntegrityError: if the file is another one by now.
        WeightsMismatchError: if the file's names or shapes are not exactly the architecture's.
    """
    stored_head = want.num_classes == "pretrained"
    if stored_head and not config.num_classes:
        raise UsageError(f"{config.name} has no stored head; give num_classes a number, or 0 for features.")
    classes = config.num_classes if want.num_classes == "pretrained" else want.num_classes
    channels = want.in_chans or config.in_chans
    state = read_weights(config.weights, hashed)
    empty = _checked_twin(config, state)
    notes = list(found.notes)
    if config.facts is None:
        notes.append("the folder states no sha256: nobody vouches for its weights but the place they came from")
    narrow = sorted({str(t.dtype) for t in state.values() if t.is_floating_point() and t.element_size() < 4})
    if narrow:
        notes.append(f"stored as {', '.join(narrow)}; loaded as torch.float32")
        state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    if want.features_only or want.timm_kwargs:
        from medzoo.zoo.loading.timm_fallback import through_timm

        model, dropped, fresh, more = through_timm(config, state, want, classes, channels)
        notes += more
        _nothing_on_meta(model, config)
    else:
        model = _direct(config, state, channels, empty)
        dropped, fresh = (
            ([], []) if stored_head else build.another_head(model, classes, config.pretrained_cfg, config.name)
        )
    labels = _labels(found, config)
    if config.num_classes and classes and not stored_head:
        notes += _tell_head(config, labels, classes, want)
        labels = ()
    if config.facts and config.facts.source and config.facts.source.as_published is False:
        notes.append(FOREIGN_HASH.format(file=config.facts.source.file))
    if channels != config.in_chans and not _same_on_grey(config, channels):
        notes.append(STEM_NOTE.format(stored=config.in_chans, now=channels))
    cfg = _own_config(
        {**config.pretrained_cfg, "architecture": config.architecture, "num_classes": classes}, channels, want
    )
    cfg.pop("label_names", None)
    if stored_head and labels:
        cfg["label_names"] = labels  # where timm keeps them
    if want.features_only:
        cfg = {key: value for key, value in cfg.items() if key not in ("num_classes", "classifier")}
    model.pretrained_cfg = model.default_cfg = cfg  # type: ignore[assignment]
    receipt = _receipt(found, config, dropped, fresh, notes, want)
    head: Literal["stored", "fresh", "none"] = "stored" if stored_head else "fresh" if classes else "none"
    model.load_receipt = replace(receipt, head=head, labels=labels)  # type: ignore[assignment]
    return model.eval()


def _checked_twin(config: FolderConfig, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The stored network on the meta device, its names and shapes equal to the file's, both ways."""
    arguments = config.model_kwargs()
    empty = build.twin(config.architecture, config.pretrained_cfg, arguments)
    compare_names(shapes(state.items()), shapes(empty.state_dict().items()), str(config.weights), config.architecture)
    return empty


def _direct(config: FolderConfig, state: dict[str, torch.Tensor], channels: int, empty: nn.Module) -> nn.Module:
    arguments = config.model_kwargs(channels)
    if channels != config.in_chans:
        state = adapt_stem(config, state, channels)
        return build.filled(config.architecture, config.pretrained_cfg, arguments, state)
    return build.filled(config.architecture, config.pretrained_cfg, arguments, state, empty)


def _same_on_grey(config: FolderConfig, channels: int) -> bool:
    """Whether the summed stem answers to a grey image as the stored one does to the image repeated.

    With one mean and std for all channels, each sees the same number x, and the sum over w·x is (the sum over w)·x.
    """
    return channels == 1 and len(set(config.input.mean)) == 1 and len(set(config.input.std)) == 1


def _labels(found: LocatedFolder, config: FolderConfig) -> tuple[str, ...]:
    """What the outputs of the stored head mean, as the folder says, or the facts of its checkpoint."""
    known = found.checkpoint.model.labels if found.checkpoint else ()
    return config.label_names or (known if len(known) == config.num_classes else ())


def _tell_head(config: FolderConfig, labels: tuple[str, ...], classes: int, want: LoadRequest) -> list[str]:
    """Say that a stored head was left out for a fresh one: in a warning unless that is meant, and in a note of as many outputs."""
    stored = config.num_classes
    named = f" ({listed(labels, 6)})" if labels else ""
    if not want.fresh_head:
        warnings.warn(
            f"{config.name} has a stored head of {stored} outputs{named}, and num_classes={classes} leaves it out and draws a "
            'fresh one. num_classes="pretrained" gives the stored head; fresh_head=True says that a fresh one is meant.',
            UserWarning,
            stacklevel=4,
        )
    return [HEAD_NOTE.format(stored=stored, named=named)] if stored == classes else []


def _own_config(cfg: Mapping[str, Any], channels: int, want: LoadRequest) -> dict[str, Any]:
    """Our facts for the network as it is now: channels and size may differ from the file's."""
    rows = dict(cfg)
    stored, height, width = rows["input_size"]
    size = want.timm_kwargs.get("img_size")
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else tuple(size)
    rows["input_size"] = (channels, height, width)
    if channels != stored:
        for key in ("mean", "std"):
            rows[key] = (sum(rows[key]) / len(rows[key]),) * channels
    return rows


def _receipt(
    found: LocatedFolder,
    config: FolderConfig,
    dropped: list[str],
    fresh: list[str],
    notes: list[str],
    want: LoadRequest,
) -> LoadReceipt:
    from medzoo import store

    sha256 = config.facts.sha256 if config.facts else store.verified_sha256(config.weights)
    steps = list(config.facts.lineage) if config.facts else []
    if steps:
        steps[-1] = replace(steps[-1], sha256=sha256)
        if found.revision and "/" in found.name:
            steps[-1] = replace(steps[-1], repo=found.name, revision=found.revision)
    arguments = {**config.model_args, **want.timm_kwargs}
    return LoadReceipt(
        name=config.name, architecture=config.architecture, folder=str(Path(config.path).resolve()), sha256=sha256,
        revision=found.revision, lineage=tuple(plain(step) for step in steps), dropped=tuple(dropped), fresh=tuple(fresh),
        notes=tuple(notes), model_args={key: value for key, value in arguments.items() if key != "in_chans"},
        input_rule=config.input.rule, input_clip=config.input.clip,
        repo=found.name if found.revision and "/" in found.name else None,
    )  # fmt: skip


def _nothing_on_meta(model: nn.Module, config: FolderConfig) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise WeightsMismatchError(
                f"{name} of {config.name} was not loaded. Please report this; nothing is returned."
            )
