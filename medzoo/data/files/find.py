"""Files of a data set as they lie after unpacking: listed once, found by name, read under keys that are paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from medzoo.data.files.path_hints import place_hint
from medzoo.data.problems import complain
from medzoo.errors import DataContractError, listed


def need_folder(root: Path | None, task: str, how: str) -> Path:
    """The data's folder.

    Args:
        root: as the user gave it.
        task: for the message.
        how: where to get the data.

    Raises:
        DataContractError: if it was not given or does not exist.
    """
    if root is None:
        raise DataContractError(
            f"Task {task}: say where the data are (root=FOLDER, --root FOLDER). {how} `medzoo tasks info {task}` shows the layout."
        )
    if not root.is_dir():
        raise DataContractError(f"Task {task}: the folder {root} does not exist. {how}")
    return root


def find_one(root: Path, names: Sequence[str], task: str) -> Path:
    """The first of several names that exists below the root: data sets are unpacked with and without their outer folder.

    Raises:
        DataContractError: if none does; all names are listed.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    raise DataContractError(
        f"Task {task}: {root} holds none of {listed(names)}.{place_hint(root, names)} "
        f"`medzoo tasks info {task}` shows the layout that is expected."
    )


def find_folder(root: Path, inside: Sequence[str], outer: Sequence[str], task: str) -> Path:
    """The folder that a data set's own paths start from: the root itself, or an outer folder in it.

    Args:
        root: as the user gave it.
        inside: names of which this folder holds at least one.
        outer: names of the outer folders that the data are unpacked with.
        task: for the message.

    Raises:
        DataContractError: if none of the folders holds one of the names, or several do.
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
            f"Task {task}: {root} holds none of {listed(inside)}, and neither does a folder {listed(outer)} in it."
            f"{place_hint(root, inside)} "
            f"`medzoo tasks info {task}` shows the layout that is expected."
        )
    raise DataContractError(
        f"Task {task}: {root} holds more than one copy: {listed(found)}. Give one of these folders."
    )


def files_below(folder: Path, suffixes: Sequence[str], root: Path | None = None) -> list[str]:
    """Paths of files below a folder, sorted, with forward slashes; hidden files are left out.

    Args:
        folder: where to look.
        suffixes: endings in small letters, with the dot.
        root: what the paths are relative to; by default the folder.

    Raises:
        DataContractError: as `all_files_below`.
    """
    return all_files_below(folder, root, tuple(suffixes))


def all_files_below(folder: Path, root: Path | None = None, suffixes: tuple[str, ...] = ("",)) -> list[str]:
    """Paths of all files below a folder, sorted folder by folder, with forward slashes; hidden files are left out.

    Linked folders are gone into, since large data lie on other disks; a folder that two ways lead to is listed once.

    Args:
        folder: where to look.
        root: what the paths are relative to; by default the folder.
        suffixes: endings in small letters; by default any.

    Raises:
        DataContractError: for a folder that cannot be read, and for names that are no UTF-8, which no table can name.
    """
    found: list[str] = []
    if not folder.is_dir():
        return found
    # A link to a folder above, gone into, would bring all that lies beside under this folder's name.
    seen = {(status.st_dev, status.st_ino) for status in (above.stat() for above in folder.resolve().parents)}
    for place, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        base = Path(place).relative_to(root or folder)
        found += [
            (base / name).as_posix()
            for name in sorted(names)
            if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
    strange = [name for name in found if not is_text(name)]
    if strange:
        raise DataContractError(
            f"{folder}: the names of {len(strange)} files are no UTF-8: {listed(map(ascii, strange), 5)}. Rename them, for "
            "example with "
            "convmv -f latin1 -t utf8 -r --notest FOLDER."
        )
    return found


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
    """A folder that cannot be listed would take its images away without a word."""
    raise DataContractError(f"{error.filename}: cannot be listed ({error.strerror or error}).") from error


def by_name(root: Path, suffixes: Sequence[str], task: str) -> dict[str, str]:
    """File name → path below the root, of data whose tables name files without their folder.

    Raises:
        DataContractError: if two folders hold a file of the same name.
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
                f"Task {task}: {len(twice)} file names occur in two folders below {root}, so nothing says which one is meant: "
                f"{listed(twice, 5)}. Give the folder that holds one copy."
            )
        )
    return found


def need_files(root: Path, keys: Iterable[str], task: str, what: str = "images") -> set[str]:
    """The keys whose files are missing; folders are listed once, since a data set has up to millions of files.

    Args:
        root: the data's folder.
        keys: paths below it.
        task: for the message.
        what: for the message.

    Raises:
        DataContractError: with the first of the missing files (outside of `problems.collecting`).
    """
    listings: dict[str, set[str]] = {}

    def there(key: str) -> bool:
        folder, _, name = key.rpartition("/")
        if folder not in listings:
            try:
                with os.scandir(root / folder) as entries:
                    listings[folder] = {entry.name for entry in entries}
            except OSError:
                listings[folder] = set()
        return name in listings[folder]

    absent = [key for key in dict.fromkeys(keys) if not key or not there(key)]
    if absent:
        complain(DataContractError(f"Task {task}: {len(absent)} {what} do not exist below {root}: {listed(absent)}."))
    return set(absent)
