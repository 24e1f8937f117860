"""The Hugging Face Hub: find the commit of a revision, and download its files with a check of every file's hash.

huggingface_hub finds the commit and the files. The download itself is medzoo's, because the client of huggingface_hub accepts
changed bytes, starts again after a kill, and waits as long as a server demands. Files in its cache are used unchanged.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from medzoo import store
from medzoo.errors import IntegrityError, LicenseError, WeightsUnavailableError
from medzoo.http_download import AGAIN, TRIES, RefusedError, download, wait_after
from medzoo.zoo.download.download_lock import download_lock
from medzoo.zoo.download.resolved_revisions import SHORT, describe_cached, note_commit, note_repo, noted_commit
from medzoo.zoo.registry.locations import (
    CARD,
    CONFIG,
    TERMS,
    WEIGHTS,
    cache_root,
    hub_address,
    repo_folders,
    snapshot_folder,
)
from medzoo.zoo.registry.registry import HEX40

T = TypeVar("T")
TRUE = ("1", "ON", "YES", "TRUE")
ANSWER_SECONDS = 8.0  # a working Hub answers faster


class Remote(NamedTuple):
    """The Hub's description of a file."""

    name: str
    size: int | None
    sha256: str | None
    git: str | None


def is_offline_by_environment() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network."""
    return any(os.environ.get(key, "").upper() in TRUE for key in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


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
        repo, (WEIGHTS, CONFIG), (CARD, *TERMS), revision, token=token, offline=offline, cache_dir=cache_dir
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
    pinned = known = revision if revision and HEX40.fullmatch(revision) else None
    if known is None and (revision is None or offline):  # the commit of a branch is looked up again each time
        known = noted_commit(repo, revision, cache_dir)
    if known and (folder := _cached_folder(repo, known, needed, cache_dir)):
        return folder, known
    if offline:
        folder = None if known else _cached_folder(repo, revision, needed, cache_dir)
        if folder is None:
            raise not_here(repo, describe_cached(repo, revision, cache_dir))
        return folder, folder.name
    # look up the commit and its files on the Hub
    commit, files = _look_up(repo, known or revision, token)
    if pinned and commit != pinned:
        raise IntegrityError(
            f"{hub_address()} gave the commit {commit} of {repo} for {pinned}. Nothing was downloaded.",
            code="hub-gave-other-commit",
        )
    if missing := [name for name in needed if name not in files]:
        more = "; medzoo reads no other weights files" if WEIGHTS in missing else ""
        raise WeightsUnavailableError(
            f"{repo} on the Hub has no {' and no '.join(missing)} at {commit}{more}.", code="file-not-in-repository"
        )
    # download what is missing, and note repository and commit
    folder = _cached_folder(repo, commit, needed, cache_dir) or snapshot_folder(repo, commit, cache_dir)
    if not all((folder / name).is_file() for name in needed):
        chosen = [files[name] for name in (*needed, *optional) if name in files]
        with download_lock(folder.with_name(f".{commit}.lock"), repo):
            if not all((folder / name).is_file() for name in needed):
                _download_to(folder, repo, commit, chosen, token)
    if folder == snapshot_folder(repo, commit, cache_dir):  # also after a process that was killed before this line
        note_repo(repo, cache_dir)
    if commit != revision:
        print(f"{repo}: {revision or 'main'} is {commit}", file=sys.stderr)
        note_commit(repo, revision, commit, cache_dir)
    return folder, commit


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


def _look_up(repo: str, revision: str | None, token: str | bool | None) -> tuple[str, dict[str, Remote]]:
    """The commit of a revision, and its files with size and hash, in one request."""
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    facts: Any = _call_hub(
        lambda: api.model_info(repo, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS), repo, revision
    )
    files = {}
    for row in facts.siblings or ():
        sha256 = (row.lfs["sha256"] if isinstance(row.lfs, dict) else row.lfs.sha256) if row.lfs else None
        files[row.rfilename] = Remote(row.rfilename, row.size, sha256, row.blob_id)
    return str(facts.sha), files


def _call_hub(call: Callable[[], T], repo: str, revision: str | None) -> T:
    """The Hub's answer: tries again if the Hub is busy, and stops at once if it cannot be reached."""
    from huggingface_hub import errors

    for attempt in range(1, TRIES + 1):
        try:
            return call()
        except errors.GatedRepoError as error:
            raise _gated(repo) from error
        except errors.RepositoryNotFoundError as error:
            raise WeightsUnavailableError(
                f"The Hub has no repository {repo}, or your token may not read it.", code="repository-not-found"
            ) from error
        except errors.RevisionNotFoundError as error:
            short = revision is not None and SHORT.fullmatch(revision)
            digits = " Give all 40 digits of a commit." if short else ""
            raise WeightsUnavailableError(
                f"{repo} on the Hub has no revision {revision!r}.{digits}", code="revision-not-found"
            ) from error
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            if status not in AGAIN or attempt == TRIES:
                raise WeightsUnavailableError(
                    f"The Hub answered {status} for {repo}: {error}", code="hub-error"
                ) from error
            time.sleep(wait_after(error.response.headers.get("Retry-After"), attempt))
        except Exception as error:  # httpx's error classes differ between its versions
            reason = str(error).strip() or type(error).__name__
            raise WeightsUnavailableError(
                f"The Hub cannot be reached for {repo} ({reason[:200]}). If this machine has no network, set HF_HUB_OFFLINE=1, "
                f"run `medzoo fetch {repo} --to DIR` on another machine, and use its copy of DIR as MEDZOO_HUB.",
                code="hub-unreachable",
            ) from error
    raise AssertionError("unreachable")


