"""Files of a data set as they lie after unpacking: listed once, found by name, read under keys that are paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from medzoo.data.pixels import Pixels, read_image
from medzoo.data.problems import complain
from medzoo.errors import DataContractError, listed


class FileReader:
    """Images under keys that are paths below a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> Pixels:
        """The image under a key."""
        return read_image(self.root / key)

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 1 where the mask image is not black."""
        array = read_image(self.root / key).array
        return (array.max(axis=2) if array.ndim == 3 else array).astype(bool).astype(np.uint8)


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
        f"Task {task}: {root} holds none of {listed(names)}. `medzoo tasks info {task}` shows the layout that is expected."
    )


def files_below(folder: Path, suffixes: Sequence[str], root: Path | None = None) -> list[str]:
    """Paths of files below a folder, sorted, with forward slashes; hidden files are left out.

    Args:
        folder: where to look.
        suffixes: endings in small letters, with the dot.
        root: what the paths are relative to; by default the folder.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        base = Path(place).relative_to(root or folder)
        found += [
            (base / name).as_posix()
            for name in sorted(names)
            if name.lower().endswith(tuple(suffixes)) and not name.startswith(".")
        ]
    return found


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
    listings: dict[Path, set[str]] = {}

    def there(key: str) -> bool:
        folder, name = (root / key).parent, Path(key).name
        if folder not in listings:
            try:
                with os.scandir(folder) as entries:
                    listings[folder] = {entry.name for entry in entries}
            except OSError:
                listings[folder] = set()
        return name in listings[folder]

    absent = [key for key in dict.fromkeys(keys) if not key or not there(key)]
    if absent:
        complain(DataContractError(f"Task {task}: {len(absent)} {what} do not exist below {root}: {listed(absent)}."))
    return set(absent)
