"""What every read from the Hub shares: the content of a repository, one translation of errors, and the check of hashes.

Models are read by huggingface.py; results, in repositories of the kind "dataset", by bench/sharing/repository.py.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from medzoo import errors, store
from medzoo.errors import MedzooError
from medzoo.http_download import AGAIN, TRIES, RefusedError, wait_after
from medzoo.zoo.download.resolved_revisions import SHORT
from medzoo.zoo.registry.locations import hub_address

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")
Kind = Literal["model", "dataset"]
NOT_ALLOWED = (401, 403)
# the error for each kind, and what helps without a network
KINDS: dict[Kind, tuple[type[MedzooError], str]] = {
    "model": (
        errors.WeightsUnavailableError,
        "run `medzoo fetch {} --to DIR` elsewhere, and set MEDZOO_HUB to a copy of DIR",
    ),
    "dataset": (errors.ResultError, "run `medzoo results pull {}` on another machine, and copy the folder"),
}
ANSWER_SECONDS = 8.0  # a working Hub answers faster about a model; a list of thousands of results may take longer
GIT_DIGITS = 40


class RemoteFile(NamedTuple):
    """A file on the Hub: its size (0: unknown), and the sha256 of an LFS file or git's hash of another ("": unknown)."""

    size: int
    hash: str

    def matches(self, content: bytes | Path, sha256_of: Callable[[Path], str] = store.sha256_file) -> bool:
        """Whether a content, or the file at a path, has this size and hash, as far as they are known.

        >>> RemoteFile(5, "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0").matches(b"hello")  # by `git hash-object`
        True
        """
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if self.size not in (0, size):
            return False
        if isinstance(content, Path):
            if len(self.hash) != GIT_DIGITS:
                return self.hash in ("", sha256_of(content))
            content = content.read_bytes()  # git itself stores only small files
        git = hashlib.sha1(b"blob %d\0" % size + content, usedforsecurity=False).hexdigest()
        return self.hash in ("", git, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Head:
    """The content of a repository at the time of the look-up.

    Args:
        repo: org/name.
        kind: of the repository.
        revision: branch, tag or commit; None for main.
        commit: 40 hexadecimal digits; empty in a repository without commits.
        files: its files, by path.
        private: whether only its members can read it.
    """

    repo: str
    kind: Kind
    revision: str | None
    commit: str
    files: Mapping[str, RemoteFile]
    private: bool | None = None

    @property
    def address(self) -> str:
        """The address of the repository."""
        return _address(self.repo, self.kind)

    def holds(self, name: str, content: bytes | Path) -> bool:
        """Whether the repository has a file with exactly this content."""
        file = self.files.get(name)
        return file is not None and file.hash != "" and file.matches(content, store.verified_sha256)


def hub_api(token: str | bool | None) -> HfApi:
    """The client of huggingface_hub."""
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name="medzoo")


def look_up(repo: str, kind: Kind, revision: str | None, token: str | bool | None) -> Head:
    """The content of a repository, in one request; errors as `ask`."""
    api, timeout = hub_api(token), ANSWER_SECONDS if kind == "model" else None
    facts: Any = ask(
        lambda: api.repo_info(repo, revision=revision, repo_type=kind, files_metadata=True, timeout=timeout),
        repo, kind, revision,
    )  # fmt: skip
    files = {}
    for row in facts.siblings or ():
        lfs = (row.lfs["sha256"] if isinstance(row.lfs, dict) else row.lfs.sha256) if row.lfs else None
        files[row.rfilename] = RemoteFile(int(row.size or 0), str(lfs or row.blob_id or ""))
    return Head(repo, kind, revision, str(facts.sha or ""), files, facts.private)


