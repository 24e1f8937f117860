"""The formats of mask files: which ones are read, and errors for the others."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from medzoo.data.files.find import files_below
from medzoo.data.images.read import SUFFIXES
from medzoo.data.problems import complain
from medzoo.errors import DataContractError, listed

MASKS = (".png", ".gif", ".tif", ".tiff", ".bmp")  # never JPEG: its black is not exactly 0
_JPEG = b"\xff\xd8\xff"


def refuse_jpeg(root: Path, masks: Iterable[str], where: object) -> None:
    """Refuse masks that are JPEG files by their content, whatever their names: compression changes black pixels near an edge.

    Args:
        root: the data's folder.
        masks: paths below it; missing files are skipped.
        where: the table or the task, for the message.

    Raises:
        DataContractError: with all such masks (outside of `problems.collecting`).
    """
    found = []
    for mask in dict.fromkeys(masks):
        with suppress(OSError), (root / mask).open("rb") as file:
            if file.read(len(_JPEG)) == _JPEG:
                found.append(mask)
    if found:
        complain(
            DataContractError(
                f"{where}: {len(found)} masks are JPEG files, whose black is not exactly 0: {listed(found)}. Convert them to PNG "
                "with a threshold at 128.",
                code="mask-format-refused",
                offenders=found,
            )
        )


def refuse_formats(folder: Path, root: Path, lacking: AbstractSet[str], task: str) -> None:
    """Refuse files in a folder of masks that have the name of an image without a mask, but a format that is not read.

    Args:
        folder: the masks.
        root: the data's folder.
        lacking: names of the images without a mask, with or without the folders below `folder`.
        task: for the message.

    Raises:
        DataContractError: with all such files (outside of `problems.collecting`).
    """
    found = []
    for path in files_below(folder, tuple(SUFFIXES)):
        places = [at for at, sign in enumerate(path) if sign == "."]
        names = {name for at in places for name in (path[:at], path[:at].rpartition("/")[2])}
        if not path.lower().endswith(MASKS) and not names.isdisjoint(lacking):
            found.append((folder / path).relative_to(root).as_posix())
    if found:
        complain(
            DataContractError(
                f"Task {task}: {len(found)} masks have a format that is not read as a mask: {listed(found)}. Convert them to one "
                f"of {', '.join(MASKS)} (a JPEG mask with a threshold at 128).",
                code="mask-format-refused",
                offenders=found,
            )
        )
