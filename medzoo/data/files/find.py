"""Find the files of an unpacked data set: list folders once, find files by name, check paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from medzoo.data.files.path_hints import place_hint
from medzoo.data.problems import complain, complain_of
from medzoo.errors import DataContractError, listed


def need_folder(root: Path | None, task: str, how: str) -> Path:
    """The data's folder.

    Args:
        root: the user's value.
        task: for the message.
        how: where to get the data.

    Raises:
        DataContractError: if it is missing or does not exist.
    """
    if root is None:
        raise DataContractError(
            f"Task {task} needs the folder of the data (root=FOLDER, --root FOLDER). {how} `medzoo tasks info {task}` shows the "
            "layout.",
            code="data-folder-not-given",
        )
    if not root.is_dir():
        raise DataContractError(f"Task {task}: the folder {root} does not exist. {how}", code="data-folder-missing")
    return root


def find_one(root: Path, names: Sequence[str], task: str) -> Path:
    """The first of several names that exists below the root (data may be unpacked with or without their outer folder).

    Raises:
        DataContractError: if none exists; the message lists all names.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    raise DataContractError(
        f"Task {task}: {root} has none of {listed(names)}.{place_hint(root, names)} "
        f"`medzoo tasks info {task}` shows the expected layout.",
        code="data-layout-unknown",
    )


def find_folder(root: Path, inside: Sequence[str], outer: Sequence[str], task: str) -> Path:
    """The folder that the paths of a data set are relative to: the root, or an outer folder in it.

    Args:
        root: the user's value.
        inside: names; the folder contains at least one of them.
        outer: names of the outer folders that unpacking may create.
        task: for the message.

    Raises:
        DataContractError: if none of the folders contains one of the names, or several do.
    """
    found = [
        folder
        for folder in (root, *(root / name for name in outer))
        if any((folder / name).exists() for name in inside)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataContractError(
            f"Task {task}: {root} has none of {listed(inside)}, and a folder {listed(outer)} in it does not have them either."
            f"{place_hint(root, inside)} "
            f"`medzoo tasks info {task}` shows the expected layout.",
            code="data-layout-unknown",
        )
    raise DataContractError(
        f"Task {task}: {root} has more than one copy: {listed(found)}. Give one of these folders.",
        code="several-data-copies",
    )


def files_below(folder: Path, suffixes: Sequence[str], root: Path | None = None) -> list[str]:
    """Paths of files below a folder, sorted, with forward slashes; hidden files are skipped.

    Args:
        folder: where to look.
        suffixes: extensions in lower case, with the dot.
        root: folder that the paths are relative to; by default `folder`.

    Raises:
        DataContractError: as `all_files_below`.
    """
    return all_files_below(folder, root, tuple(suffixes))


def all_files_below(folder: Path, root: Path | None = None, suffixes: tuple[str, ...] = ("",)) -> list[str]:
    """Paths of all files below a folder, sorted folder by folder, with forward slashes; hidden files are skipped.

    Links to folders are followed, because large data are often on other disks. Each folder is listed once.

    Args:
        folder: where to look.
        root: folder that the paths are relative to; by default `folder`.
        suffixes: extensions in lower case; by default any.

    Raises:
        DataContractError: for a folder that cannot be read, and for names that are not UTF-8, which tables cannot contain.
    """
    found = list(walk_files(folder, root, suffixes))
    strange = [name for name in found if not is_text(name)]
    if strange:
        raise DataContractError(
            f"{folder}: the names of {len(strange)} files are not UTF-8: {listed(map(ascii, strange), 5)}. Rename them, for "
            "example with convmv -f latin1 -t utf8 -r --notest FOLDER.",
            code="file-name-not-utf8",
        )
    return found


def walk_files(folder: Path, root: Path | None = None, suffixes: tuple[str, ...] = ("",)) -> Iterator[str]:
    """As `all_files_below`, one path after the other: only the names of one folder are in memory.

    Args:
        folder: where to look.
        root: folder that the paths are relative to; by default `folder`.
        suffixes: extensions in lower case; by default any.

    Raises:
        DataContractError: for a folder that cannot be read.
    """
    if not folder.is_dir():
        return
    # Do not follow a link to a parent folder: it would add all of that folder's files.
    seen = {(status.st_dev, status.st_ino) for status in (above.stat() for above in folder.resolve().parents)}
    for place, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        base = Path(place).relative_to(root or folder).as_posix()
        start = "" if base == "." else f"{base}/"
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield f"{start}{name}"  # no Path for each file: four times faster


def is_text(name: str) -> bool:
    r"""Whether a file's name can be written as UTF-8, as results and notes need it.

    >>> is_text("caf\u00e9.png"), is_text("caf\udce9.png")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(error: OSError) -> None:
    """Raise an error for a folder that cannot be listed, because its images would be missing without notice."""
    raise DataContractError(
        f"{error.filename} cannot be listed ({error.strerror or error}). Give yourself permission to read it.",
        code="folder-unreadable",
    ) from error


def by_name(root: Path, suffixes: Sequence[str], task: str) -> dict[str, str]:
    """File name → path below the root, for data whose tables name files without their folder.

    Raises:
        DataContractError: if two folders contain a file of the same name.
    """
    found: dict[str, str] = {}
    twice = []
    for path in files_below(root, suffixes):
        name = path.rpartition("/")[2]
        if found.setdefault(name, path) != path:
            twice.append(f"{found[name]} and {path}")
    if twice:
        complain(
            DataContractError(
                f"Task {task}: {len(twice)} file names occur in two folders below {root}, so names are ambiguous: "
                f"{listed(twice, 5)}. Give a folder with one copy.",
                code="file-name-repeated",
                offenders=twice,
            )
        )
    return found


def need_files(root: Path, keys: Iterable[str], task: str, what: str = "images") -> set[str]:
    """The keys whose files are missing. Each folder is listed once, because a data set can have millions of files.

    Args:
        root: the data's folder.
        keys: paths below it.
        task: for the message.
        what: for the message.

    Raises:
        DataContractError: names the first missing files (outside of `problems.collecting`).
    """
    listings: dict[str, set[str]] = {}

    def exists(key: str) -> bool:
        folder, _, name = key.rpartition("/")
        if folder not in listings:
            try:
                with os.scandir(root / folder) as entries:
                    listings[folder] = {entry.name for entry in entries}
            except OSError:
                listings[folder] = set()
        return name in listings[folder]

    absent = [key for key in dict.fromkeys(keys) if not key or not exists(key)]
    complain_of(absent, f"Task {task}: {len(absent)} {what} do not exist below {root}", code="data-files-missing")
    return set(absent)
