"""Publish a named checkpoint: its verified folder with the required licence texts; then pin the commit in its facts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.errors import LicenseError, MedzooError, PublishError, UsageError
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.download.fetch import locate
from medzoo.zoo.download.hub_client import look_up
from medzoo.zoo.folder.card import committed_cards, write_card
from medzoo.zoo.folder.read_write import verify_folder
from medzoo.zoo.publish.push import check_publishable
from medzoo.zoo.publish.upload import Pushed, Upload, commit
from medzoo.zoo.publish.upload_plan import prepare
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.checkpoint import Checkpoint, Golden, Hub
from medzoo.zoo.registry.hub_names import check_repo
from medzoo.zoo.registry.licenses import WITH_TEXT
from medzoo.zoo.registry.locations import ORGANISATION, WEIGHTS
from medzoo.zoo.registry.registry import info, read_checkpoint

if TYPE_CHECKING:
    from medzoo.zoo.folder.config import FolderConfig
    from medzoo.zoo.folder.facts import Source


@dataclass(frozen=True)
class Released:
    """The result of `publish`.

    Args:
        upload: the files.
        pushed: the commit; None after a dry run.
        written: the files of this checkout that now have the pin.
    """

    upload: Upload
    pushed: Pushed | None
    written: tuple[Path, ...] = ()


def publish(
    name: str,
    *,
    repo: str | None = None,
    license_file: str | os.PathLike[str] | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    dry_run: bool = False,
) -> Released:
    """Upload a checkpoint's verified folder and pin the commit in its facts: `load` then uses exactly these bytes.

    Args:
        name: of the registry.
        repo: the repository; by default medzoo/<name>.
        license_file: the licence's text, for licences that require it (MIT, BSD); medzoo has the text of Apache-2.0.
        private: as for `push`.
        token: of the Hub.
        dry_run: check everything, but upload and write nothing.

    Raises:
        LicenseError: if the weights may not be published again, or the required licence text was not given.
        PublishError: if the files have private data, or the Hub refuses.
        WeightsUnavailableError: if the weights are not on this machine and cannot be fetched.
    """
    # the licence must allow it
    entry = info(name)
    if entry.random:
        raise UsageError(f"{entry.name} has random weights. There is nothing to publish.", code="random-weights")
    if not entry.license.redistributable:
        raise LicenseError(
            f"The weights of {entry.name} may not be published again ({entry.license.note or entry.license.id}). "
            f"Others can convert their own copy: `medzoo info {entry.name}`.",
            code="not-redistributable",
        )
    # upload the verified folder, and check that the Hub has its bytes
    located = locate(entry.name, accept_license=True, token=token)
    assert located.folder is not None
    config = verify_folder(located, always=True)
    check_publishable(config)
    target = check_repo(repo or f"{ORGANISATION}/{entry.name}")
    upload = prepare(config, target, _license_files(entry, config, license_file))
    if dry_run:
        return Released(upload, None)
    done = commit(upload, f"Publish {entry.name}", private=private, revision=None, create_pr=False, token=token)
    _check_published(upload, done, token)
    # pin the commit in this checkout
    golden = config.facts.golden if config.facts else None
    pin = Hub(target, done.commit, upload.sha256, upload.weights.stat().st_size)
    return Released(upload, done, write_pin(entry, pin, golden))


def _license_files(
    entry: Checkpoint, config: FolderConfig, license_file: str | os.PathLike[str] | None
) -> dict[str, bytes]:
    identifier, files = entry.license.id.lower(), {"NOTICE": notice(entry, config).encode()}
    if license_file is not None:
        try:
            files["LICENSE"] = Path(license_file).expanduser().read_bytes()
        except OSError as error:
            raise UsageError(
                f"--license-file {license_file} cannot be read: {error.strerror}.", code="license-file-unreadable"
            ) from error
    elif identifier == "apache-2.0":
        files["LICENSE"] = _apache().encode()
    elif identifier in WITH_TEXT:
        raise LicenseError(
            f"{entry.license.id} requires its text, with the line of the copyright holders, in every copy. Save it from "
            f"{entry.license.url} and give the file: --license-file LICENSE.",
            code="license-text-required",
        )
    return files


def _apache() -> str:
    """The text of Apache-2.0, which is also medzoo's own licence: from the checkout or the installed files."""
    from importlib.metadata import files

    checkout = Path(__file__).resolve().parents[3] / "LICENSE"
    installed = [Path(str(row.locate())) for row in files("medzoo") or () if row.name == "LICENSE"]
    for path in (checkout, *installed):
        if path.is_file() and "Apache License" in (text := path.read_text(encoding="utf-8")):
            return text
    raise LicenseError(
        "The text of Apache-2.0 was not found. Give the file: --license-file LICENSE.", code="license-text-missing"
    )


