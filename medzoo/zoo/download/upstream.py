"""Download an upstream file from its authors' site, remember its hash, and convert it."""

from __future__ import annotations

import os
import sys
import urllib.parse
from pathlib import Path

from medzoo import store
from medzoo.errors import ConversionError, IntegrityError, WeightsUnavailableError
from medzoo.http_download import discard, download
from medzoo.progress import hash_file
from medzoo.zoo.download import huggingface as real_hub
from medzoo.zoo.download.download_lock import download_lock
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
    """Download the authors' file and convert it.

    Args:
        entry: the checkpoint.
        folder: the folder to write.
        token: of the Hub.
        offline: use no network.
        cache_dir: medzoo's cache, if not the default.

    Raises:
        WeightsUnavailableError: for weights that only the user can download, or without a network.
        IntegrityError: if the file differs from an earlier download, or from the registry's hash.
    """
    source = entry.upstream
    assert source is not None
    if source.access != "direct":
        out = None if cache_dir is None else folder
        raise WeightsUnavailableError(
            f"medzoo cannot download the weights of {entry.name}. {next_step(entry, out)}", code="manual-download"
        )
    with download_lock(folder.with_name(f".{entry.name}.lock"), entry.name):
        if is_folder(folder):  # another process has downloaded it meanwhile
            return folder
        # the file is in a Hub repository
        offline = offline or real_hub.is_offline_by_environment()
        if source.hub:
            try:
                file, commit = real_hub.hub_file(
                    source.hub, source.file or "", source.revision, token=token, offline=offline, cache_dir=cache_dir
                )
            except WeightsUnavailableError as error:
                if offline:
                    raise real_hub.not_here(entry.name, elsewhere(entry)) from error
                error.args = (f"{error} {elsewhere(entry)}",)
                raise
            if commit != source.revision:
                print(f"{source.hub}: {source.revision or 'main'} is {commit}", file=sys.stderr)
            return _converted(
                entry, file, folder, f"hf-hub:{source.hub}/{source.file}", cache_dir, hub=source.hub, revision=commit
            )
        if offline:
            raise real_hub.not_here(entry.name, elsewhere(entry))
        # the file is on another site; a note says which address the cached download came from
        url = source.url or ""
        file = cache_root(cache_dir) / "upstream" / entry.name / Path(urllib.parse.urlparse(url).path).name
        url_note = file.with_name(f"{file.name}.json")  # two addresses may end with the same file name
        if file.is_file() and read_note(url_note).get("url") != url:
            discard(file)
        if not file.is_file():
            store.write_json(url_note, {"url": url})
            try:
                download(url, file)
            except WeightsUnavailableError as error:
                error.args = (f"{error} {elsewhere(entry)}",)  # the class and the HTTP status stay
                raise
        # a wrong file is removed; a file that cannot be converted stays
        try:
            converted = _converted(entry, file, folder, url, cache_dir, url=url)
        except IntegrityError:
            discard(file)
            discard(url_note)
            raise
        except ConversionError as error:
            # the download is complete; another version of medzoo may convert it
            raise ConversionError(
                f"{error} The downloaded file stays at {file}; remove it to download it again.", code=error.code
            ) from error
        discard(file)  # the converted folder and the note of its hash stay
        discard(url_note)
        return converted


def _converted(
    entry: Checkpoint,
    file: Path,
    folder: Path,
    address: str,
    cache_dir: str | os.PathLike[str] | None,
    *,
    url: str | None = None,
    hub: str | None = None,
    revision: str | None = None,
) -> Path:
    """Check a file against the published hashes and an earlier download, convert it, and note its hash."""
    from medzoo.zoo.convert.convert import convert_entry

    digest, note = _checked_sha256(entry, file, address), cache_root(cache_dir) / "upstream" / f"{entry.name}.json"
    before = read_note(note)
    if before.get("address") == address and before.get("sha256") not in (None, digest):
        raise IntegrityError(
            f"The file at {address} has changed since the first download (sha256 {digest}, before {before['sha256']}). "
            f"If its authors replaced it on purpose, remove {note}.",
            code="upstream-file-changed",
        )
    size = file.stat().st_size
    converted = convert_entry(entry, file, folder, url=url, hub=hub, revision=revision)
    # note the hash only after the conversion has succeeded
    store.write_json(note, {"address": address, "sha256": digest, "size": size})
    return converted


def _checked_sha256(entry: Checkpoint, file: Path, address: str) -> str:
    """The sha256 of a file, after a check against the published hashes, if there are any."""
    source = entry.upstream
    assert source is not None
    digest = store.verified_sha256(file)
    if source.sha256 and digest != source.sha256:
        raise IntegrityError(
            f"{address} has the sha256 {digest}; its authors published {source.sha256}. Try again; "
            "the file may have changed there.",
            code="upstream-hash-wrong",
        )
    if source.md5:
        md5 = hash_file(file, "md5")
        if not md5.startswith(source.md5):
            raise IntegrityError(
                f"{address} has the md5 {md5}; its authors published {source.md5}. Try again; the file may have changed there.",
                code="upstream-hash-wrong",
            )
    return digest
