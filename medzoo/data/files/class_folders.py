"""Class folders, each listed in one pass, because a data set can have millions of files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from medzoo.errors import DataContractError, listed

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones are skipped."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith((".", "__MACOSX")))


def files_in(folder: Path, suffixes: Sequence[str] = PICTURES) -> list[str]:
    """Names of the files in a folder, sorted; hidden ones are skipped.

    Args:
        folder: where to look; subfolders are not searched.
        suffixes: extensions in lower case, with the dot.
    """
    endings = tuple(suffixes)
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.name.lower().endswith(endings) and not e.name.startswith("."))


def class_folders(
    folder: Path, task: str, classes: Sequence[str] | None = None, suffixes: Sequence[str] = PICTURES
) -> list[tuple[str, str]]:
    """(class, file name) of every image in the class folders of a folder.

    Args:
        folder: has one folder per class.
        task: for the message.
        classes: the required folders; by default any.
        suffixes: extensions of the images.

    Raises:
        DataContractError: for class folders that are missing, unknown, or empty.
    """
    names = folders_in(folder)
    known = set(names if classes is None else classes)
    absent = sorted(known.difference(names))
    unknown = [name for name in names if name not in known]
    if absent or unknown:
        raise DataContractError(
            f"Task {task}: {folder} should have the class folders {listed(classes or ())}; "
            + (f"missing: {listed(absent)}" if absent else "")
            + ("; " if absent and unknown else "")
            + (f"unknown: {listed(unknown)}" if unknown else "")
            + ".",
            code="class-folders-wrong",
        )
    found = [(name, file) for name in names for file in files_in(folder / name, suffixes)]
    empty = sorted(set(names) - {name for name, _ in found})
    if empty or not names:
        raise DataContractError(
            f"Task {task}: {folder} has no images in {listed(empty) or 'any class folder'}.", code="class-folder-empty"
        )
    return found
