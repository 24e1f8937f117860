"""Masks that lie beside their images: found by name, joined from several files, and of the images' size."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from medzoo.data.files.find import files_below
from medzoo.data.problems import complain, complain_of
from medzoo.data.readers.image_file import FileReader
from medzoo.data.vocabulary import SPLIT_WORDS
from medzoo.errors import DataContractError, ImageError, listed

MASKS = (".png", ".gif", ".tif", ".tiff", ".bmp")  # never JPEG, whose black is not quite black


class MaskReader(FileReader):
    """Images under their paths; the mask under "a.png|b.png" is the union of both files."""

    ID = "medzoo.data.masks.MaskReader"  # in the keys of decoded images; never change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 1 where one of the mask images is not black.

        Raises:
            ImageError: if the files differ in size.
        """
        return np.maximum.reduce(same_size([FileReader.read_mask(self, part) for part in key.split("|")], key))


def same_size(parts: Sequence[np.ndarray], key: str) -> list[np.ndarray]:
    """Arrays that belong on top of each other.

    Raises:
        ImageError: if they differ in size; all sizes are given.
    """
    if len({part.shape[:2] for part in parts}) > 1:
        sizes = [f"{name} {part.shape[1]} x {part.shape[0]}" for name, part in zip(key.split("|"), parts, strict=True)]
        raise ImageError(f"{listed(sizes)}: these files belong together and differ in size.")
    return list(parts)


def header_size(path: Path) -> tuple[int, int] | None:
    """(height, width) as a file's header says, the camera's rotation applied; None where Pillow cannot tell."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except Exception:  # reading the image gives the reason
        return None
    return (width, height) if turned else (height, width)


def check_sizes(root: Path, images: Sequence[str], masks: Sequence[str], task: str) -> None:
    """Every mask has the size of its image, by the headers of the files.

    Args:
        root: the data's folder.
        images: paths below it.
        masks: of each image, one path or several with "|" between them.
        task: for the message.

    Raises:
        DataContractError: with all pairs that differ (outside of `problems.collecting`).
    """
    bad = []
    for image, mask in zip(images, masks, strict=True):
        wanted = header_size(root / image)
        for part in mask.split("|"):
            size = header_size(root / part)
            if wanted and size and size != wanted:
                bad.append(f"{part} is {size[1]} x {size[0]}, {image} {wanted[1]} x {wanted[0]}")
    if bad:
        complain(
            DataContractError(f"Task {task}: {len(bad)} masks do not have the size of their image: {listed(bad)}.")
        )


def need_partners(
    found: Container[str], wanted: Sequence[str], task: str, what: str, where: object, ending: str = ""
) -> list[str]:
    """Those of the wanted names that were found.

    Args:
        found: names that are there.
        wanted: names.
        task: for the message.
        what: the partner, for the message.
        where: the partners should lie, for the message.
        ending: of the missing files, for the message.

    Raises:
        DataContractError: with the names that lack one (outside of `problems.collecting`).
    """
    absent = [name + ending for name in wanted if name not in found]
    if absent:
        complain(
            DataContractError(
                f"Task {task}: {len(absent)} of {len(wanted)} images have no {what} below {where}: {listed(absent)}. "
                f"`medzoo tasks info {task}` shows where it should lie."
            )
        )
    return [name for name in wanted if name in found]


def by_stem(paths: Sequence[str], task: str) -> dict[str, str]:
    """File name without its ending → path.

    Raises:
        DataContractError: if two paths share it.
    """
    found: dict[str, str] = {}
    twice = []
    for path in paths:
        stem = path.rpartition("/")[2].rpartition(".")[0]
        if found.setdefault(stem, path) != path:
            twice.append(f"{found[stem]} and {path}")
    if twice:
        complain(
            DataContractError(f"Task {task}: {len(twice)} names occur twice: {listed(twice, 5)}. Keep one of each.")
        )
    return found


def splits_by_folder(paths: Sequence[str], task: str) -> list[str] | None:
    """The split of each file by the folder train, val or test that it lies below; None where there is no such folder train.

    Args:
        paths: below the data's folder.
        task: for the message.

    Raises:
        DataContractError: if some lie below such a folder and others do not (outside of `problems.collecting`).

    >>> splits_by_folder(["train/a.png", "val/b.png"], "lits"), splits_by_folder(["a.png"], "lits")
    (['train', 'validation'], None)
    """
    folders = [next((part for part in path.split("/")[:-1] if part in SPLIT_WORDS), "") for path in paths]
    splits = [SPLIT_WORDS[folder] for folder in folders if folder]
    if "train" not in splits:
        return None
    if len(splits) == len(paths):
        return splits
    astray = [path for path, folder in zip(paths, folders, strict=True) if not folder]
    known = ", ".join(dict.fromkeys(filter(None, folders)))
    complain_of(astray, f"Task {task}: {len(astray)} files lie in none of the folders {known}")
    return None


def read_pairs(root: Path, images: Sequence[str], task: str) -> tuple[dict[str, list[str]], list[str] | None] | None:
    """Folders `images` and `masks` whose files have the same names, as the study of Hosseinzadeh Taher et al. wants them.

    Args:
        root: the data's folder; it holds both folders, or train, valid and test with both folders each.
        images: endings of the images.
        task: for messages.

    Returns:
        Columns id, image and mask, and the split of each row (None without train, valid and test); None where there is no
        such folder.

    Raises:
        DataContractError: with the images without a mask, and the masks without an image.
    """
    folders = {folder: split for folder, split in SPLIT_WORDS.items() if (root / folder / "images").is_dir()}
    if not folders and not (root / "images").is_dir():
        return None
    rows: dict[str, list[str]] = {"id": [], "image": [], "mask": []}
    splits: list[str] = []
    for folder, split in (folders or {"": "all"}).items():
        base = root / folder
        pictures = by_stem(files_below(base / "images", images, root), task)
        masks = by_stem(files_below(base / "masks", MASKS, root), task)
        need_partners(pictures, list(masks), task, "image (there is only a mask)", base / "images")
        for stem in need_partners(masks, list(pictures), task, "mask", base / "masks"):
            rows["id"].append(stem)
            rows["image"].append(pictures[stem])
            rows["mask"].append(masks[stem])
            splits.append(split)
    return rows, splits if folders else None
