"""The image files below a folder, by their extension or their first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medzoo.data.files.find import all_files_below
from medzoo.data.images.read import SUFFIXES
from medzoo.data.images.sniff import holds_image

_INDEX = "DICOMDIR"  # an index of other files that starts like a DICOM image


@dataclass
class Images:
    """The files below a folder.

    Args:
        images: paths of the image files.
        others: paths of the other files.
    """

    images: list[str]
    others: list[str]


def find_images(folder: Path) -> Images:
    """All files below a folder, divided into images and others by their extension (in any case) or their first bytes.

    Args:
        folder: where to look; hidden files and folders are skipped.

    Raises:
        DataContractError: for names that are not UTF-8, or folders that cannot be read.
    """
    found = Images([], [])
    for name in all_files_below(folder):
        (found.images if is_image(folder, name) else found.others).append(name)
    names = set(found.images)
    # An Analyze or NIfTI .hdr file has its pixels in a separate .img file.
    found.others = [name for name in found.others if not name.endswith(".img") or f"{name[:-4]}.hdr" not in names]
    return found


def is_image(folder: Path, name: str) -> bool:
    """Whether a file is an image by its extension (in any case) or its first bytes.

    Args:
        folder: the folder that the path is relative to.
        name: its path.
    """
    known = name.lower().endswith(SUFFIXES)
    return known or (PurePosixPath(name).name.upper() != _INDEX and _holds_image(folder / name))


def _holds_image(path: Path) -> bool:
    try:
        return holds_image(path)
    except OSError:
        return True  # keep the file: reading it will report the error
