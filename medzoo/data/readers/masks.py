"""Masks in separate files: found by name, joined from several files, with the size of their images."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from shlex import quote

import numpy as np

from medzoo.data.files.find import files_below
from medzoo.data.images.ct_windows import ANY
from medzoo.data.images.volume_cache import read_cached
from medzoo.data.problems import complain
from medzoo.data.readers.image_file import FileReader
from medzoo.data.readers.mask_formats import MASKS, refuse_formats, refuse_jpeg
from medzoo.data.vocabulary import SPLIT_WORDS
from medzoo.errors import DataContractError, ImageError, listed


class MaskReader(FileReader):
    """Images by their paths; the mask of "a.png|b.png" is the union of both files."""

    ID = "medzoo.data.masks.MaskReader"  # in the keys of decoded images; never change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 1 where one of the mask images is not black.

        Raises:
            ImageError: if the files differ in size.
        """
        return np.maximum.reduce(same_size([FileReader.read_mask(self, part) for part in key.split("|")], key))


class ClassMaskReader(FileReader):
    """Images under their paths, and masks whose values are classes, counted from 1."""

    ID = "medzoo.data.custom.from_sheet.ClassMaskReader"  # part of cache keys; do not change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: the values of the mask file.

        Raises:
            ImageError: if the mask is not an image of one channel and 8 bits.
        """
        array = read_cached(self.root / key, window=ANY).array
        if array.ndim != 2 or array.dtype.kind not in "ui" or (array.size and int(array.max()) > 255):
            raise ImageError(
                f"{self.root / key}: a mask of several classes needs one channel with class numbers from 0 to 255.",
                code="mask-not-class-numbers",
            )
        return array.astype(np.uint8)


def same_size(parts: Sequence[np.ndarray], key: str) -> list[np.ndarray]:
    """The arrays, checked to have the same size.

    Raises:
        ImageError: if they differ in size; all sizes are listed.
    """
    if len({part.shape[:2] for part in parts}) > 1:
        sizes = [f"{name} {part.shape[1]} x {part.shape[0]}" for name, part in zip(key.split("|"), parts, strict=True)]
        raise ImageError(f"{listed(sizes)}: these files must have the same size.", code="file-sizes-differ")
    return list(parts)


def header_size(path: Path) -> tuple[int, int] | None:
    """(height, width) from a file's header, after the EXIF rotation; None where Pillow cannot read it."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            rotated = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except Exception:  # the error is reported when the image is read
        return None
    return (width, height) if rotated else (height, width)


