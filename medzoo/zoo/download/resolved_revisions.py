"""Which commit a revision of a repository stood for, noted when it was looked up; read only for exactly what is asked."""

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

FIRST = "first.json"  # of the head that was taken when no revision was asked for
ABOUT = "repo.json"  # which repository a folder is of
SHORT = re.compile(r"[0-9a-f]{4,39}")  # the beginning of a commit, or a branch of such a name
PathLike = str | os.PathLike[str]


def note_commit(repo: str, revision: str | None, commit: str, cache_dir: PathLike | None) -> None:
    """Note what a revision stands for now; a cache that cannot be written asks again next time.

    Args:
        repo: org/name.
        revision: branch, tag or short commit; None for the head that was taken first.
        commit: 40 hexadecimal digits.
        cache_dir: instead of MEDZOO_HOME.
    """
    with suppress(OSError):
        store.write_json(_note(repo_folder(repo, cache_dir), revision), {**_asked(repo, revision), "commit": commit})


def noted_commit(repo: str, revision: str | None, cache_dir: PathLike | None) -> str | None:
    """The commit that was noted for exactly this Hub, repository and revision; None if there is none.

    Args:
        repo: org/name.
        revision: as for `note_commit`.
        cache_dir: instead of MEDZOO_HOME.
    """
    for folder in repo_folders(repo, cache_dir):
        # earlier medzoos wrote "/" as "--", and a revision called "first" over the note of no revision
        for note in (_note(folder, revision), folder / f"{(revision or 'first').replace('/', '--')}.json"):
            rows = read_note(note)
            if _states(rows, repo) and "revision" in rows and rows["revision"] == revision:
                return str(rows["commit"])
    return None


def what_is_here(repo: str, revision: str | None, cache_dir: PathLike | None) -> str:
    """What the cache holds instead of what was asked for, in sentences: another revision or Hub is never taken for it.

    Args:
        repo: org/name.
        revision: that is not here.
        cache_dir: instead of MEDZOO_HOME.
    """
    notes = [read_note(path) for folder in repo_folders(repo, cache_dir) for path in folder.glob("*.json")]
    others = sorted(
        {str(rows["revision"]) for rows in notes if _states(rows, repo) and rows.get("revision")} - {revision}
    )
    about = [read_note(path) for path in (cache_root(cache_dir) / "snapshots").glob(f"*/{ABOUT}")]
    hubs = sorted({str(rows.get("hub")) for rows in about if rows.get("repo") == repo} - {hub_address()})
    said = ["Of a commit, give all 40 digits."] if revision and SHORT.fullmatch(revision) else []
    said += [f"Other revisions of it are here: {listed(others, 5)} (revision=...)."] if others else []
    said += [f"A repository of this name is here from {listed(hubs, 3)} (HF_ENDPOINT)."] if hubs else []
    return " ".join(said)


def say_whose(repo: str, cache_dir: PathLike | None) -> None:
    """Leave in a repository's folder of which repository and Hub it is, since its name does not always show it."""
    path = repo_folder(repo, cache_dir) / ABOUT
    if not path.is_file():
        with suppress(OSError):
            store.write_json(path, _asked(repo))


def whose(folder: Path) -> tuple[str, str]:
    """Repository and Hub of a folder in the cache, as a note in it says, else as its name does; a Hub that nobody noted is "".

    Args:
        folder: below `snapshots`.

    >>> whose(Path("snapshots/lab--net"))
    ('lab/net', '')
    """
    for path in (folder / ABOUT, *folder.glob("*.json")):
        rows = read_note(path)
        if isinstance(rows.get("repo"), str):
            return rows["repo"], str(rows.get("hub", ""))
    org, found, name = folder.name.partition("--")
    return (f"{org}/{name}" if found and "~" not in folder.name else folder.name), ""


def read_note(path: Path) -> dict[str, Any]:
    """A note as a table; empty if it cannot be read."""
    with suppress(OSError, ValueError):
        rows = json.loads(path.read_text(encoding="utf-8"))
        return rows if isinstance(rows, dict) else {}
    return {}


def _note(folder: Path, revision: str | None) -> Path:
    # "first.json" can be the note of no revision, for these names all hold a "~"
    return folder / (FIRST if revision is None else f"{paths.file_name('revision', revision, longest=0)}.json")


def _asked(repo: str, *revision: str | None) -> dict[str, Any]:
    stated = {"hub": hub_address(), "type": "model", "repo": repo}
    return {**stated, "revision": revision[0]} if revision else stated


def _states(rows: dict[str, Any], repo: str) -> bool:
    """Whether a note is of this repository of this Hub; earlier medzoos named no Hub."""
    same = rows.get("repo") == repo and rows.get("hub", PUBLIC_HUB) == hub_address()
    return same and rows.get("type", "model") == "model" and HEX40.fullmatch(str(rows.get("commit"))) is not None
