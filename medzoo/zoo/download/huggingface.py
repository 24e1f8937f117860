"""The Hugging Face Hub: find the commit of a revision, and download its files with a check of every file's hash.

huggingface_hub finds the commit and the files. The download itself is medzoo's, because the client of huggingface_hub accepts
changed bytes, starts again after a kill, and waits as long as a server demands. Files in its cache are used unchanged.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from medzoo import store
from medzoo.errors import IntegrityError, LicenseError, WeightsUnavailableError
from medzoo.http_download import download, offline_variable
from medzoo.zoo.download.download_lock import download_lock
from medzoo.zoo.download.hub_client import Head, look_up, verified
from medzoo.zoo.download.resolved_revisions import describe_cached, note_commit, note_repo, noted_commit
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.registry.locations import (
    CARD,
    CONFIG,
    DECODER,
    TERMS,
    WEIGHTS,
    cache_root,
    hub_address,
    repo_folders,
    snapshot_folder,
)
from medzoo.zoo.registry.registry import HEX40


def is_offline_by_environment() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network."""
    return bool(offline_variable())


def not_here(name: str, more: str = "") -> WeightsUnavailableError:
    """The error for weights that are not on this machine while the network is off.

    Args:
        name: of the checkpoint, or the repository.
        more: another way to get them, as a sentence.
    """
    return WeightsUnavailableError(
        f"The weights of {name} are not on this machine, and the network is off (local_files_only or HF_HUB_OFFLINE). "
        f"Run `medzoo fetch {name}` with a network; or run `medzoo fetch {name} --to DIR` on another machine, copy DIR to "
        f"this machine, and set MEDZOO_HUB=DIR. {more}".rstrip(),
        code="network-off",
    )


def snapshot(
    repo: str,
    revision: str | None,
    *,
    token: str | bool | None,
    offline: bool,
    cache_dir: str | os.PathLike[str] | None,
) -> tuple[Path, str]:
    """The folder of a repository at a commit.

    Args:
        repo: org/name.
        revision: commit, branch or tag; None is the head of main on the first call, and the same commit on later calls.
        token: of the Hub.
        offline: use no network.
        cache_dir: medzoo's cache, if not the default.

    Returns:
        The folder, and its commit (40 hexadecimal digits).

    Raises:
        WeightsUnavailableError: with the cause and what to do.
        LicenseError: if the user must accept the repository's terms on the Hub.
        IntegrityError: if a file differs from the Hub's description.
    """
    return _download_files(
        repo, (WEIGHTS, CONFIG), (CARD, DECODER, *TERMS), revision, token=token, offline=offline, cache_dir=cache_dir
    )


def hub_file(
    repo: str,
    file: str,
    revision: str | None,
    *,
    token: str | bool | None,
    offline: bool,
    cache_dir: str | os.PathLike[str] | None,
) -> tuple[Path, str]:
    """One file of a repository and its commit; errors as `snapshot`."""
    folder, commit = _download_files(repo, (file,), (), revision, token=token, offline=offline, cache_dir=cache_dir)
    return folder / file, commit


def _download_files(
    repo: str, needed: Sequence[str], optional: Sequence[str], revision: str | None, *, token: str | bool | None,
    offline: bool, cache_dir: str | os.PathLike[str] | None,
) -> tuple[Path, str]:  # fmt: skip
    offline = offline or is_offline_by_environment()
    # a known commit in the cache needs no network
    known = revision if revision and HEX40.fullmatch(revision) else None
    if known is None and (revision is None or offline):  # the commit of a branch is looked up again each time
        known = noted_commit(repo, revision, cache_dir)
    part = _cached_folder(repo, known, needed, cache_dir) if known else None
    if known and part and (offline or _is_whole(part, optional, repo_folders(repo, cache_dir))):
        return part, known
    if offline:
        folder = None if known else _cached_folder(repo, revision, needed, cache_dir)
        if folder is None:
            raise not_here(repo, describe_cached(repo, revision, cache_dir))
        return folder, folder.name
    try:
        return _from_hub(repo, needed, optional, revision, known, token, cache_dir)
    except (WeightsUnavailableError, LicenseError) as error:
        if not known or part is None:
            raise
        print(f"{error} The files of {repo} on this machine are used; others may be missing.", file=sys.stderr)
        return part, known


