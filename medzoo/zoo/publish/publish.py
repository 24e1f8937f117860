"""Publish a named checkpoint: the verified folder with what its licence asks for, and the pin written into its facts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.errors import LicenseError, PublishError, UsageError
from medzoo.zoo.download.fetch import locate, verify
from medzoo.zoo.folder.card import committed_cards, write_card
from medzoo.zoo.publish.push import may_publish
from medzoo.zoo.publish.upload import Pushed, Upload, commit
from medzoo.zoo.publish.upload_plan import prepare
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.checkpoint import Checkpoint, Golden, Hub
from medzoo.zoo.registry.hub_names import check_repo
from medzoo.zoo.registry.locations import ORGANISATION, WEIGHTS
from medzoo.zoo.registry.registry import info, read_checkpoint

if TYPE_CHECKING:
    from medzoo.zoo.folder.config import FolderConfig, Source

# Licences that ask that their own text, with the holder's line, goes with every copy.
WITH_TEXT = ("mit", "isc", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "ncsa", "zlib")


@dataclass(frozen=True)
class Released:
    """What came of publishing a name.

    Args:
        upload: the files.
        pushed: the commit; None after a dry run.
        written: the files of this checkout that now hold the pin.
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
    """Put a checkpoint's verified folder up, and pin it in its facts, so that `load` takes exactly these bytes from then on.

    Args:
        name: of the registry.
        repo: where; by default medzoo/<name>.
        license_file: the licence's text, for licences that ask for it (MIT, BSD); Apache-2.0's is at hand.
        private: as for `push`.
        token: of the Hub.
        dry_run: check everything, contact no Hub for the upload, and write nothing.

    Raises:
        LicenseError: if the weights may not be published again, or their licence asks for a text that was not given.
        PublishError: if something must not leave this machine, or the Hub refuses.
        WeightsUnavailableError: if the weights are not here and cannot be fetched.
    """
    entry = info(name)
    if entry.random:
        raise UsageError(f"{entry.name} has no weights to publish; load draws them.")
    if not entry.license.redistributable:
        raise LicenseError(
            f"The weights of {entry.name} may not be published again ({entry.license.note or entry.license.id}). "
            f"Others convert their own copy: `medzoo info {entry.name}`."
        )
    found = locate(entry.name, accept_license=True, token=token)
    assert found.folder is not None
    config = verify(found, always=True)
    may_publish(config)
    where = check_repo(repo or f"{ORGANISATION}/{entry.name}")
    upload = prepare(config, where, _terms(entry, config, license_file))
    if dry_run:
        return Released(upload, None)
    done = commit(upload, f"Publish {entry.name}", private=private, revision=None, create_pr=False, token=token)
    _prove(upload, done, token)
    golden = config.facts.golden if config.facts else None
    pin = Hub(where, done.commit, upload.sha256, upload.weights.stat().st_size)
    return Released(upload, done, write_pin(entry, pin, golden))


def _terms(entry: Checkpoint, config: FolderConfig, license_file: str | os.PathLike[str] | None) -> dict[str, bytes]:
    identifier, files = entry.license.id.lower(), {"NOTICE": notice(entry, config).encode()}
    if license_file is not None:
        try:
            files["LICENSE"] = Path(license_file).expanduser().read_bytes()
        except OSError as error:
            raise UsageError(f"--license-file {license_file} cannot be read: {error.strerror}.") from error
    elif identifier == "apache-2.0":
        files["LICENSE"] = _apache().encode()
    elif identifier in WITH_TEXT:
        raise LicenseError(
            f"{entry.license.id} asks that its text, with the line of its holders, goes with every copy. Save it from "
            f"{entry.license.url} and name the file: --license-file LICENSE."
        )
    return files


def _apache() -> str:
    """The text of Apache-2.0, which is medzoo's own licence too: in a checkout, or among the installed files."""
    from importlib.metadata import files

    beside = Path(__file__).resolve().parents[3] / "LICENSE"
    installed = [Path(str(row.locate())) for row in files("medzoo") or () if row.name == "LICENSE"]
    for path in (beside, *installed):
        if path.is_file() and "Apache License" in (text := path.read_text(encoding="utf-8")):
            return text
    raise LicenseError("The text of Apache-2.0 is not at hand; name a file: --license-file LICENSE.")


def notice(entry: Checkpoint, config: FolderConfig) -> str:
    """Attribution, licence and changes, as CC-BY-NC and Apache-2.0 ask for.

    Args:
        entry: the checkpoint's facts.
        config: of the folder that goes up.
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
    rows += ["", "What was changed: " + "; ".join(_changes(source)) + ". All other numbers are as published."]
    return "\n".join(rows) + "\n"


def _changes(source: Source | None) -> list[str]:
    changes = ["the tensors have timm's names and are stored as safetensors"]
    if source is None:
        return changes
    from medzoo.zoo.convert.formats import FORMATS

    rules = FORMATS[source.format]
    dropped = sorted({drop.why for drop in rules.drop if "training" not in drop.why})
    if dropped:
        changes.append(f"left out, where the file had it: {', '.join(dropped)}")
    if rules.bgr:
        changes.append("the input channels of the first convolution are in the order RGB, not BGR")
    told = {
        "fold_conv_biases": "biases of convolutions are folded into the means of the normalisation behind them",
        "kernels_last_axis_out": "kernels are transposed to PyTorch's layout",
        "register_positions": "the class token has its position added",
    }
    return changes + [told[step.__name__] for step in rules.steps if step.__name__ in told]


def _prove(upload: Upload, done: Pushed, token: str | bool | None) -> None:
    """What the Hub says it holds at the commit has to be what went up."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        files = HfApi(token=token, library_name="medzoo").get_paths_info(upload.repo, [WEIGHTS], revision=done.commit)
    except (HfHubHTTPError, OSError) as error:
        raise PublishError(
            f"{upload.repo} was written ({done.address}), but could not be looked at: {error}"
        ) from error
    held = [file.lfs.sha256 for file in files if getattr(file, "lfs", None)]  # type: ignore[union-attr]
    if held != [upload.sha256]:
        raise PublishError(
            f"{upload.repo} holds {held or 'no weights'} at {done.commit}, and {upload.sha256} went up. Nothing was pinned."
        )


def write_pin(entry: Checkpoint, pin: Hub, golden: Golden | None) -> tuple[Path, ...]:
    """Put [hub] (and [golden]) into a checkpoint's TOML file, and its new card into model_cards.

    Args:
        entry: the checkpoint.
        pin: what was published.
        golden: the features at conversion.

    Returns:
        The files that were written.

    Raises:
        PublishError: if the file cannot be written; the message holds the lines to add.
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
        raise PublishError(f"{path} cannot be written ({error.strerror}). Add these lines to it:\n\n{lines}") from error
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
