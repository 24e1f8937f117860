"""From the authors' site: fetch, remember what came, convert on this machine."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.parse
from pathlib import Path

from medzoo import store
from medzoo.errors import ConversionError, IntegrityError, WeightsUnavailableError
from medzoo.http_download import discard, download
from medzoo.zoo.download import huggingface as real_hub
from medzoo.zoo.download.resolved_revisions import read_note
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.locations import cache_root, elsewhere, is_folder, next_step


def from_upstream(
    entry: Checkpoint,
    folder: Path,
    *,
    token: str | bool | None,
    offline: bool,
    cache_dir: str | os.PathLike[str] | None,
) -> Path:
    """Fetch what the authors published and convert it.

    Args:
        entry: the checkpoint.
        folder: where the converted folder goes.
        token: of the Hub.
        offline: contact nothing.
        cache_dir: medzoo's cache, if not the default.

    Raises:
        WeightsUnavailableError: for weights that only a person can get, or when there is no network.
        IntegrityError: if another file came than before, or than the registry says.
    """
    source = entry.upstream
    assert source is not None
    if source.access != "direct":
        shown = None if cache_dir is None else folder
        raise WeightsUnavailableError(
            f"The weights of {entry.name} cannot be fetched by a program. {next_step(entry, shown)}"
        )
    with real_hub.alone(folder.with_name(f".{entry.name}.lock"), entry.name):
        if is_folder(folder):  # another process brought it meanwhile
            return folder
        offline = offline or real_hub.told_offline()
        if source.hub:
            try:
                file, commit = real_hub.hub_file(
                    source.hub, source.file or "", source.revision, token=token, offline=offline, cache_dir=cache_dir
                )
            except WeightsUnavailableError as error:
                if offline:
                    raise real_hub.not_here(entry.name, elsewhere(entry)) from error
                raise WeightsUnavailableError(f"{error} {elsewhere(entry)}") from error
            if commit != source.revision:
                print(f"{source.hub}: {source.revision or 'main'} is {commit}", file=sys.stderr)
            return _converted(
                entry, file, folder, f"hf-hub:{source.hub}/{source.file}", cache_dir, hub=source.hub, revision=commit
            )
        if offline:
            raise real_hub.not_here(entry.name, elsewhere(entry))
        url = source.url or ""
        file = cache_root(cache_dir) / "upstream" / entry.name / Path(urllib.parse.urlparse(url).path).name
        whose = file.with_name(f"{file.name}.json")  # the last word of two addresses may be the same
        if file.is_file() and read_note(whose).get("url") != url:
            discard(file)
        if not file.is_file():
            store.write_json(whose, {"url": url})
            try:
                download(url, file)
            except WeightsUnavailableError as error:
                raise WeightsUnavailableError(f"{error} {elsewhere(entry)}") from error
        try:
            converted = _converted(entry, file, folder, url, cache_dir, url=url)
        except IntegrityError:
            discard(file)
            discard(whose)
            raise
        except ConversionError as error:
            # the file came whole; another medzoo may read it without a second download
            raise ConversionError(
                f"{error} What was downloaded stays at {file}; remove it to fetch it again."
            ) from error
        discard(file)  # the converted folder and the receipt stay
        discard(whose)
        return converted


def _converted(
    entry: Checkpoint, file: Path, folder: Path, address: str, cache_dir: str | os.PathLike[str] | None, *,
    url: str | None = None, hub: str | None = None, revision: str | None = None,
) -> Path:  # fmt: skip
    """Check a file against the published hashes and against what came from this address before; convert it, remember it."""
    from medzoo.zoo.convert.convert import convert_entry

    digest, note = _published(entry, file, address), cache_root(cache_dir) / "upstream" / f"{entry.name}.json"
    before = read_note(note)
    if before.get("address") == address and before.get("sha256") not in (None, digest):
        raise IntegrityError(
            f"{address} gave another file than the first time (sha256 {digest}, then {before['sha256']}). "
            f"If its authors replaced it on purpose, remove {note}."
        )
    size = file.stat().st_size
    converted = convert_entry(entry, file, folder, url=url, hub=hub, revision=revision)
    # only a file that was right is trusted the next time
    store.write_json(note, {"address": address, "sha256": digest, "size": size})
    return converted


def _published(entry: Checkpoint, file: Path, address: str) -> str:
    """The sha256 of a file that has the hashes which its authors published, if they did."""
    source = entry.upstream
    assert source is not None
    digest = store.verified_sha256(file)
    if source.sha256 and digest != source.sha256:
        raise IntegrityError(f"{address} has the sha256 {digest}; its authors published {source.sha256}.")
    if source.md5:
        with file.open("rb") as opened:
            md5 = hashlib.file_digest(opened, "md5").hexdigest()
        if not md5.startswith(source.md5):
            raise IntegrityError(f"{address} has the md5 {md5}; its authors published {source.md5}.")
    return digest