def _from_hub(
    repo: str, needed: Sequence[str], optional: Sequence[str], revision: str | None, known: str | None,
    token: str | bool | None, cache_dir: str | os.PathLike[str] | None,
) -> tuple[Path, str]:  # fmt: skip
    """Look up the commit and its files on the Hub, and download those that are not on this machine."""
    head = look_up(repo, "model", known or revision, token)
    commit = head.commit
    if known and known == revision and commit != known:
        raise IntegrityError(
            f"{hub_address()} gave the commit {commit} of {repo} for {known}. Nothing was downloaded.",
            code="hub-gave-other-commit",
        )
    if missing := [name for name in needed if name not in head.files]:
        more = "; medzoo reads no other weights files" if WEIGHTS in missing else ""
        raise WeightsUnavailableError(
            f"{repo} on the Hub has no {' and no '.join(missing)} at {commit}{more}.", code="file-not-in-repository"
        )
    # download what is missing, and note repository and commit
    chosen = [name for name in (*needed, *optional) if name in head.files]
    folder = _cached_folder(repo, commit, chosen, cache_dir) or snapshot_folder(repo, commit, cache_dir)
    if not all((folder / name).is_file() for name in chosen):
        part = _cached_folder(repo, commit, needed, cache_dir)  # huggingface_hub may have some of them
        with download_lock(folder.with_name(f".{commit}.lock"), repo):
            if not all((folder / name).is_file() for name in chosen):
                _download_to(folder, head, chosen, token, part)
    if folder == snapshot_folder(repo, commit, cache_dir):  # also after a process that was killed before this line
        note_repo(repo, cache_dir)
    if commit != revision:
        print(f"{repo}: {revision or 'main'} is {commit}", file=sys.stderr)
        note_commit(repo, revision, commit, cache_dir)
    return folder, commit


def _is_whole(folder: Path, optional: Sequence[str], own: Sequence[Path]) -> bool:
    """Whether a cached folder has the card and the decoder of its commit: huggingface_hub may have downloaded only other files.

    Args:
        folder: with the needed files.
        optional: the files that a repository may lack.
        own: medzoo's folders of the repository, in which a card is missing only if the repository has none.
    """
    if CARD in optional and folder.parent not in own and not (folder / CARD).is_file():
        return False
    if DECODER not in optional or (folder / DECODER).is_file():
        return True
    try:
        facts = read_config(folder).facts
    except IntegrityError:  # reported when the folder is verified
        return True
    return facts is None or facts.decoder is None


def _cached_folder(
    repo: str, revision: str | None, needed: Sequence[str], cache_dir: str | os.PathLike[str] | None
) -> Path | None:
    """The folder in medzoo's cache or in that of huggingface_hub with all needed files; None if there is none."""
    if revision and HEX40.fullmatch(revision):
        for place in repo_folders(repo, cache_dir):
            if all((place / revision / name).is_file() for name in needed):
                return place / revision
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with suppress(LocalEntryNotFoundError, OSError, ValueError):
        cached = [
            Path(hf_hub_download(repo, name, revision=revision, local_files_only=True, cache_dir=hub_cache(cache_dir)))
            for name in needed
        ]
        folders = {path.parents[len(Path(name).parts) - 1] for path, name in zip(cached, needed, strict=True)}
        return folders.pop() if len(folders) == 1 else None
    return None


def hub_cache(cache_dir: str | os.PathLike[str] | None) -> Path | None:
    """The cache folder of huggingface_hub; None is its default."""
    return cache_root(cache_dir) / "hub" if cache_dir is not None else None


def _download_to(
    folder: Path, head: Head, names: Sequence[str], token: str | bool | None, other: Path | None = None
) -> None:
    """Download files into a folder that appears when all are complete; partial files stay for the next try.

    Args:
        folder: for the files.
        head: the repository.
        names: of the files.
        token: of the Hub.
        other: folder of another cache, whose intact files are copied instead.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    login = {key: value for key, value in build_hf_headers(token=token).items() if key.lower() == "authorization"}
    parts = folder.with_name(f".{head.commit}.part")

    def get(name: str) -> Path:
        path = parts / name
        if path.is_file():
            return path
        if other is not None and (other / name).is_file() and head.files[name].matches(other / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with store.atomic_path(path) as temporary:
                shutil.copyfile(other / name, temporary)
        else:
            download(hf_hub_url(head.repo, name, revision=head.commit), path, headers=login)
        return path

    names = [name for name in names if not ((folder / name).is_file() and head.files[name].matches(folder / name))]
    complete = {verified(head, name, partial(get, name)) for name in names}
    # all files are complete: remove leftovers of killed processes, then move the files into place
    for path in [*parts.rglob("*")]:
        if path.is_file() and path not in complete:
            path.unlink()
    if not folder.exists():
        store.fsync_folder(parts)
        os.replace(parts, folder)
        store.fsync_folder(folder.parent)
        return
    # the folder exists with other files of this commit; the needed files come last, so that an interrupted move is noticed
    for name in reversed(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(parts / name, folder / name)
    store.fsync_folder(folder)
    shutil.rmtree(parts, ignore_errors=True)
