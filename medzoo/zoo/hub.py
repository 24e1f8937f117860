"""The real Hub: snapshots of a repository's three files, and errors that say how to go on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medzoo.errors import LicenseError, WeightsUnavailableError
from medzoo.zoo.places import CARD, CONFIG, WEIGHTS, cache_root

TRUE = ("1", "ON", "YES", "TRUE")


def told_offline() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network."""
    return any(os.environ.get(key, "").upper() in TRUE for key in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def not_here(name: str) -> WeightsUnavailableError:
    """The error for weights that are neither cached nor allowed to be fetched."""
    return WeightsUnavailableError(
        f"The weights of {name} are not on this machine, and the network is off (local_files_only or HF_HUB_OFFLINE). "
        f"Where there is one, run `medzoo fetch {name}`; or fill a directory with `medzoo fetch {name} --to DIR`, carry it "
        "here, and set MEDZOO_HUB=DIR."
    )


def hub_cache(cache_dir: str | os.PathLike[str] | None) -> Path | None:
    """Where huggingface_hub keeps its files; None is its own default."""
    return cache_root(cache_dir) / "hub" if cache_dir is not None else None


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
        revision: commit, branch or tag; None is the head of main.
        token: of the Hub.
        offline: contact nothing.
        cache_dir: medzoo's cache, if not the default.

    Returns:
        The folder, and its commit (40 hexadecimal digits).

    Raises:
        WeightsUnavailableError: naming the cause and what to do.
    """
    from huggingface_hub import snapshot_download

    folder = _guarded(
        snapshot_download, offline or told_offline(), repo, revision, token=token,
        allow_patterns=[WEIGHTS, CONFIG, CARD], cache_dir=hub_cache(cache_dir),
    )  # fmt: skip
    path = Path(folder)
    if not (path / WEIGHTS).is_file() or not (path / CONFIG).is_file():
        raise WeightsUnavailableError(f"{repo} on the Hub has no {WEIGHTS} with {CONFIG}; medzoo reads nothing else.")
    if revision != path.name and not offline:
        print(f"{repo}: {revision or 'main'} is {path.name}", file=sys.stderr)
    return path, path.name


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
    from huggingface_hub import hf_hub_download

    quiet = offline or told_offline()
    path = _guarded(hf_hub_download, quiet, repo, revision, filename=file, token=token, cache_dir=hub_cache(cache_dir))
    snapshot_folder = Path(path).parents[len(Path(file).parts) - 1]
    return Path(path), snapshot_folder.name


def _guarded(call: Callable[..., str], quiet: bool, repo: str, revision: str | None, **arguments: Any) -> str:  # noqa: ANN401
    from huggingface_hub import errors

    try:
        return call(repo_id=repo, revision=revision, local_files_only=quiet, **arguments)
    except errors.GatedRepoError as error:
        raise LicenseError(
            f"{repo} on the Hub asks you to accept its terms: open https://huggingface.co/{repo}, then `hf auth login`."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsUnavailableError(f"The Hub has no repository {repo}, or your token may not read it.") from error
    except errors.RevisionNotFoundError as error:
        raise WeightsUnavailableError(f"{repo} on the Hub has no revision {revision!r}.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if quiet:
            raise not_here(repo) from error
        raise WeightsUnavailableError(f"The Hub cannot be reached for {repo}: {error}") from error
    except errors.EntryNotFoundError as error:
        raise WeightsUnavailableError(f"{repo} on the Hub lacks a file that is needed: {error}") from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise WeightsUnavailableError(f"{repo} could not be fetched from the Hub: {error}. Try again.") from error