def _gated(repo: str) -> LicenseError:
    return LicenseError(
        f"The Hub requires that you accept the terms of {repo}: open https://huggingface.co/{repo}, then run `hf auth login`.",
        code="hub-terms-not-accepted",
    )


def _download_to(folder: Path, repo: str, commit: str, files: Sequence[Remote], token: str | bool | None) -> None:
    """Download files into a folder that appears when all are complete; partial files stay for the next try."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    login = {key: value for key, value in build_hf_headers(token=token).items() if key.lower() == "authorization"}
    parts = folder.with_name(f".{commit}.part")
    files = [file for file in files if not ((folder / file.name).is_file() and _is_right(folder / file.name, file))]
    for file in files:
        path = parts / file.name
        for last in (False, True):  # a wrong file is downloaded once more
            if path.is_file() and _is_right(path, file):
                break
            with suppress(FileNotFoundError):
                path.unlink()
            try:
                download(hf_hub_url(repo, file.name, revision=commit), path, headers=login)
            except RefusedError as error:
                if error.status in (401, 403):
                    raise _gated(repo) from error
                raise
            if last and not _is_right(path, file):
                path.unlink()
                raise IntegrityError(
                    f"{file.name} of {repo} was downloaded twice with a wrong hash (the Hub's is {file.sha256 or file.git}). "
                    "The download was removed. Try again later, or from another network.",
                    code="download-hash-wrong",
                )
    # all files are complete: remove leftovers of killed processes, then move the files into place
    complete = {parts / file.name for file in files}
    for path in [*parts.rglob("*")]:
        if path.is_file() and path not in complete:
            path.unlink()
    if not folder.exists():
        store.fsync_folder(parts)
        os.replace(parts, folder)
        store.fsync_folder(folder.parent)
        return
    # the folder exists with other files of this commit; the needed files come last, so that an interrupted move is noticed
    for file in reversed(files):
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(parts / file.name, folder / file.name)
    store.fsync_folder(folder)
    shutil.rmtree(parts, ignore_errors=True)


def _is_right(path: Path, file: Remote) -> bool:
    if file.size is not None and path.stat().st_size != file.size:
        return False
    if file.sha256:
        return store.sha256_file(path) == file.sha256
    if file.git:
        content = path.read_bytes()  # git itself stores only small files
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.git
    return True
