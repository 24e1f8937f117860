"""A repository of results on the Hub: its content at a revision, and downloads of its files, checked against their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from medzoo.errors import IntegrityError, MedzooError, ResultError
from medzoo.zoo.publish.upload import Head, head_of
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
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    with _hub_errors(repo):
        checked = None if revision is None else check_revision(revision)
        facts = api.repo_info(check_repo(repo, KIND), repo_type="dataset", revision=checked, files_metadata=True)
    return head_of(facts, repo, "dataset", revision, api.endpoint)


def fork_of(repo: str, commit: str, *, token: str | bool | None = None) -> str:
    """The commit of main from which a pull request branched; its changes are relative to that commit, not to current main.

    Args:
        repo: org/name.
        commit: of the pull request.
        token: of the Hub.

    Raises:
        ResultError: if the two share no commit.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    with _hub_errors(repo):
        main = {row.commit_id for row in api.list_repo_commits(repo, repo_type="dataset")}
        for row in api.list_repo_commits(repo, repo_type="dataset", revision=commit):
            if row.commit_id in main:
                return row.commit_id
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

    def one(name: str) -> tuple[str, Path]:
        from huggingface_hub import hf_hub_download

        for again in (False, True):
            path = Path(
                hf_hub_download(
                    head.repo, name, repo_type="dataset", revision=head.commit, token=token, force_download=again
                )
            )
            if path.stat().st_size == head.files[name].size and head.holds(name, path.read_bytes()):
                return name, path
        path.resolve().unlink()  # otherwise the cache would return it again
        raise IntegrityError(
            f"Two downloads of {name} of {head.repo} do not match its hash on the Hub ({head.files[name].hash}). The file was "
            "deleted. Try again later, or from another network.",
            code="download-hash-mismatch",
        )

    with _hub_errors(head.repo), ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(one, list(names)))


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Turn every error of the Hub's client into an error that says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except MedzooError:
        raise
    except errors.RevisionNotFoundError as error:
        raise ResultError(
            f"The data set {repo} on the Hub has no such revision: {str(error).splitlines()[-1]}",
            code="revision-missing",
        ) from error
    except errors.GatedRepoError as error:
        raise ResultError(
            f"{repo} requires that you accept its terms: open https://huggingface.co/datasets/{repo}, then run `hf auth login`.",
            code="repo-gated",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ResultError(
            f"The Hub has no data set {repo}, or your token cannot read it (log in with `hf auth login`, or pass token=).",
            code="repo-missing",
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ResultError(
            f"{repo} is on the Hub, but HF_HUB_OFFLINE is set. Unset it, or pull on another machine (`medzoo results pull`) and "
            "copy the folder.",
            code="hub-offline",
        ) from error
    except Exception as error:  # errors of the client, of the system, and of httpx in its different versions
        what = str(error).strip() or type(error).__name__
        raise ResultError(
            f"{repo} could not be read from the Hub: {what[:300]}. Try again; complete downloads are kept.",
            code="hub-read-failed",
        ) from error
