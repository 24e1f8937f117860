"""A repository of results on the Hub: what it holds at a revision, and its files, each checked against what it says it holds."""

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
    """What a repository of results holds.

    Args:
        repo: org/name.
        revision: branch, tag, commit or refs/pr/N; by default main.
        token: of the Hub.

    Raises:
        ResultError: if there is no such repository or revision for you, or the Hub cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    with _told(repo):
        wanted = None if revision is None else check_revision(revision)
        facts = api.repo_info(check_repo(repo, KIND), repo_type="dataset", revision=wanted, files_metadata=True)
    return head_of(facts, repo, "dataset", revision, api.endpoint)


def fork_of(repo: str, commit: str, *, token: str | bool | None = None) -> str:
    """The commit of main on which a pull request stands: what it changed is seen from there, not from main as it is now.

    Args:
        repo: org/name.
        commit: of the pull request.
        token: of the Hub.

    Raises:
        ResultError: if the two share no commit.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="medzoo")
    with _told(repo):
        main = {row.commit_id for row in api.list_repo_commits(repo, repo_type="dataset")}
        for row in api.list_repo_commits(repo, repo_type="dataset", revision=commit):
            if row.commit_id in main:
                return row.commit_id
    raise ResultError(f"{commit} of {repo} shares no commit with main, so that it cannot be said what it changes.")


def download_files(head: Head, names: Iterable[str], *, token: str | bool | None = None) -> dict[str, Path]:
    """Files of a repository, in the cache of huggingface_hub, each with the content that the Hub says it holds.

    Args:
        head: what `repository` saw.
        names: of the files.
        token: of the Hub.

    Raises:
        ResultError: if a file cannot be fetched; what has come stays.
        IntegrityError: if a file comes twice with other bytes.
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
        path.resolve().unlink()  # or the cache would give it to the next who asks
        raise IntegrityError(
            f"{name} of {head.repo} came twice with other bytes than the Hub says it holds ({head.files[name].hash}). It was "
            "thrown away; try again later, or from another network."
        )

    with _told(head.repo), ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(one, list(names)))


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Every way in which the Hub says no, as one that says how to go on."""
    from huggingface_hub import errors

    try:
        yield
    except MedzooError:
        raise
    except errors.RevisionNotFoundError as error:
        raise ResultError(
            f"The data set {repo} on the Hub has no such revision: {str(error).splitlines()[-1]}"
        ) from error
    except errors.GatedRepoError as error:
        raise ResultError(
            f"{repo} asks you to accept its terms: open https://huggingface.co/datasets/{repo}, then `hf auth login`."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ResultError(
            f"The Hub has no data set {repo}, or your token may not read it (log in with `hf auth login`, or pass token=)."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ResultError(
            f"{repo} is on the Hub, and HF_HUB_OFFLINE says that this machine has none. Unset it, or pull on another machine "
            "(`medzoo results pull`) and bring the folder."
        ) from error
    except Exception as error:  # the client's, the system's, and httpx's own, by whichever name it has
        what = str(error).strip() or type(error).__name__
        raise ResultError(
            f"{repo} could not be read from the Hub: {what[:300]}. Try again: what has come stays."
        ) from error