def ask(call: Callable[[], T], repo: str, kind: Kind, revision: str | None = None, tries: int = TRIES) -> T:
    """The Hub's answer: tries again if the Hub is busy, and stops at once if it cannot be reached.

    Args:
        call: reads from the Hub.
        repo: org/name.
        kind: of the repository.
        revision: that the call reads.
        tries: while the Hub is busy.

    Raises:
        WeightsUnavailableError: for a model, with the cause and what to do; for a data set, ResultError.
        LicenseError: if the user must accept the repository's terms on the Hub.
        DiskFullError: if the disk has no room.
    """
    from huggingface_hub.errors import HfHubHTTPError

    attempt = 0
    while True:
        try:
            return call()
        except Exception as error:  # httpx's error classes differ between its versions
            if isinstance(error, MedzooError) and not (isinstance(error, RefusedError) and error.status in NOT_ALLOWED):
                raise
            # hf_hub_download hides why it could not look up a file
            cause = error if isinstance(error, (HfHubHTTPError, MedzooError)) else error.__cause__ or error
            attempt += 1
            if not isinstance(cause, HfHubHTTPError) or cause.response.status_code not in AGAIN or attempt == tries:
                raise _translated(cause, repo, kind, revision) from error
            time.sleep(wait_after(cause.response.headers.get("Retry-After"), attempt))


def _translated(error: BaseException, repo: str, kind: Kind, revision: str | None) -> MedzooError:
    from huggingface_hub import constants
    from huggingface_hub import errors as hub

    unavailable, elsewhere = KINDS[kind][0], KINDS[kind][1].format(repo)
    if isinstance(error, (hub.GatedRepoError, RefusedError)):
        text = f"The Hub requires that you accept the terms of {repo}: open {_address(repo, kind)}, then run `hf auth login`."
        return errors.LicenseError(text, code="hub-terms-not-accepted")
    if isinstance(error, hub.RepositoryNotFoundError):
        text = f"The Hub has no {kind} {repo}, or your token may not read it (log in with `hf auth login`, or pass token=)."
        return unavailable(text, code="repository-not-found")
    if isinstance(error, hub.RevisionNotFoundError):
        digits = " Give all 40 digits of a commit." if SHORT.fullmatch(revision or "") else ""
        text = f"{repo} on the Hub has no revision {revision or 'main'!r}.{digits}"
        return unavailable(text, code="revision-not-found")
    if isinstance(error, hub.HfHubHTTPError):
        return unavailable(
            f"The Hub answered {error.response.status_code} for {repo}: {error} Try again later.", code="hub-error"
        )
    if isinstance(error, hub.OfflineModeIsEnabled):
        text = f"{repo} is on the Hub, but HF_HUB_OFFLINE is set. Unset it, or {elsewhere}."
        return unavailable(text, code="network-off")
    if errors.is_disk_full(error):
        place = Path(getattr(error, "filename", None) or constants.HF_HUB_CACHE)
        there = next(one for one in (place, *place.parents) if one.exists())
        return errors.DiskFullError(place, shutil.disk_usage(there).free)
    text = f"{repo} could not be read from the Hub ({(str(error).strip() or type(error).__name__)[:200]}). Try again; complete "
    text += f"downloads are kept. If this machine has no network, {elsewhere}."
    return unavailable(text, code="hub-unreachable")


def verified(head: Head, name: str, get: Callable[[], Path]) -> Path:
    """A downloaded file with the Hub's hash; a wrong file is removed, and downloaded once more.

    Args:
        head: the repository.
        name: of the file.
        get: downloads the file, if it is not there; errors as `ask`.

    Raises:
        IntegrityError: if the second file is wrong too.
    """
    for _ in range(2):
        path = ask(get, head.repo, head.kind, head.commit, tries=1)  # downloads try again themselves
        if head.files[name].matches(path):
            return path
        path.resolve().unlink()  # in the cache of huggingface_hub, the path is a link
    raise errors.IntegrityError(
        f"{name} of {head.repo} had a wrong hash twice (the Hub's is {head.files[name].hash}). The download was removed. Try "
        "again later, or from another network.",
        code="download-hash-wrong",
    )


def _address(repo: str, kind: Kind) -> str:
    return f"{hub_address()}/{'' if kind == 'model' else f'{kind}s/'}{repo}"
