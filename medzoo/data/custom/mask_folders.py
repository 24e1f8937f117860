"""Folders `images` and `masks` without a table of labels: a mask has the name of its image."""

from __future__ import annotations

from pathlib import Path

from medzoo.data.build_task import by_split
from medzoo.data.custom.from_table import FOREGROUND
from medzoo.data.custom.groups import find_groups
from medzoo.data.custom.image_table import CustomData, ImageTable
from medzoo.data.custom.infer import read_class_names
from medzoo.data.images.read import SUFFIXES
from medzoo.data.readers.image_file import FileReader
from medzoo.data.readers.masks import ClassMaskReader, check_sizes, read_pairs
from medzoo.data.vocabulary import SPLIT_WORDS
from medzoo.errors import listed


def has_mask_folders(path: Path) -> bool:
    """Whether a folder has `images` and `masks`, directly or in the folders of its splits.

    Args:
        path: the folder.
    """
    return any((base / "images").is_dir() and (base / "masks").is_dir() for base in _bases(path))


def read_mask_folders(path: Path, groups: str | None) -> CustomData:
    """Read images/NAME and masks/NAME, or train/images/NAME, train/masks/NAME, ...

    A file classes.json, a list of names, says what the values 1, 2, ... of the masks are. Without it, there is one class: every
    pixel that is not black.

    Args:
        path: the folder.
        groups: as for `find_groups`.

    Raises:
        DataContractError: for images without a mask, masks without an image, and masks of another size or in JPEG.
    """
    task = f"folder:{path}"
    pairs = read_pairs(path, tuple(SUFFIXES), task)
    assert pairs is not None
    rows, parts = pairs
    names = rows["image"]
    check_sizes(path, names, rows["mask"], task)
    named = read_class_names(path) or FOREGROUND
    reader = ClassMaskReader(path) if len(named) > 1 else FileReader(path)
    depth = 1 if parts is None else 2
    note = f"masks: folder masks, {len(named)} classes ({listed(named, 10)})"
    table = ImageTable(
        path, path, reader, {"image": names}, "image", names, names, paths=names, class_depth=depth, notes=[note]
    )
    patients, stated = find_groups(table, groups, None)
    columns = {"id": names, "image": names, "mask": rows["mask"], "patient_id": patients}
    files = [*names, *rows["mask"], *(["classes.json"] if (path / "classes.json").is_file() else [])]
    split = by_split(columns, parts or ["all"] * len(names))
    return CustomData("segmentation", named, stated, split, path, files, reader, table.notes)


def _bases(path: Path) -> list[Path]:
    return [path, *(path / word for word in SPLIT_WORDS)]
