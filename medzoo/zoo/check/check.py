"""Check a checkpoint on this machine: its files, hash, tensors, facts and outputs, with one result for each check."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.errors import IntegrityError, MedzooError, UnknownNameError, WeightsMismatchError
from medzoo.zoo.check.report import CheckReport, CheckRow
from medzoo.zoo.download.fetch import locate
from medzoo.zoo.folder.config import FolderConfig, read_config
from medzoo.zoo.loading import assemble
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.models import build
from medzoo.zoo.models.golden import check_golden
from medzoo.zoo.models.weights import compare_names, read_header, read_weights, refuse_impossible, shapes
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.hints import unfinished_run
from medzoo.zoo.registry.locations import CARD, WEIGHTS
from medzoo.zoo.registry.registry import info, text_of

if TYPE_CHECKING:
    import torch

# Files that could run code if another tool loads them from the folder.
RUNNABLE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".tar", ".h5")


class _Skip(Exception):  # noqa: N818 - not an error
    """This check is not possible or not needed; the message is the reason."""


class _Warn(Exception):  # noqa: N818 - not an error
    """Nothing is broken, but the user should know this."""


@dataclass
class _Subject:
    """The checkpoint, and the results of earlier checks that later checks use."""

    folder: Path
    entry: Checkpoint | None
    revision: str | None = None  # the Hub's commit, if the folder is from the Hub
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
    """Run all checks on a checkpoint of this machine; nothing is downloaded, and the folder is not changed.

    The terms of the weights need not be accepted, and no acceptance is recorded.

    Args:
        name: as for `load`: a registry name, a folder, a run folder.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.

    Raises:
        UnknownNameError: for an unknown name.
        WeightsUnavailableError: if the checkpoint is not on this machine; `medzoo fetch` downloads it.

    >>> check("resnet18-random").passed
    True
    """

    text = text_of(name)
    path = Path(text).expanduser()
    if text and path.is_dir() and _registered(text) is None:  # a broken folder gets a report, not an error
        if (unfinished := unfinished_run(path)) is not None:
            raise unfinished
        folder: Path | None = path / "checkpoint" if (path / "checkpoint").is_dir() else path
        entry = revision = None
    else:
        located = locate(text, hub=hub, cache_dir=cache_dir, download=False)
        folder, entry, revision = located.folder, located.checkpoint, located.revision
    if folder is None:
        assert entry is not None
        return _check_random(entry)
    subject = _Subject(folder, entry, revision)
    rows = tuple(_row(label, step, subject) for label, step in STEPS)
    title = subject.config.name if subject.config else (entry.name if entry else folder.resolve().name)
    return CheckReport(title, str(folder.resolve()), rows)


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


def _check_random(entry: Checkpoint) -> CheckReport:

    def builds(_: _Subject) -> str:
        model = assemble.draw(entry, LoadRequest(0, None, False, None, {}))
        count = sum(parameter.numel() for parameter in model.parameters())
        if count != entry.facts["parameters"]:
            raise WeightsMismatchError(
                f"The network has {count} parameters, but the registry states {entry.facts['parameters']}.",
                code="parameter-count-differs",
            )
        return f"{entry.architecture} is built with {count:,} parameters"

    rows = (
        _row("architecture", builds, _Subject(Path(), entry)),
        CheckRow("weights", "SKIP", "there is no file: load() draws random weights from torch's generator"),
    )
    return CheckReport(entry.name, None, rows)


def _files(subject: _Subject) -> str:
    runnable = sorted(path.name for path in subject.folder.iterdir() if path.suffix in RUNNABLE)
    if runnable:
        raise IntegrityError(
            f"{', '.join(runnable)} may run code when another tool loads the folder. Remove it.", code="runnable-file"
        )
    files = sorted(path.name for path in subject.folder.iterdir() if path.is_file())
    if CARD not in files:
        raise IntegrityError(
            f"{subject.folder} has no {CARD}: a copy would lose the licence and the input convention.",
            code="card-missing",
        )
    return ", ".join(files)


def _config(subject: _Subject) -> str:
    subject.config = read_config(subject.folder)
    if subject.config.facts is None:
        raise _Skip("readable, but not written by medzoo: it has no hash, licence or lineage")
    return f"{subject.config.architecture}, {subject.config.facts.schema}"


def _header(subject: _Subject) -> str:

    path = subject.folder / WEIGHTS
    entries = read_header(path)
    subject.header = True
    return f"{len(entries)} tensors, {path.stat().st_size:,} bytes"


def _sha256(subject: _Subject) -> str:
    config = subject.known()
    digest = store.verified_sha256(config.weights, always=True)
    pin = subject.entry.hub if subject.entry else None
    recorded = [(config.facts.sha256, "config.json")] if config.facts else []
    recorded += [(pin.sha256, "the registry")] if pin and subject.revision == pin.revision else []
    for expected, where in recorded:
        if expected != digest:
            raise IntegrityError(
                f"The file has sha256 {digest}, but {where} has {expected}: it was changed or damaged.",
                code="sha256-differs",
            )
    if not recorded:
        raise _Skip(f"no sha256 is recorded; the file has {digest}")
    return f"{digest}, as in {' and '.join(where for _, where in recorded)}"


def _as_published(subject: _Subject) -> str:
    facts = subject.known().facts
    source = facts.source if facts else None
    if source is None:
        raise _Skip("it was not converted from a published file")
    if source.as_published is None:
        raise _Skip(f"the authors published no hash of {source.file}")
    if not source.as_published:
        raise _Warn(f"the hash of {source.file} is not the one that its authors published (sha256 {source.sha256})")
    return f"{source.file} has the hash that its authors published"


def _names(subject: _Subject) -> str:

    config = subject.known()
    if not subject.header:
        raise _Skip("its weights file could not be read")
    arguments = config.model_kwargs()
    expected = shapes(build.twin(config.architecture, config.pretrained_cfg, arguments).state_dict().items())
    actual = {name: entry.shape for name, entry in read_header(config.weights).items()}
    compare_names(actual, expected, config.name, config.architecture)
    subject.fits = True
    return f"exactly those of {config.architecture}: none is missing or extra"


def _finite(subject: _Subject) -> str:

    state = subject.tensors()
    refuse_impossible(state, "The file", IntegrityError)
    numbers = sum(tensor.numel() for tensor in state.values())
    return f"no NaN or infinity among {numbers:,} numbers, and no variance below 0"


def _labels(subject: _Subject) -> str:
    config = subject.known()
    if not config.num_classes:
        raise _Skip("there is no head")
    if not config.label_names:
        raise _Skip(f"the head has {config.num_classes} outputs without recorded names")
    if len(set(config.label_names)) != config.num_classes:
        raise IntegrityError(
            f"The head has {config.num_classes} outputs, but {len(set(config.label_names))} different labels.",
            code="label-count-differs",
        )
    return f"{config.num_classes} outputs, {config.num_classes} names"


def _registry(subject: _Subject) -> str:
    config = subject.known()
    entry = subject.entry or (_registered(config.facts.name) if config.facts else None)
    if entry is None:
        raise _Skip("the registry has no checkpoint of this name")
    if config.facts is not None and config.facts.name != entry.name:
        raise IntegrityError(f"The folder has {config.facts.name}, not {entry.name}.", code="other-checkpoint")
    keys = ("mean", "std", "channels", "rule", "clip")
    pairs = [(key, getattr(config.input, key), getattr(entry.input, key)) for key in keys]
    pairs = [("architecture", config.architecture, entry.architecture), *pairs]
    wrong = [f"{key} is {ours} but {theirs} in the registry" for key, ours, theirs in pairs if ours != theirs]
    if wrong:
        raise IntegrityError(
            f"{'; '.join(wrong)}. The folder is older than the registry: fetch or convert it again.",
            code="differs-from-registry",
        )
    return "architecture and input convention are as in the registry"


def _golden(subject: _Subject) -> str:

    config = subject.known()
    if not subject.fits:
        raise _Skip("its names or shapes do not match the architecture")
    stored = [config.facts.golden] if config.facts and config.facts.golden else []
    stored += [subject.entry.golden] if subject.entry and subject.entry.golden else []
    if not stored:
        raise _Skip("no features are stored to compare with")
    state = {name: t.float() if t.is_floating_point() else t for name, t in subject.tensors().items()}
    arguments = config.model_kwargs()
    model = build.filled(config.architecture, config.pretrained_cfg, arguments, state)
    if config.num_classes:
        model.reset_classifier(0)  # type: ignore[operator]
    for golden in stored:
        check_golden(model, golden, config.in_chans, config.input.size, config.name)
    return "three fixed inputs give the stored features"


STEPS: tuple[tuple[str, Callable[[_Subject], str]], ...] = (
    ("files", _files),
    ("configuration", _config),
    ("header", _header),
    ("sha256", _sha256),
    ("as published", _as_published),
    ("names, shapes", _names),
    ("finite", _finite),
    ("labels", _labels),
    ("registry", _registry),
    ("golden", _golden),
)
