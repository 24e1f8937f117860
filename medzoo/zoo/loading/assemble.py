"""Build the requested network from a verified folder: only the requested head and stem may differ from the file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo import store
from medzoo.closed_schema import plain
from medzoo.errors import UsageError, WeightsMismatchError, listed
from medzoo.zoo.folder.config import RESERVED, FolderConfig
from medzoo.zoo.folder.facts import COLLAPSED, COLLAPSED_NOTE
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.loading.stem import adapt_stem
from medzoo.zoo.loading.timm_fallback import through_timm
from medzoo.zoo.models import build
from medzoo.zoo.models.receipt import LoadReceipt
from medzoo.zoo.models.weights import compare_names, read_weights, shapes

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medzoo.zoo.registry.checkpoint import Checkpoint
    from medzoo.zoo.registry.locations import LocatedFolder

HEAD_NOTE = "a fresh head replaces the stored head of {stored} outputs{named}"
STEM_NOTE = "timm adapted the stem from {stored} to {now} channels: the network is {what}"
SAME_STEM, OTHER_STEM = "the same function of grey images", "not the same function"
FOREIGN_HASH = "converted from {file}; its hash is not the one that its authors published (changed, or another release)"


def draw(entry: Checkpoint, request: LoadRequest) -> nn.Module:
    """A network with random weights from torch's generator and the checkpoint's input convention."""
    if request.num_classes == "pretrained":
        raise _no_stored_head(entry.name)
    shape = entry.input
    channels = request.in_chans or shape.channels
    cfg = build.timm_config(entry.architecture, shape, num_classes=request.num_classes)
    cfg = _model_config(cfg, channels, request)
    arguments = {**entry.model.kwargs, "in_chans": channels, "num_classes": request.num_classes, **request.keywords()}
    model = build.create(entry.architecture, cfg, arguments)
    model.eval()
    model_args = {key: value for key, value in arguments.items() if key not in RESERVED}
    model.load_receipt = LoadReceipt(  # type: ignore[assignment]
        entry.name,
        entry.architecture,
        fresh=tuple(model.state_dict()),
        model_args=model_args,
        input_rule=shape.rule,
        input_clip=shape.clip,
        notes=("random weights, drawn from torch's generator",),
        head="fresh" if request.num_classes else "none",
    )
    return model


def _no_stored_head(name: str) -> UsageError:
    return UsageError(
        f"{name} has no stored head. Set num_classes to a number, or to 0 for features.", code="no-stored-head"
    )


def assemble(
    located: LocatedFolder,
    config: FolderConfig,
    request: LoadRequest,
    hashed: Mapping[str, int],
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """The network of a verified folder, with the requested head and stem.

    Args:
        located: the folder of the name.
        config: its configuration; its sha256 is already checked.
        request: the arguments of `load`.
        hashed: the weights file's fingerprint from before it was hashed.
        dtype: to which the caller converts the network; the network itself is float32, or float64 if that is stored and requested.

    Raises:
        IntegrityError: if the file has changed since it was hashed.
        WeightsMismatchError: if the file's names or shapes differ from the architecture's.
    """
    import torch

    stored_head = request.num_classes == "pretrained"
    if stored_head and not config.num_classes:
        raise _no_stored_head(config.name)
    classes = config.num_classes if request.num_classes == "pretrained" else request.num_classes
    channels = request.in_chans or config.in_chans
    # the stored network must match the file exactly, whatever is requested
    state = read_weights(config.weights, hashed)
    empty = _checked_twin(config, state)
    notes = list(located.notes)
    if config.facts is None:
        notes.append("config.json has no sha256: the weights were not verified")
    other = {t.dtype for t in state.values() if t.is_floating_point()} - {torch.float32}
    if dtype == torch.float64:
        other -= {torch.float64}  # float32 would round them
    if other:
        notes.append(f"stored as {', '.join(sorted(map(str, other)))}; loaded as torch.float32")
        state = {name: t.float() if t.dtype in other else t for name, t in state.items()}
    # build the requested network and fill it
    if request.features_only or request.timm_kwargs:
        model, dropped, fresh, more = through_timm(config, state, request, classes, channels)
        notes += more
        _check_all_loaded(model, config)
    else:
        model = _direct(config, state, channels, empty)
        dropped, fresh = (
            ([], []) if stored_head else build.another_head(model, classes, config.pretrained_cfg, config.name)
        )
    # note everything that differs from the stored network
    labels = _labels(located, config)
    if config.num_classes and classes and not stored_head:
        notes += _report_fresh_head(config, labels, classes, request)
        labels = ()
    if config.facts and config.facts.hyperparameters.get(COLLAPSED):
        notes.append(COLLAPSED_NOTE)
        warnings.warn(f"{config.name}: {COLLAPSED_NOTE}", UserWarning, stacklevel=3)
    if config.facts and config.facts.source and config.facts.source.as_published is False:
        notes.append(FOREIGN_HASH.format(file=config.facts.source.file))
    if channels != config.in_chans:
        what = SAME_STEM if _same_on_grey(config, channels) else OTHER_STEM
        notes.append(STEM_NOTE.format(stored=config.in_chans, now=channels, what=what))
    # timm's configuration and the receipt of the network as it is now
    cfg = {**config.pretrained_cfg, "architecture": config.architecture, "num_classes": classes}
    cfg = _model_config(cfg, channels, request)
    cfg.pop("label_names", None)
    if stored_head and labels:
        cfg["label_names"] = labels  # timm's place for them
    if request.features_only:
        cfg = {key: value for key, value in cfg.items() if key not in ("num_classes", "classifier")}
    model.pretrained_cfg = model.default_cfg = cfg  # type: ignore[assignment]
    receipt = _receipt(located, config, dropped, fresh, notes, request)
    head: Literal["stored", "fresh", "none"] = "stored" if stored_head else "fresh" if classes else "none"
    model.load_receipt = replace(receipt, head=head, labels=labels)  # type: ignore[assignment]
    return model.eval()


def _checked_twin(config: FolderConfig, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The stored network on the meta device, after a check that its names and shapes are exactly the file's."""
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
    """Whether the summed stem gives for a grey image what the stored stem gives for the image in all channels.

    With one mean and std for all channels, each channel has the same value x, and the sum of w·x is (the sum of w)·x.
    """
    return channels == 1 and len(set(config.input.mean)) == 1 and len(set(config.input.std)) == 1


