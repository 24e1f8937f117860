"""Files to the Hub in one guarded commit; what may go up is judged in `leaving`.

`commit` is of a checkpoint's folder; `look` and `add`, of which it is made, serve data sets too.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from medzoo import store
from medzoo.errors import PublishError, listed
from medzoo.zoo.registry.locations import CARD, WEIGHTS

COMMITTED_MEANWHILE = 412
Kind = Literal["model", "dataset"]
HELD_OPEN = 100  # files
PROPOSALS = 5  # open pull requests that are looked at, the newest


@dataclass(frozen=True)
class Upload:
    """The files of one commit.

    Args:
        repo: org/name.
        weights: the weights file, on this machine.
        sha256: of the weights.
        texts: all other files, by their path in the repository.
        left_out: what lies in the folder and stays here.
    """

    repo: str
    weights: Path
    sha256: str
    texts: Mapping[str, bytes]
    left_out: tuple[str, ...] = ()

    def describe(self) -> str:
        """The files with size and sha256, what stays here, and the card, for a dry run."""
        rows = [(WEIGHTS, self.weights.stat().st_size, self.sha256)]
        rows += [(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in self.texts.items()]
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{name:<{width}}  {size:>13,} bytes  sha256 {digest}" for name, size, digest in rows]
        lines += [f"stays here: {listed(self.left_out, 8)}"] if self.left_out else []
        return "\n".join([f"to {self.repo}:", *lines, "", self.texts[CARD].decode()])


@dataclass(frozen=True)
class Pushed:
    """What came of a push.

    Args:
        address: of the commit, or of the pull request.
        commit: its 40 hexadecimal digits.
        unchanged: whether the repository held exactly these files before, so that nothing was committed.
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
    """Put the files up in one commit that follows the one we saw, or do nothing if they are there already.

    Args:
        upload: what goes up.
        message: of the commit.
        private: as for `look`.
        revision: branch; by default main.
        create_pr: open a pull request instead, unless one of yours with these very files is open.
        token: of the Hub.

    Raises:
        PublishError: if the Hub refuses, or somebody committed meanwhile.
    """
    head = look(upload.repo, private=private, revision=revision, token=token)
    files: dict[str, bytes | Path] = {WEIGHTS: upload.weights, **upload.texts}
    there = open_pull_request(files, head, token) if create_pr and _changed(files, head) else None
    return there or add(head, files, message, create_pr=create_pr, token=token)


def open_pull_request(files: Mapping[str, bytes | Path], head: Head, token: str | bool | None) -> Pushed | None:
    """An open pull request of the same user that holds these very files; None if there is none, or the Hub does not say.

    Args:
        files: path in the repository → content.
        head: of the repository.
        token: of the Hub.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    with suppress(Exception):  # what is wrong is said by the push itself
        me = api.whoami()["name"]
        rows = api.get_repo_discussions(
            head.repo, author=me, discussion_type="pull_request", discussion_status="open", repo_type=head.kind
        )
        for number in sorted((row.num for row in rows), reverse=True)[:PROPOSALS]:
            facts = api.repo_info(head.repo, revision=f"refs/pr/{number}", files_metadata=True, repo_type=head.kind)
            seen = head_of(facts, head.repo, head.kind, None, api.endpoint)
            if not _changed(files, seen):
                return Pushed(f"{head.address}/discussions/{number}", seen.commit, unchanged=True)
    return None


class Held(NamedTuple):
    """A file as the Hub holds it; the hash is the sha256 of an LFS file, and git's own of another."""

    size: int
    hash: str


@dataclass(frozen=True)
class Head:
    """A repository as it stood when we looked.

    Args:
        repo: org/name.
        kind: of the repository.
        revision: branch, or None for main.
        commit: 40 hexadecimal digits; empty in a repository without any.
        files: what it holds, by path.
        address: of the repository.
    """

    repo: str
    kind: Kind
    revision: str | None
    commit: str
    files: Mapping[str, Held]
    address: str

    def holds(self, name: str, content: bytes | Path) -> bool:
        """Whether a file is there with exactly this content."""
        there = self.files.get(name)
        if there is None:
            return False
        if isinstance(content, Path):
            return there.hash == store.verified_sha256(content)
        return there.hash in (_git_hash(content), hashlib.sha256(content).hexdigest())


