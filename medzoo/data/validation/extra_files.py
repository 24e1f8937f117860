"""Image files below a data set's folder that no row names: harmless, in the wrong place, or left out by a table that was cut."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medzoo.data.files.find import files_below
from medzoo.data.images.read import SUFFIXES
from medzoo.errors import listed

_TABLES = (".csv", ".tsv", ".txt", ".json", ".lst", ".list")
_LARGEST = 256 * 2**20  # tables beyond this are not searched for names
_MISSED = re.compile(r"not exist|are not below|are not in ")  # as families say it
_WORD = re.compile(rb"[^\s,;\"'|/\\\[\]{}]+")


@dataclass(frozen=True)
class ExtraFiles:
    """What was found.

    Args:
        problems: files that look like the images of missing rows, or of rows whose images are missing.
        notes: the others.
    """

    problems: list[str]
    notes: list[str]


def extra_files(root: Path, named: Iterable[str], heard: Iterable[str] = ()) -> ExtraFiles:
    """Look for image files that no row names.

    Files among the task's images are a problem if the tables beside them name its images and not these: then rows are missing. If
    the tables name them, the task leaves them out on purpose.

    Args:
        root: the data's folder.
        named: paths below it that rows name: images and masks.
        heard: problems so far; a file of a name that one of them misses was looked for in another place, and one that is named
            for something else has lost its row by that.
    """
    wanted = {name for name in named if name}
    suffixes = {PurePosixPath(name).suffix.lower() for name in wanted} | set(SUFFIXES)
    there = files_below(root, sorted(filter(None, suffixes)))
    elsewhere = wanted.difference(there)  # or named in another way: /data/a.png, ./a.png
    wanted = wanted - elsewhere | {_below(root, name) for name in elsewhere}
    extra = [name for name in there if name not in wanted]
    if not extra:
        return ExtraFiles([], [])
    told = [(bool(_MISSED.search(text)), _names(text)) for text in heard]
    missed, known_bad = (set().union(*(names for kind, names in told if kind == missing)) for missing in (True, False))
    moved = [name for name in extra if PurePosixPath(name).name in missed]
    left = [name for name in extra if not {name, PurePosixPath(name).name} & (missed | known_bad)]
    words = _words(root)
    known = sum(_mentioned(name, words) for name in wanted)
    places = {_place(name) for name in wanted}
    rowless = [
        name for name in left if known * 2 >= len(wanted) and _place(name) in places and not _mentioned(name, words)
    ]
    others = [name for name in left if name not in set(rowless)]
    problems, notes = [], []
    if moved:
        problems.append(
            f"{len(moved)} files have the name of an image that is missing, in another place: {listed(moved)}."
        )
    if rowless:
        problems.append(
            f"{len(rowless)} image files lie among the task's images and no table names them, so rows seem to be missing: "
            f"{listed(rowless)}."
        )
    if others:
        notes.append(f"{len(others)} image files below {root} are not used: {listed(others, 5)}.")
    return ExtraFiles(problems, notes)


def _names(text: str) -> set[str]:
    """What may be file names in a message, without their folders."""
    return {PurePosixPath(word.strip("'\"():,;.")).name for word in text.split()}


def _below(root: Path, name: str) -> str:
    """The path below the root of a file that a row names by it or by an absolute path; as it was if it lies elsewhere."""
    path = os.path.relpath(root / name, root)
    return name if path.startswith("..") else Path(path).as_posix()


def _place(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.parent.as_posix(), path.suffix.lower()


def _mentioned(name: str, words: set[bytes]) -> bool:
    path = PurePosixPath(name)
    return path.name.encode() in words or path.stem.encode() in words


def _words(root: Path) -> set[bytes]:
    """All words of the tables below a folder, and file names also without their extension."""
    found: set[bytes] = set()
    for name in files_below(root, _TABLES):
        path = root / name
        try:
            if path.stat().st_size <= _LARGEST:
                found.update(_WORD.findall(path.read_bytes()))
        except OSError:
            continue
    return found | {word.rpartition(b".")[0] for word in found if b"." in word}
