"""Upload files to the Hub in one commit. upload_plan.py decides which files.

`commit` uploads a checkpoint's folder; its parts `open_repository` and `commit_files` also serve data sets.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.errors import PublishError, listed
from medzoo.zoo.download.hub_client import Head, Kind, hub_api, look_up
from medzoo.zoo.registry.locations import CARD, DECODER, WEIGHTS

COMMITTED_MEANWHILE = 412
MAX_OPEN_FILES = 100
MAX_PULL_REQUESTS = 5  # the newest open pull requests that are compared


@dataclass(frozen=True)
class Upload:
    """The files of one commit.

    Args:
        repo: org/name.
        weights: the weights file, on this machine.
        sha256: of the weights.
        texts: all other files, by their path in the repository.
        left_out: the files of the folder that are not uploaded.
        decoder: the file of a trained decoder, on this machine.
    """

    repo: str
    weights: Path
    sha256: str
    texts: Mapping[str, bytes]
    left_out: tuple[str, ...] = ()
    decoder: Path | None = None

    def describe(self) -> str:
        """The files with size and sha256, the files that are not uploaded, and the card, for a dry run."""
        rows = [(WEIGHTS, self.weights.stat().st_size, self.sha256)]
        if self.decoder is not None:
            rows.append((DECODER, self.decoder.stat().st_size, store.verified_sha256(self.decoder)))
        rows += [(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in self.texts.items()]
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{name:<{width}}  {size:>13,} bytes  sha256 {digest}" for name, size, digest in rows]
        lines += [f"not uploaded: {listed(self.left_out, 8)}"] if self.left_out else []
        return "\n".join([f"to {self.repo}:", *lines, "", self.texts[CARD].decode()])


@dataclass(frozen=True)
class Pushed:
    """The result of a push.

    Args:
        address: of the commit, or of the pull request.
        commit: its 40 hexadecimal digits.
        unchanged: whether the repository had exactly these files already, so that nothing was committed.
    """

    address: str
    commit: str
    unchanged: bool = False


def commit(
    upload: Upload,
    message: str,
    *,
    private: bool | None,
    revision: str | None,
    create_pr: bool,
    token: str | bool | None,
) -> Pushed:
    """Upload the files in one commit on top of the current one, or do nothing if the repository has them already.

    Args:
        upload: the files.
        message: of the commit.
        private: as for `open_repository`.
        revision: branch; by default main.
        create_pr: open a pull request instead, unless the user has an open one with the same files.
        token: of the Hub.

    Raises:
        PublishError: if the Hub refuses, or somebody else committed in the meantime.
    """
    head = open_repository(upload.repo, private=private, revision=revision, token=token)
    files: dict[str, bytes | Path] = {WEIGHTS: upload.weights, **upload.texts}
    files |= {DECODER: upload.decoder} if upload.decoder is not None else {}
    same = open_pull_request(files, head, token) if create_pr and _changed(files, head) else None
    return same or commit_files(head, files, message, create_pr=create_pr, token=token)


def open_pull_request(files: Mapping[str, bytes | Path], head: Head, token: str | bool | None) -> Pushed | None:
    """An open pull request of the same user with exactly these files; None if there is none, or the Hub does not say.

    Args:
        files: path in the repository → content.
        head: of the repository.
        token: of the Hub.
    """
    api = hub_api(token)
    with suppress(Exception):  # the push itself reports any problem
        me = api.whoami()["name"]
        rows = api.get_repo_discussions(
            head.repo, author=me, discussion_type="pull_request", discussion_status="open", repo_type=head.kind
        )
        for number in sorted((row.num for row in rows), reverse=True)[:MAX_PULL_REQUESTS]:
            proposed = look_up(head.repo, head.kind, f"refs/pr/{number}", token)
            if not _changed(files, proposed):
                return Pushed(f"{head.address}/discussions/{number}", proposed.commit, unchanged=True)
    return None


def open_repository(
    repo: str,
    *,
    kind: Kind = "model",
    private: bool | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Head:
    """The head of a repository before an upload; a missing repository or branch is created.

    Args:
        repo: org/name.
        kind: of the repository.
        private: True: a new repository is private, and an existing public one is refused. None: a new one is private, and an
            existing one stays as it is. False: a new one is public.
        revision: branch, created if missing; by default main.
        token: of the Hub.

    Raises:
        PublishError: if the Hub refuses, or the repository is public but `private` is True.
    """
    api = hub_api(token)
    with _publish_errors(repo):
        api.create_repo(repo, private=private is not False, exist_ok=True, repo_type=kind)
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo, branch=revision, exist_ok=True, repo_type=kind)
        head = look_up(repo, kind, revision, token)
    if private and head.private is False:
        raise PublishError(
            f"{repo} exists and is public: everybody could read the upload. Nothing was written. Make it private in its "
            "settings on the Hub, or push without --private (private=None).",
            code="repository-public",
        )
    if private is False and head.private:
        print(f"{repo} exists and stays private. You can change that in its settings on the Hub.", file=sys.stderr)
    return head


def commit_files(
    head: Head,
    files: Mapping[str, bytes | Path],
    message: str,
    *,
    create_pr: bool = False,
    token: str | bool | None = None,
) -> Pushed:
    """Upload files in one commit on top of `head`, or do nothing if it has them already; no file is removed.

    Args:
        head: of `open_repository`.
        files: their contents or their paths on this machine, by path in the repository.
        message: of the commit.
        create_pr: open a pull request instead.
        token: of the Hub.

    Raises:
        PublishError: if the Hub refuses, or somebody else committed in the meantime.
    """
    from huggingface_hub import CommitOperationAdd

    changed = _changed(files, head)
    if not changed and head.commit:
        return Pushed(f"{head.address}/commit/{head.commit}", head.commit, unchanged=True)
    with _publish_errors(head.repo), ExitStack() as opened:
        # An open file is uploaded by LFS within the one commit; a path would use Xet, which uploads in parts. Many files are
        # given as paths anyway, because a process may not open thousands of files.
        few = len(changed) <= MAX_OPEN_FILES
        contents: list[tuple[str, Any]] = [
            (name, opened.enter_context(row.open("rb")) if few and isinstance(row, Path) else row)
            for name, row in changed
        ]
        done = hub_api(token).create_commit(
            head.repo,
            [CommitOperationAdd(name, row) for name, row in contents],
            commit_message=message,
            repo_type=head.kind,
            revision=head.revision,
            create_pr=create_pr,
            parent_commit=head.commit or None,
        )
    return Pushed(str(done.pr_url if create_pr else done.commit_url), str(done.oid))


@contextmanager
def _publish_errors(repo: str) -> Iterator[None]:
    """Turn every failure of a push into a PublishError that says what to do."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:  # of the Hub's client, the system, or httpx
        if getattr(getattr(error, "response", None), "status_code", None) == COMMITTED_MEANWHILE:
            raise PublishError(
                f"Somebody else committed to {repo} in the meantime. Nothing was written. Check the repository and push again.",
                code="committed-meanwhile",
            ) from error
        what = (str(error).strip() or type(error).__name__).rstrip(".")
        raise PublishError(f"The push to {repo} failed: {what}. {_advice(error)}", code="push-failed") from error


def _advice(error: Exception) -> str:
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "A push needs a connection to the Hub. Without one, push into a directory: --hub DIR, or MEDZOO_HUB."
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403, 404):
        return "Log in with `hf auth login`, or pass token=, as a user who may write to it."
    return "Push again: files that the Hub has already are not sent again."


def _changed(files: Mapping[str, bytes | Path], head: Head) -> list[tuple[str, bytes | Path]]:
    """The files that the repository does not have yet."""
    return [(name, content) for name, content in files.items() if not head.holds(name, content)]