def look(
    repo: str,
    *,
    kind: Kind = "model",
    private: bool | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Head:
    """What a repository holds that is about to be written to; it is created if there is none.

    Args:
        repo: org/name.
        kind: of the repository.
        private: whether a repository that is created is private; None is so too, and takes one that is there as it is.
        revision: branch, created if there is none; by default main.
        token: of the Hub.

    Raises:
        PublishError: if the Hub refuses, or a repository that should be private is public.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    with _refusals(repo):
        api.create_repo(repo, private=private is not False, exist_ok=True, repo_type=kind)
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo, branch=revision, exist_ok=True, repo_type=kind)
        facts = api.repo_info(repo, revision=revision, files_metadata=True, repo_type=kind)
    if private and facts.private is False:
        raise PublishError(
            f"{repo} is there and public, so that everybody could read what goes up. Nothing was written; make it private in "
            "its settings on the Hub, or push without --private (private=None)."
        )
    if private is False and facts.private:
        print(f"{repo} is there and private, and stays so; its settings on the Hub can change that.", file=sys.stderr)
    return head_of(facts, repo, kind, revision, api.endpoint)


def head_of(facts: Any, repo: str, kind: Kind, revision: str | None, endpoint: str) -> Head:  # noqa: ANN401
    """What the Hub's answer to `repo_info(files_metadata=True)` says of a repository."""
    files = {}
    for row in facts.siblings or ():
        lfs = (row.lfs["sha256"] if isinstance(row.lfs, dict) else row.lfs.sha256) if row.lfs else None
        files[row.rfilename] = Held(int(row.size or 0), str(lfs or row.blob_id))
    prefix = "" if kind == "model" else f"{kind}s/"
    return Head(repo, kind, revision, str(facts.sha or ""), files, f"{endpoint}/{prefix}{repo}")


def add(
    head: Head,
    files: Mapping[str, bytes | Path],
    message: str,
    *,
    create_pr: bool = False,
    token: str | bool | None = None,
) -> Pushed:
    """Put files up in one commit that follows the one we saw, or do nothing if they are there already; nothing is removed.

    Args:
        head: what `look` saw.
        files: their contents, or where they lie on this machine, by their path in the repository.
        message: of the commit.
        create_pr: open a pull request instead.
        token: of the Hub.

    Raises:
        PublishError: if the Hub refuses, or somebody committed meanwhile.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    changed = _changed(files, head)
    if not changed and head.commit:
        return Pushed(f"{head.address}/commit/{head.commit}", head.commit, unchanged=True)
    api = HfApi(token=token, library_name="medzoo")
    with _refusals(head.repo), ExitStack() as opened:
        # An open file goes up by LFS in the one commit; a path would go through Xet, whose uploads come in parts. Many files
        # go as paths all the same: a process may not hold thousands open.
        few = len(changed) <= HELD_OPEN
        ready: list[tuple[str, Any]] = [
            (name, opened.enter_context(row.open("rb")) if few and isinstance(row, Path) else row)
            for name, row in changed
        ]
        done = api.create_commit(
            head.repo, [CommitOperationAdd(name, row) for name, row in ready], commit_message=message, repo_type=head.kind,
            revision=head.revision, create_pr=create_pr, parent_commit=head.commit or None,
        )  # fmt: skip
    return Pushed(str(done.pr_url if create_pr else done.commit_url), str(done.oid))


@contextmanager
def _refusals(repo: str) -> Iterator[None]:
    """Every way in which a push fails, as one that says how to go on."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:  # the client's, the system's, and httpx's own, by whichever name it has
        if getattr(getattr(error, "response", None), "status_code", None) == COMMITTED_MEANWHILE:
            raise PublishError(
                f"Somebody else committed to {repo} meanwhile. Nothing was written; look at it and push again."
            ) from error
        what = (str(error).strip() or type(error).__name__).rstrip(".")
        raise PublishError(f"The Hub did not take {repo}: {what}. {_way_on(error)}") from error


def _way_on(error: Exception) -> str:
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "A push needs the Hub; into a directory it goes without: --hub DIR, or MEDZOO_HUB."
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403, 404):
        return "Log in with `hf auth login`, or pass token=, as somebody who may write there."
    return "Push again: what is there already is not sent twice."


def _changed(files: Mapping[str, bytes | Path], head: Head) -> list[tuple[str, bytes | Path]]:
    """The files that the repository does not hold already."""
    return [(name, content) for name, content in files.items() if not head.holds(name, content)]


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
