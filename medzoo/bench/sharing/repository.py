"""A repository of results on the Hub: its content at a revision, and downloads of its files, checked against their hashes."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from medzoo.errors import ResultError
from medzoo.zoo.download.hub_client import Head, ask, hub_api, look_up, verified
from medzoo.zoo.registry.hub_names import check_repo, check_revision

AT_ONCE = 8  # downloads
KIND = "results repository"


def repository(repo: str, *, revision: str | None = None, token: str | bool | None = None) -> Head:
    """The content of a repository of results.

    Args:
        repo: org/name.
        revision: branch, tag, commit or refs/pr/N; by default main.
        token: of the Hub.

    Raises:
        ResultError: if you cannot read such a repository or revision, or the Hub cannot be reached.
    """
    return look_up(check_repo(repo, KIND), "dataset", None if revision is None else check_revision(revision), token)


def fork_of(repo: str, commit: str, *, token: str | bool | None = None) -> str:
    """The commit of main from which a pull request branched; its changes are relative to that commit, not to current main.

    Args:
        repo: org/name.
        commit: of the pull request.
        token: of the Hub.

    Raises:
        ResultError: if the two share no commit.
    """

    main, branch = (
        ask(partial(hub_api(token).list_repo_commits, repo, repo_type="dataset", revision=one), repo, "dataset", one)
        for one in (None, commit)
    )
    shared = {row.commit_id for row in main}
    if found := next((row.commit_id for row in branch if row.commit_id in shared), None):
        return found
    raise ResultError(
        f"{commit} of {repo} shares no commit with main, so its changes are unknown.", code="no-common-commit"
    )


def download_files(head: Head, names: Iterable[str], *, token: str | bool | None = None) -> dict[str, Path]:
    """Download files of a repository into the cache of huggingface_hub, and check their hashes.

    Args:
        head: from `repository`.
        names: of the files.
        token: of the Hub.

    Raises:
        ResultError: if a file cannot be downloaded; complete files stay in the cache.
        IntegrityError: if two downloads of a file do not match its hash.
    """
    from huggingface_hub import hf_hub_download

    def one(name: str) -> tuple[str, Path]:
        get = partial(hf_hub_download, head.repo, name, repo_type=head.kind, revision=head.commit, token=token)
        return name, verified(head, name, lambda: Path(get()))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(one, list(names)))
