"""Check names of Hub repositories and revisions before any network request."""

from __future__ import annotations

import re

from medzoo.errors import UnknownNameError, UsageError
from medzoo.zoo.registry.registry import HEX40, HOW, names

REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}\w)?(?<!\.git)", re.ASCII)


def check_revision(revision: object) -> str:
    """A revision that is safe as a file name; a full commit in lower case.

    Raises:
        UsageError: for other characters than letters, digits, `.`, `_`, `/`, `-`; for `..`; for a leading `/` or `-`.

    >>> check_revision("refs/pr/1")
    'refs/pr/1'
    """
    if not isinstance(revision, str) or not REVISION.fullmatch(revision) or ".." in revision:
        raise UsageError(
            f"{revision!r} is not a revision. Give a branch, a tag, refs/pr/N, or the 40 hexadecimal digits of a commit.",
            code="invalid-revision",
        )
    return revision.lower() if HEX40.fullmatch(revision.lower()) else revision


def check_repo(repo: str, kind: str = "checkpoint") -> str:
    """A repository id of the form org/name.

    Args:
        repo: the id.
        kind: what the repository should hold, for the message: "checkpoint" or "results repository".

    Raises:
        UnknownNameError: for other forms.

    >>> check_repo("lab/results", "results repository")
    'lab/results'
    """
    if not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        near, how = (names(), f"{HOW} ") if kind == "checkpoint" else ([], "")
        raise UnknownNameError(kind, repo[:200], near, f"{how}A repository is written org/name, as in medzoo/results.")
    return repo


def repo_and_revision(name: str, revision: object = None) -> tuple[str, str | None]:
    """A repository and its revision, which is part of the name (org/name@v1) or given separately.

    Args:
        name: org/name or org/name@revision.
        revision: the revision that was given separately, or None.

    Raises:
        UsageError: for two revisions that differ, or an invalid revision.
        UnknownNameError: for a name that is not a repository's.

    >>> repo_and_revision("lab/net@v1")
    ('lab/net', 'v1')
    """
    repo, at, tail = name.partition("@")
    check_repo(repo)
    given = [check_revision(row) for row in (*([tail] if at else []), *([] if revision is None else [revision]))]
    if len(set(given)) > 1:
        raise UsageError(
            f"Two revisions were given: {given[0]!r} in the name, and {given[1]!r}. Give one.", code="two-revisions"
        )
    return repo, given[0] if given else None
