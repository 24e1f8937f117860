"""The Hugging Face Hub: which commit a name stands for, and its files, every byte checked against what the Hub says it holds.

huggingface_hub answers who, what and which commit. The bytes are fetched here, because its client takes a body with a changed
bit, begins anew after a kill, and waits for as long as a server asks. What it has in its own cache is used as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from medzoo import store
from medzoo.errors import IntegrityError, LicenseError, WeightsUnavailableError
from medzoo.http_download import AGAIN, TRIES, RefusedError, download, wait_after
from medzoo.locks import wait_for
from medzoo.zoo.download.resolved_revisions import SHORT, note_commit, noted_commit, say_whose, what_is_here
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
ANSWER_SECONDS = 8.0  # longer than any healthy Hub takes to answer a question


class Remote(NamedTuple):
    """A file as the Hub describes it."""

    name: str
    size: int | None
    sha256: str | None
    git: str | None


def told_offline() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network."""
    return any(os.environ.get(key, "").upper() in TRUE for key in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def not_here(name: str, more: str = "") -> WeightsUnavailableError:
    """The error for weights that are neither cached nor allowed to be fetched.

    Args:
        name: of the checkpoint, or the repository.
        more: another way to get them, as a sentence.
    """
    return WeightsUnavailableError(
        f"The weights of {name} are not on this machine, and the network is off (local_files_only or HF_HUB_OFFLINE). "
        f"Where there is one, run `medzoo fetch {name}`; or fill a directory with `medzoo fetch {name} --to DIR`, carry it "
        f"here, and set MEDZOO_HUB=DIR. {more}".rstrip()
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
        revision: commit, branch or tag; None is the head of main on the first call, and that same commit from then on.
        token: of the Hub.
        offline: contact nothing.
        cache_dir: medzoo's cache, if not the default.

    Returns:
        The folder, and its commit (40 hexadecimal digits).

    Raises:
        WeightsUnavailableError: naming the cause and what to do.
        LicenseError: if the Hub wants its terms accepted.
        IntegrityError: if what came is not what the Hub says it holds.
    """
    return _files(repo, (WEIGHTS, CONFIG), (CARD, *TERMS), revision, token=token, offline=offline, cache_dir=cache_dir)


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
    folder, commit = _files(repo, (file,), (), revision, token=token, offline=offline, cache_dir=cache_dir)
    return folder / file, commit


def _files(
    repo: str, needed: Sequence[str], wanted: Sequence[str], revision: str | None, *, token: str | bool | None,
    offline: bool, cache_dir: str | os.PathLike[str] | None,
) -> tuple[Path, str]:  # fmt: skip
    offline = offline or told_offline()
    pinned = known = revision if revision and HEX40.fullmatch(revision) else None
    if known is None and (revision is None or offline):  # a branch that was named is looked at again each time
        known = noted_commit(repo, revision, cache_dir)
    if known and (folder := _here(repo, known, needed, cache_dir)):
        return folder, known
    if offline:
        folder = None if known else _here(repo, revision, needed, cache_dir)
        if folder is None:
            raise not_here(repo, what_is_here(repo, revision, cache_dir))
        return folder, folder.name
    commit, files = _ask(repo, known or revision, token)
    if pinned and commit != pinned:
        raise IntegrityError(
            f"{hub_address()} gave the commit {commit} of {repo} for {pinned}. Nothing was taken from it."
        )
    if missing := [name for name in needed if name not in files]:
        also = "; medzoo reads nothing else" if WEIGHTS in missing else ""
        raise WeightsUnavailableError(f"{repo} on the Hub has no {' and no '.join(missing)} at {commit}{also}.")
    folder = _here(repo, commit, needed, cache_dir) or snapshot_folder(repo, commit, cache_dir)
    if not all((folder / name).is_file() for name in needed):
        chosen = [files[name] for name in (*needed, *wanted) if name in files]
        with alone(folder.with_name(f".{commit}.lock"), repo):
            if not all((folder / name).is_file() for name in needed):
                _bring(repo, commit, chosen, folder, token)
    if folder == snapshot_folder(repo, commit, cache_dir):  # also after a run that was killed in between
        say_whose(repo, cache_dir)
    if commit != revision:
        print(f"{repo}: {revision or 'main'} is {commit}", file=sys.stderr)
        note_commit(repo, revision, commit, cache_dir)
    return folder, commit


def _here(
    repo: str, revision: str | None, needed: Sequence[str], cache_dir: str | os.PathLike[str] | None
) -> Path | None:
    """The files in our cache, or in that of huggingface_hub; it may hold a file that we never fetched."""
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
    """Where huggingface_hub keeps its files; None is its own default."""
    return cache_root(cache_dir) / "hub" if cache_dir is not None else None


def _ask(repo: str, revision: str | None, token: str | bool | None) -> tuple[str, dict[str, Remote]]:
    """The commit behind a revision, and its files with size and hash, in one question."""
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    facts: Any = _told(
        lambda: api.model_info(repo, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS), repo, revision
    )
    files = {}
    for row in facts.siblings or ():
        sha256 = (row.lfs["sha256"] if isinstance(row.lfs, dict) else row.lfs.sha256) if row.lfs else None
        files[row.rfilename] = Remote(row.rfilename, row.size, sha256, row.blob_id)
    return str(facts.sha), files


def _told(call: Callable[[], T], repo: str, revision: str | None) -> T:
    """What the Hub answers: tried again if it is busy, and given up at once if nobody is there."""
    from huggingface_hub import errors

    for attempt in range(1, TRIES + 1):
        try:
            return call()
        except errors.GatedRepoError as error:
            raise _gated(repo) from error
        except errors.RepositoryNotFoundError as error:
            raise WeightsUnavailableError(
                f"The Hub has no repository {repo}, or your token may not read it."
            ) from error
        except errors.RevisionNotFoundError as error:
            short = revision is not None and SHORT.fullmatch(revision)
            digits = " Of a commit, give all 40 digits." if short else ""
            raise WeightsUnavailableError(f"{repo} on the Hub has no revision {revision!r}.{digits}") from error
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            if status not in AGAIN or attempt == TRIES:
                raise WeightsUnavailableError(f"The Hub answered {status} for {repo}: {error}") from error
            time.sleep(wait_after(error.response.headers.get("Retry-After"), attempt))
        except Exception as error:  # httpx's own, by whichever name the installed version has
            what = str(error).strip() or type(error).__name__
            raise WeightsUnavailableError(
                f"The Hub cannot be reached for {repo} ({what[:200]}). If this machine has no network, set HF_HUB_OFFLINE=1; "
                f"`medzoo fetch {repo} --to DIR` elsewhere makes a directory that works here as MEDZOO_HUB."
            ) from error
    raise AssertionError("unreachable")


def _gated(repo: str) -> LicenseError:
    return LicenseError(
        f"{repo} on the Hub asks you to accept its terms: open https://huggingface.co/{repo}, then `hf auth login`."
    )


def _bring(repo: str, commit: str, files: Sequence[Remote], folder: Path, token: str | bool | None) -> None:
    """Fetch files into a folder that appears when all are whole; parts stay for the next try."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    login = {key: value for key, value in build_hf_headers(token=token).items() if key.lower() == "authorization"}
    parts = folder.with_name(f".{commit}.part")
    files = [file for file in files if not ((folder / file.name).is_file() and _is_right(folder / file.name, file))]
    for file in files:
        path = parts / file.name
        for last in (False, True):  # what came wrong is fetched once more
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
                    f"{file.name} of {repo} came twice with other bytes than the Hub says it holds ({file.sha256 or file.git}). "
                    "It was thrown away; try again later, or from another network."
                )
    whole = {parts / file.name for file in files}
    for path in [*parts.rglob("*")]:
        if path.is_file() and path not in whole:  # a kill came between a file and its note
            path.unlink()
    if not folder.exists():
        store.fsync_folder(parts)
        os.replace(parts, folder)
        store.fsync_folder(folder.parent)
        return
    # other files of this commit came before; what is needed comes last, so that a kill shows
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
        content = path.read_bytes()  # only small files are kept by git itself
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.git
    return True


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Wait until no other process brings the same thing.

    Args:
        lock: the claim's file.
        what: for the message.
    """
    with wait_for(
        lock, waiting=lambda error: print(f"Waiting for another process that fetches {what}: {error}", file=sys.stderr)
    ):
        yield
