"""Names of repositories and revisions of the Hub: which texts are some, judged before anything is contacted."""

from __future__ import annotations

import re

from medzoo.errors import UnknownNameError, UsageError
from medzoo.zoo.registry.registry import HEX40, HOW, names

REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}\w)?(?<!\.git)", re.ASCII)


def check_revision(revision: object) -> str:
    """A revision that cannot leave its folder; the digits of a whole commit in small letters.

    Raises:
        UsageError: for other signs than letters, digits, `.`, `_`, `/`, `-`; for `..`; for a leading `/` or `-`.

    >>> check_revision("refs/pr/1")
    'refs/pr/1'
    """
    if not isinstance(revision, str) or not REVISION.fullmatch(revision) or ".." in revision:
        raise UsageError(
            f"{revision!r} is no revision: a branch, a tag, refs/pr/N, or 40 hexadecimal digits of a commit."
        )
    return revision.lower() if HEX40.fullmatch(revision.lower()) else revision


def check_repo(repo: str, kind: str = "checkpoint") -> str:
    """A repository id of the form org/name.

    Args:
        repo: the id.
        kind: what the repository should hold, for the message: "checkpoint" or "results repository".

    Raises:
        UnknownNameError: for anything else.

    >>> check_repo("lab/results", "results repository")
    'lab/results'
    """
    if not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        near, how = (names(), f"{HOW} ") if kind == "checkpoint" else ([], "")
        raise UnknownNameError(kind, repo[:200], near, f"{how}A repository is written org/name, as in medzoo/results.")
    return repo


def repo_and_revision(name: str, revision: object = None) -> tuple[str, str | None]:
    """A repository and its revision, which may stand in the name (org/name@v1) or beside it.

    Args:
        name: org/name or org/name@revision.
        revision: as given beside the name; None if it was not.

    Raises:
        UsageError: for two revisions that differ, or one that is none.
        UnknownNameError: for a name that is no repository's.

    >>> repo_and_revision("lab/net@v1")
    ('lab/net', 'v1')
    """
    repo, at, tail = name.partition("@")
    check_repo(repo)
    given = [check_revision(row) for row in (*([tail] if at else []), *([] if revision is None else [revision]))]
    if len(set(given)) > 1:
        raise UsageError(f"Two revisions were given: {given[0]!r} in the name, and {given[1]!r}.")
    return repo, given[0] if given else None