def check_sizes(root: Path, images: Sequence[str], masks: Sequence[str], task: str) -> None:
    """Check by the headers of the files that every mask has the size of its image.

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
        expected = header_size(root / image)
        for part in mask.split("|"):
            size = header_size(root / part)
            if expected and size and size != expected:
                bad.append(f"{part} is {size[1]} x {size[0]}, {image} {expected[1]} x {expected[0]}")
    if bad:
        complain(
            DataContractError(
                f"Task {task}: {len(bad)} masks do not have the size of their image: {listed(bad)}.",
                code="mask-size-mismatch",
                offenders=bad,
            )
        )


def need_partners(
    present: Container[str], names: Sequence[str], task: str, what: str, where: object, ending: str = ""
) -> list[str]:
    """Those of the names that have a partner.

    Args:
        present: names that have one.
        names: names that need one.
        task: for the message.
        what: the partner, for the message.
        where: folder of the partners, for the message.
        ending: of the missing files, for the message.

    Raises:
        DataContractError: with the names without a partner (outside of `problems.collecting`).
    """
    absent = [name + ending for name in names if name not in present]
    if absent:
        complain(
            DataContractError(
                f"Task {task}: {len(absent)} of {len(names)} images have no {what} below {where}: {listed(absent)}. "
                f"`medzoo tasks info {quote(task)}` shows the expected files.",
                code="partner-files-missing",
                offenders=absent,
            )
        )
    return [name for name in names if name in present]


def _stem(path: str) -> str:
    """The file name without its suffix."""
    return path.rpartition("/")[2].rpartition(".")[0]


def _path_below(folder: str) -> Callable[[str], str]:
    """A function of a path: the path below a folder, without its suffix."""
    return lambda path: path.removeprefix(folder).rpartition(".")[0]


def by_stem(paths: Sequence[str], task: str) -> dict[str, str]:
    """Map file names without their suffix to paths.

    Raises:
        DataContractError: if two paths have the same name.
    """
    return by_name(paths, task, _stem)


def by_name(paths: Sequence[str], task: str, name_of: Callable[[str], str]) -> dict[str, str]:
    """Map the names of files to paths.

    Args:
        paths: below the data's folder.
        task: for the message.
        name_of: the name of a path.

    Raises:
        DataContractError: if two paths have the same name.
    """
    stems: dict[str, str] = {}
    repeated = []
    for path in paths:
        stem = name_of(path)
        if stems.setdefault(stem, path) != path:
            repeated.append(f"{stems[stem]} and {path}")
    if repeated:
        complain(
            DataContractError(
                f"Task {task}: {len(repeated)} files have the name of another one: {listed(repeated, 5)}. Keep one of each.",
                code="file-names-repeat",
                offenders=repeated,
            )
        )
    return stems


def splits_by_folder(paths: Sequence[str], task: str, least: int = 1) -> list[str] | None:
    """The split of each file by its folder train, val or test; None where there is no folder train.

    Args:
        paths: below the data's folder.
        task: for the message.
        least: how many splits there must be; with fewer, the result is None.

    Raises:
        DataContractError: if some files are in such a folder and others are not (outside of `problems.collecting`).

    >>> splits_by_folder(["train/a.png", "val/b.png"], "lits"), splits_by_folder(["a.png"], "lits")
    (['train', 'validation'], None)
    """
    folders = [next((part for part in path.split("/")[:-1] if part in SPLIT_WORDS), "") for path in paths]
    splits = [SPLIT_WORDS[folder] for folder in folders if folder]
    if "train" not in splits or len(set(splits)) < least:
        return None
    if len(splits) == len(paths):
        return splits
    outside = [path for path, folder in zip(paths, folders, strict=True) if not folder]
    known = ", ".join(dict.fromkeys(filter(None, folders)))
    complain(
        DataContractError(
            f"Task {task}: {len(outside)} files are in none of the folders {known}: {listed(outside)}.",
            code="files-outside-split-folders",
            offenders=outside,
        )
    )
    return None


def read_pairs(root: Path, images: Sequence[str], task: str) -> tuple[dict[str, list[str]], list[str] | None] | None:
    """Rows from folders `images` and `masks` whose files have the same names, as in the study of Hosseinzadeh Taher et al.

    Args:
        root: the data's folder; it contains both folders, or train, valid and test with both folders each.
        images: suffixes of the images.
        task: for messages.

    Returns:
        Columns id, image and mask, and the split of each row (None without train, valid and test); None where there is no
        such folder.

    Raises:
        DataContractError: with the images without a mask, the masks without an image, and the masks in a format that is not read.
    """
    folders = {folder: split for folder, split in SPLIT_WORDS.items() if (root / folder / "images").is_dir()}
    if not folders and not (root / "images").is_dir():
        return None
    rows: dict[str, list[str]] = {"id": [], "image": [], "mask": []}
    splits: list[str] = []
    for folder, split in (folders or {"": "all"}).items():
        base = root / folder
        found = files_below(base / "images", images, root), files_below(base / "masks", MASKS, root)
        # names such as p1/1.png and p2/1.png are unique only with their folders
        repeats = any(len({_stem(path) for path in paths}) < len(paths) for paths in found)
        below = [f"{(base / kind).relative_to(root).as_posix()}/" for kind in ("images", "masks")]
        name_of = [_path_below(folder) if repeats else _stem for folder in below]
        pictures, masks = (by_name(paths, task, name) for paths, name in zip(found, name_of, strict=True))
        if lacking := pictures.keys() - masks.keys():
            refuse_formats(base / "masks", root, lacking, task)
        refuse_jpeg(root, masks.values(), f"Task {task}")
        need_partners(pictures, list(masks), task, "image (there is only a mask)", base / "images")
        for stem in need_partners(masks, list(pictures), task, "mask", base / "masks"):
            rows["id"].append(stem)
            rows["image"].append(pictures[stem])
            rows["mask"].append(masks[stem])
            splits.append(split)
    return rows, splits if folders else None
