"""Find image files below a data set's folder that no row names: unused, in the wrong place, or with a missing row."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medzoo.data.files.find import files_below
from medzoo.data.images.read import SUFFIXES
from medzoo.errors import DataContractError, listed, with_code

_TABLES = (".csv", ".tsv", ".txt", ".json", ".lst", ".list")
_LARGEST = 256 * 2**20  # bytes; larger tables are not searched for names
_MISSING = frozenset(
    {"data-files-missing", "image-files-missing", "images-missing"}
)  # codes: a row names a file that is absent
_WORD = re.compile(rb"[^\s,;\"'|/\\\[\]{}]+")


@dataclass(frozen=True)
class ExtraFiles:
    """The result.

    Args:
        problems: files that are probably images of missing rows, or missing images of rows.
        notes: other files.
    """

    problems: list[str]
    notes: list[str]


def extra_files(root: Path, named: Iterable[str], reported: Iterable[DataContractError] = ()) -> ExtraFiles:
    """Find image files that no row names.

    Files in the folders of the task's images are a problem if the tables there name the task's images, but not these files: then
    rows are missing. If the tables name them, the task excludes them intentionally.

    Args:
        root: the data's folder.
        named: paths below it that rows name: images and masks.
        reported: problems so far, with all their offenders. A file with the name of a missing image is in the wrong place; a file
            named in another problem has no row because of that problem.
    """
    # Image files without a row.
    used = {name for name in named if name}
    suffixes = {PurePosixPath(name).suffix.lower() for name in used} | set(SUFFIXES)
    present = files_below(root, sorted(filter(None, suffixes)))
    unmatched = used.difference(present)  # in another folder, or written differently: /data/a.png, ./a.png
    used = used - unmatched | {_below(root, name) for name in unmatched}
    extra = [name for name in present if name not in used]
    if not extra:
        return ExtraFiles([], [])
    # Files that earlier problems name.
    missed: set[str] = set()
    known_bad: set[str] = set()
    for error in reported:
        (missed if error.code in _MISSING else known_bad).update(*map(_names, error.offenders))
    moved = [name for name in extra if PurePosixPath(name).name in missed]
    rest = [name for name in extra if not {name, PurePosixPath(name).name} & (missed | known_bad)]
    # Files next to the task's images that the tables do not name.
    words = _words(root)
    known = sum(_mentioned(name, words) for name in used)
    places = {_place(name) for name in used}
    without_row = [
        name for name in rest if known * 2 >= len(used) and _place(name) in places and not _mentioned(name, words)
    ]
    others = [name for name in rest if name not in set(without_row)]
    problems, notes = [], []
    if moved:
        text = f"{len(moved)} files have the name of a missing image, but are in another place: {listed(moved)}."
        problems.append(with_code(DataContractError(text, code="images-in-another-place")))
    if without_row:
        text = (
            f"{len(without_row)} image files are in the folders of the task's images, but no table names them. Rows are probably "
            f"missing: {listed(without_row)}."
        )
        problems.append(with_code(DataContractError(text, code="images-without-row")))
    if others:
        notes.append(f"{len(others)} image files below {root} are not used: {listed(others, 5)}.")
    return ExtraFiles(problems, notes)


def _names(offender: str) -> set[str]:
    """The possible file names in an offender, such as `a/b c.png` or `a/b.png: 'label'`, without their folders."""
    return {PurePosixPath(word.strip("'\"():,;.")).name for word in (offender, *offender.split())}


def _below(root: Path, name: str) -> str:
    """A path in a row, absolute or not, as a path below the root; unchanged if the file is outside the root."""
    path = os.path.relpath(root / name, root)
    return name if path.startswith("..") else Path(path).as_posix()


def _place(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.parent.as_posix(), path.suffix.lower()


def _mentioned(name: str, words: set[bytes]) -> bool:
    path = PurePosixPath(name)
    return path.name.encode() in words or path.stem.encode() in words


def _words(root: Path) -> set[bytes]:
    """All words of the tables below a folder; words with an extension also without it."""
    found: set[bytes] = set()
    for name in files_below(root, _TABLES):
        path = root / name
        try:
            if path.stat().st_size <= _LARGEST:
                found.update(_WORD.findall(path.read_bytes()))
        except OSError:
            continue
    return found | {word.rpartition(b".")[0] for word in found if b"." in word}
