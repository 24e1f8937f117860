"""Prove a checkpoint on this machine: every promise of its folder looked at, each with its own verdict."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.errors import IntegrityError, MedzooError, UnknownNameError, WeightsMismatchError
from medzoo.zoo.check.report import CheckReport, CheckRow
from medzoo.zoo.folder.config import FolderConfig, read_config
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.hints import text_of, unfinished_run
from medzoo.zoo.registry.locations import CARD
from medzoo.zoo.registry.registry import info

if TYPE_CHECKING:
    import torch

# What could run code if another tool loaded it from the folder.
RUNNABLE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".tar", ".h5")


class _Skip(Exception):  # noqa: N818 - no error
    """This promise need not be looked at, for a reason."""


class _Warn(Exception):  # noqa: N818 - no error
    """Nothing is broken, and a person should know."""


@dataclass
class _Subject:
    """What the checks learn, one from another."""

    folder: Path
    entry: Checkpoint | None
    revision: str | None = None  # the Hub's commit, if the folder came from there
    config: FolderConfig | None = None
    header: bool = False
    state: dict[str, torch.Tensor] | None = None
    fits: bool = False

    def known(self) -> FolderConfig:
        if self.config is None:
            raise _Skip("its configuration could not be read")
        return self.config

    def tensors(self) -> dict[str, torch.Tensor]:
        if self.state is None:
            from medzoo.zoo.models.weights import read_weights

            if not self.header:
                raise _Skip("its weights file could not be read")
            self.state = read_weights(self.known().weights)
        return self.state


def check(
    name: str | os.PathLike[str],
    *,
    hub: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> CheckReport:
    """Look at every promise of a checkpoint that is on this machine; nothing is downloaded and nothing is changed.

    Args:
        name: as for `load`: a registry name, a folder, a run folder.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.

    Raises:
        UnknownNameError: if the name means nothing.
        WeightsUnavailableError: if the checkpoint is not here; `medzoo fetch` brings it.

    >>> check("resnet18-random").passed
    True
    """
    from medzoo.zoo.download.fetch import locate

    text = text_of(name)
    path = Path(text).expanduser()
    if text and path.is_dir() and _registered(text) is None:  # a broken folder gets a report, not an error
        if (unfinished := unfinished_run(path)) is not None:
            raise unfinished
        folder: Path | None = path / "checkpoint" if (path / "checkpoint").is_dir() else path
        entry = revision = None
    else:
        found = locate(text, hub=hub, cache_dir=cache_dir, download=False, accept_license=True)
        folder, entry, revision = found.folder, found.checkpoint, found.revision
    if folder is None:
        assert entry is not None
        return _drawn(entry)
    subject = _Subject(folder, entry, revision)
    rows = tuple(_row(label, step, subject) for label, step in STEPS)
    known = subject.config.name if subject.config else (entry.name if entry else folder.resolve().name)
    return CheckReport(known, str(folder.resolve()), rows)


def _row(label: str, step: Callable[[_Subject], str], subject: _Subject) -> CheckRow:
    try:
        return CheckRow(label, "PASS", step(subject))
    except _Skip as reason:
        return CheckRow(label, "SKIP", str(reason))
    except _Warn as reason:
        return CheckRow(label, "WARN", str(reason))
    except MedzooError as error:
        return CheckRow(label, "FAIL", str(error))


def _registered(name: str) -> Checkpoint | None:
    try:
        return info(name)
    except UnknownNameError:
        return None


def _drawn(entry: Checkpoint) -> CheckReport:
    from medzoo.zoo.loading import assemble

    def builds(_: _Subject) -> str:
        model = assemble.draw(entry, LoadRequest(0, None, False, None, {}))
        count = sum(parameter.numel() for parameter in model.parameters())
        if count != entry.facts["parameters"]:
            raise WeightsMismatchError(
                f"The network has {count} parameters and the facts say {entry.facts['parameters']}."
            )
        return f"{entry.architecture} is built with {count:,} parameters"

    rows = (
        _row("architecture", builds, _Subject(Path(), entry)),
        CheckRow("weights", "SKIP", "there is no file: load draws them from torch's generator"),
    )
    return CheckReport(entry.name, None, rows)


def _files(subject: _Subject) -> str:
    runnable = sorted(path.name for path in subject.folder.iterdir() if path.suffix in RUNNABLE)
    if runnable:
        raise IntegrityError(f"{', '.join(runnable)} may run code when another tool loads the folder. Remove it.")
    here = sorted(path.name for path in subject.folder.iterdir() if path.is_file())
    if CARD not in here:
        raise IntegrityError(f"{subject.folder} has no {CARD}: licence and input convention would be lost with a copy.")
    return ", ".join(here)


def _config(subject: _Subject) -> str:
    subject.config = read_config(subject.folder)
    if subject.config.facts is None:
        raise _Skip("readable, but medzoo did not write it: it states no hash, licence or lineage")
    return f"{subject.config.architecture}, {subject.config.facts.schema}"


def _header(subject: _Subject) -> str:
    from medzoo.zoo.models.weights import read_header
    from medzoo.zoo.registry.locations import WEIGHTS

    path = subject.folder / WEIGHTS
    entries = read_header(path)
    subject.header = True
    return f"{len(entries)} tensors, {path.stat().st_size:,} bytes"


def _sha256(subject: _Subject) -> str:
    config = subject.known()
    digest = store.verified_sha256(config.weights, always=True)
    pin = subject.entry.hub if subject.entry else None
    claims = [(config.facts.sha256, "config.json")] if config.facts else []
    claims += [(pin.sha256, "the registry")] if pin and subject.revision == pin.revision else []
    for want, where in claims:
        if want != digest:
            raise IntegrityError(f"The file has {digest} and {where} says {want}: it was changed or damaged.")
    if not claims:
        raise _Skip(f"nobody states one; the file has {digest}")
    return f"{digest}, as in {' and '.join(where for _, where in claims)}"


def _as_published(subject: _Subject) -> str:
    facts = subject.known().facts
    source = facts.source if facts else None
    if source is None:
        raise _Skip("it was not converted from a file of others")
    if source.as_published is None:
        raise _Skip(f"the authors published no hash of {source.file}")
    if not source.as_published:
        raise _Warn(f"{source.file} has another hash than its authors published (sha256 {source.sha256})")
    return f"{source.file} has the hash that its authors published"


def _names(subject: _Subject) -> str:
    from medzoo.zoo.models import build
    from medzoo.zoo.models.weights import compare_names, read_header, shapes

    config = subject.known()
    if not subject.header:
        raise _Skip("its weights file could not be read")
    arguments = config.model_kwargs()
    need = shapes(build.twin(config.architecture, config.pretrained_cfg, arguments).state_dict().items())
    have = {name: entry.shape for name, entry in read_header(config.weights).items()}
    compare_names(have, need, config.name, config.architecture)
    subject.fits = True
    return f"exactly those of {config.architecture}, both ways"


def _finite(subject: _Subject) -> str:
    from medzoo.zoo.models.weights import refuse_impossible

    state = subject.tensors()
    refuse_impossible(state, "The file", IntegrityError)
    numbers = sum(tensor.numel() for tensor in state.values())
    return f"no NaN or infinity among {numbers:,} numbers, and no variance below 0"


def _labels(subject: _Subject) -> str:
    config = subject.known()
    if not config.num_classes:
        raise _Skip("there is no head")
    if not config.label_names:
        raise _Skip(f"the head has {config.num_classes} outputs, and nobody stated their names")
    if len(set(config.label_names)) != config.num_classes:
        raise IntegrityError(f"{len(set(config.label_names))} different labels for {config.num_classes} outputs.")
    return f"{config.num_classes} outputs, {config.num_classes} names"


def _registry(subject: _Subject) -> str:
    config = subject.known()
    entry = subject.entry or (_registered(config.facts.name) if config.facts else None)
    if entry is None:
        raise _Skip("the registry has no checkpoint of this name")
    if config.facts is not None and config.facts.name != entry.name:
        raise IntegrityError(f"The folder holds {config.facts.name}, not {entry.name}.")
    have, want = config.input, entry.input
    off = [
        f"{key} is {mine} and the registry says {theirs}"
        for key, mine, theirs in (
            ("architecture", config.architecture, entry.architecture),
            *((key, getattr(have, key), getattr(want, key)) for key in ("mean", "std", "channels", "rule", "clip")),
        )
        if mine != theirs
    ]
    if off:
        raise IntegrityError(f"{'; '.join(off)}. The folder is older than the registry: fetch or convert it again.")
    return "architecture and input convention are the registry's"


def _golden(subject: _Subject) -> str:
    from medzoo.zoo.models import build
    from medzoo.zoo.models.golden import check_golden

    config = subject.known()
    if not subject.fits:
        raise _Skip("its names or shapes are not the architecture's")
    wanted = [config.facts.golden] if config.facts and config.facts.golden else []
    wanted += [subject.entry.golden] if subject.entry and subject.entry.golden else []
    if not wanted:
        raise _Skip("no features are stored to compare with")
    state = {name: t.float() if t.is_floating_point() else t for name, t in subject.tensors().items()}
    arguments = config.model_kwargs()
    model = build.filled(config.architecture, config.pretrained_cfg, arguments, state)
    if config.num_classes:
        model.reset_classifier(0)  # type: ignore[operator]
    for golden in wanted:
        check_golden(model, golden, config.in_chans, config.input.size, config.name)
    return "three fixed inputs give the stored features"


STEPS: tuple[tuple[str, Callable[[_Subject], str]], ...] = (
    ("files", _files), ("configuration", _config), ("header", _header), ("sha256", _sha256),
    ("as published", _as_published), ("names, shapes", _names),
    ("finite", _finite), ("labels", _labels), ("registry", _registry), ("golden", _golden),
)  # fmt: skip