def _labels(located: LocatedFolder, config: FolderConfig) -> tuple[str, ...]:
    """The labels of the stored head, from the folder or from the registry's facts."""
    known = located.checkpoint.model.labels if located.checkpoint else ()
    return config.label_names or (known if len(known) == config.num_classes else ())


def _report_fresh_head(config: FolderConfig, labels: tuple[str, ...], classes: int, request: LoadRequest) -> list[str]:
    """Warn that a fresh head replaces the stored one, unless `fresh_head`; return a note if both have as many outputs."""
    stored = config.num_classes
    named = f" ({listed(labels, 6)})" if labels else ""
    if not request.fresh_head:
        warnings.warn(
            f"{config.name} has a stored head of {stored} outputs{named}; num_classes={classes} replaces it with a fresh head. "
            'For the stored head use num_classes="pretrained"; for a fresh head without this warning, fresh_head=True.',
            UserWarning,
            stacklevel=4,
        )
    return [HEAD_NOTE.format(stored=stored, named=named)] if stored == classes else []


def _model_config(cfg: Mapping[str, Any], channels: int, request: LoadRequest) -> dict[str, Any]:
    """Timm's configuration of the built network: channels and size may differ from the file's."""
    rows = dict(cfg)
    stored, height, width = rows["input_size"]
    size = request.timm_kwargs.get("img_size")
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else tuple(size)
    rows["input_size"] = (channels, height, width)
    if channels != stored:
        for key in ("mean", "std"):
            rows[key] = (sum(rows[key]) / len(rows[key]),) * channels
    return rows


def _receipt(
    located: LocatedFolder,
    config: FolderConfig,
    dropped: list[str],
    fresh: list[str],
    notes: list[str],
    request: LoadRequest,
) -> LoadReceipt:

    sha256 = config.facts.sha256 if config.facts else store.verified_sha256(config.weights)
    steps = list(config.facts.lineage) if config.facts else []
    if steps:
        steps[-1] = replace(steps[-1], sha256=sha256)
        if located.revision and "/" in located.name:
            steps[-1] = replace(steps[-1], repo=located.name, revision=located.revision)
    arguments = {**config.model_args, **request.timm_kwargs}
    return LoadReceipt(
        name=config.name,
        architecture=config.architecture,
        folder=str(Path(config.path).resolve()),
        sha256=sha256,
        revision=located.revision,
        lineage=tuple(plain(step) for step in steps),
        dropped=tuple(dropped),
        fresh=tuple(fresh),
        notes=tuple(notes),
        model_args={key: value for key, value in arguments.items() if key != "in_chans"},
        input_rule=config.input.rule,
        input_clip=config.input.clip,
        input_window=config.window,
        repo=located.name if located.revision and "/" in located.name else None,
    )


def _check_all_loaded(model: nn.Module, config: FolderConfig) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise WeightsMismatchError(
                f"{name} of {config.name} was not loaded. No model is returned. Please report this.",
                code="tensors-not-loaded",
            )
