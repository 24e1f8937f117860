"""Notes in the cache: the commit of each revision of a Hub repository that was looked up."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from medzoo import paths, store
from medzoo.errors import listed
from medzoo.zoo.registry.locations import PUBLIC_HUB, cache_root, hub_address, repo_folder, repo_folders
from medzoo.zoo.registry.registry import HEX40

FIRST = "first.json"  # the note for no revision: the head of main at the first download
ABOUT = "repo.json"  # the repository of a folder
SHORT = re.compile(r"[0-9a-f]{4,39}")  # the beginning of a commit, or a branch with such a name
PathLike = str | os.PathLike[str]


def note_commit(repo: str, revision: str | None, commit: str, cache_dir: PathLike | None) -> None:
    """Note the commit of a revision; if the cache cannot be written, the Hub is asked again next time.

    Args:
        repo: org/name.
        revision: branch, tag or short commit; None for the head of main at the first download.
        commit: 40 hexadecimal digits.
        cache_dir: instead of MEDZOO_HOME.
    """
    with suppress(OSError):
        store.write_json(_note(repo_folder(repo, cache_dir), revision), {**_content(repo, revision), "commit": commit})


def noted_commit(repo: str, revision: str | None, cache_dir: PathLike | None) -> str | None:
    """The noted commit of exactly this Hub, repository and revision; None if there is none.

    Args:
        repo: org/name.
        revision: as for `note_commit`.
        cache_dir: instead of MEDZOO_HOME.
    """
    for folder in repo_folders(repo, cache_dir):
        # earlier versions wrote "/" as "--", and used first.json both for no revision and for one called "first"
        for note in (_note(folder, revision), folder / f"{(revision or 'first').replace('/', '--')}.json"):
            rows = read_note(note)
            if _is_about(rows, repo) and "revision" in rows and rows["revision"] == revision:
                return str(rows["commit"])
    return None


def describe_cached(repo: str, revision: str | None, cache_dir: PathLike | None) -> str:
    """The other revisions and Hubs of a repository in the cache, in sentences for an error message.

    Args:
        repo: org/name.
        revision: the requested revision, which is not in the cache.
        cache_dir: instead of MEDZOO_HOME.
    """
    notes = [read_note(path) for folder in repo_folders(repo, cache_dir) for path in folder.glob("*.json")]
    others = sorted(
        {str(rows["revision"]) for rows in notes if _is_about(rows, repo) and rows.get("revision")} - {revision}
    )
    about = [read_note(path) for path in (cache_root(cache_dir) / "snapshots").glob(f"*/{ABOUT}")]
    hubs = sorted({str(rows.get("hub")) for rows in about if rows.get("repo") == repo} - {hub_address()})
    sentences = ["Give all 40 digits of a commit."] if revision and SHORT.fullmatch(revision) else []
    sentences += [f"The cache has other revisions of it: {listed(others, 5)} (revision=...)."] if others else []
    sentences += [f"The cache has a repository of this name from {listed(hubs, 3)} (HF_ENDPOINT)."] if hubs else []
    return " ".join(sentences)


def note_repo(repo: str, cache_dir: PathLike | None) -> None:
    """Write a repository's name and Hub into its folder, because the folder's name does not always show them."""
    path = repo_folder(repo, cache_dir) / ABOUT
    if not path.is_file():
        with suppress(OSError):
            store.write_json(path, _content(repo))


def repo_and_hub(folder: Path) -> tuple[str, str]:
    """Repository and Hub of a folder in the cache, from a note in it, else from its name; an unknown Hub is "".

    Args:
        folder: below `snapshots`.

    >>> repo_and_hub(Path("snapshots/lab--net"))
    ('lab/net', '')
    """
    for path in (folder / ABOUT, *folder.glob("*.json")):
        rows = read_note(path)
        if isinstance(rows.get("repo"), str):
            return rows["repo"], str(rows.get("hub", ""))
    org, separator, name = folder.name.partition("--")
    return (f"{org}/{name}" if separator and "~" not in folder.name else folder.name), ""


def read_note(path: Path) -> dict[str, Any]:
    """A note as a dictionary; empty if it cannot be read."""
    with suppress(OSError, ValueError):
        rows = json.loads(path.read_text(encoding="utf-8"))
        return rows if isinstance(rows, dict) else {}
    return {}


def _note(folder: Path, revision: str | None) -> Path:
    # "first.json" is only the note for no revision: the names for revisions all contain a "~"
    return folder / (FIRST if revision is None else f"{paths.file_name('revision', revision, longest=0)}.json")


def _content(repo: str, *revision: str | None) -> dict[str, Any]:
    rows = {"hub": hub_address(), "type": "model", "repo": repo}
    return {**rows, "revision": revision[0]} if revision else rows


def _is_about(rows: dict[str, Any], repo: str) -> bool:
    """Whether a note is about this repository on this Hub; earlier versions did not write the Hub."""
    same = rows.get("repo") == repo and rows.get("hub", PUBLIC_HUB) == hub_address()
    return same and rows.get("type", "model") == "model" and HEX40.fullmatch(str(rows.get("commit"))) is not None
