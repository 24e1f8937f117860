"""Hints for data that are not in the expected place: in another folder, in an archive, or under another spelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from medzoo.errors import listed

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".7z", ".rar")
_DEPTH = 3
_MOST = 1000  # folders that are searched


def place_hint(root: Path, names: Sequence[str]) -> str:
    """A hint for a folder without the expected names: a sentence with a leading blank, or an empty string.

    Args:
        root: the folder.
        names: of files or folders, with or without parent folders.
    """
    try:
        return _hint(root, names)
    except OSError:
        return ""


def _hint(root: Path, names: Sequence[str]) -> str:
    for folder in (root.absolute().parent, *_below(root)):
        if any((folder / name).exists() for name in names):
            return f" {folder} has them; if these are the data, give that folder."
    here = sorted(item.name for item in root.iterdir())
    archives = [name for name in here if name.lower().endswith(_ARCHIVES)]
    if archives:
        return f" Unpack {listed(archives, 5)} first."
    firsts = {name.partition("/")[0].casefold() for name in names}
    spelled = [name for name in here if name.casefold() in firsts]
    return f" It has {listed(spelled, 5)}: upper and lower case must match." if spelled else ""


def _below(root: Path) -> Iterator[Path]:
    """Folders below the root, level by level."""
    level, count = [root], 0
    for _ in range(_DEPTH):
        level = [item for folder in level for item in sorted(folder.iterdir()) if item.is_dir()]
        count += len(level)
        if count > _MOST:
            return
        yield from level