def notice(entry: Checkpoint, config: FolderConfig) -> str:
    """The NOTICE: attribution, licence and changes, as CC-BY-NC and Apache-2.0 require.

    Args:
        entry: the checkpoint's facts.
        config: of the uploaded folder.
    """
    paper, source, upstream = entry.citation, config.facts.source if config.facts else None, entry.upstream
    rows = [entry.name, ""]
    if paper:
        rows += [f"Made by: {paper.authors or 'the authors of the paper'}"]
        rows += [
            f"Paper: {paper.title}{f', {paper.year}' if paper.year else ''}{f', {paper.paper}' if paper.paper else ''}"
        ]
    if upstream:
        address = upstream.url or f"https://huggingface.co/{upstream.hub}"
        rows += [f"Source: {address}, file {source.file if source else upstream.file}"]
    rows += [f"Licence of the weights: {entry.license.id}, {entry.license.url or 'no address'}"]
    rows += [entry.license.note] if entry.license.note else []
    rows += [
        "",
        "Changes: "
        + "; ".join(_changes(source, upstream.channel_order if upstream else None))
        + ". All other numbers are as published.",
    ]
    return "\n".join(rows) + "\n"


def _changes(source: Source | None, order: str | None) -> list[str]:
    changes = ["the tensors have timm's names and are stored as safetensors"]
    if source is None:
        return changes

    rules = FORMATS[source.format]
    dropped = sorted({drop.why for drop in rules.drop if "training" not in drop.why})
    if dropped:
        changes.append(f"removed, if the file had it: {', '.join(dropped)}")
    if rules.takes_bgr(order):
        changes.append("the input channels of the first convolution are in the order RGB, not BGR")
    descriptions = {
        "fold_conv_biases": "biases of convolutions are folded into the means of the following normalisation",
        "kernels_last_axis_out": "kernels are transposed to PyTorch's layout",
        "register_positions": "the class token has its position added",
    }
    return changes + [descriptions[step.__name__] for step in rules.steps if step.__name__ in descriptions]


def _check_published(upload: Upload, done: Pushed, token: str | bool | None) -> None:
    """Check that the commit on the Hub has the uploaded weights."""
    try:
        remote = look_up(upload.repo, "model", done.commit, token).files.get(WEIGHTS)
    except MedzooError as error:
        raise PublishError(
            f"{upload.repo} was written ({done.address}), but checking it failed: {error}", code="published-not-checked"
        ) from error
    if remote is None or remote.hash != upload.sha256:
        raise PublishError(
            f"{upload.repo} has {remote.hash if remote else 'no weights'} at {done.commit}, but {upload.sha256} was uploaded. "
            "Nothing was pinned.",
            code="published-differs",
        )


def write_pin(entry: Checkpoint, pin: Hub, golden: Golden | None) -> tuple[Path, ...]:
    """Write [hub] (and [golden]) into a checkpoint's TOML file, and its new card into model_cards.

    Args:
        entry: the checkpoint.
        pin: the published commit.
        golden: the features at conversion.

    Returns:
        The written files.

    Raises:
        PublishError: if the file cannot be written; the message has the lines to add.
    """
    path = registry.config_dir() / f"{entry.name}.toml"
    tables = ([_golden_table(golden)] if golden else []) + [_hub_table(pin)]
    lines = "\n".join(tables)
    try:
        text = re.sub(
            r"\n*^\[(hub|golden)\]\n(?:(?!\[\w+\]\s*$).*\n?)*",
            "\n",
            path.read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
        store.write_text(path, f"{text.rstrip()}\n\n{lines}")
    except OSError as error:
        raise PublishError(
            f"{path} cannot be written ({error.strerror}). Add these lines to it:\n\n{lines}", code="pin-not-written"
        ) from error
    read_checkpoint(path)
    written = [path]
    if entry.name in committed_cards():
        written.append(write_card(info(entry.name)))
    return tuple(written)


def _hub_table(pin: Hub) -> str:
    return f'[hub]\nrepo = "{pin.repo}"\nrevision = "{pin.revision}"\nsha256 = "{pin.sha256}"\nsize = {pin.size}\n'


def _golden_table(golden: Golden) -> str:
    rows = "\n".join(f"  {list(row)}," for row in golden.first)
    return f"[golden]\nmean = {list(golden.mean)}\nnorm = {list(golden.norm)}\nfirst = [\n{rows}\n]\n"
