"""Folders of images without a table: CLASS/IMAGE, SPLIT/CLASS/IMAGE, CLASS/SPLIT/IMAGE, or images in any folders without labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medzoo.data.build_task import by_split
from medzoo.data.custom.groups import find_groups
from medzoo.data.custom.sheet import CustomData, Sheet
from medzoo.data.files.find import all_files_below
from medzoo.data.images.read import SUFFIXES
from medzoo.data.images.sniff import holds_image
from medzoo.data.problems import advise, complain
from medzoo.data.readers.image_file import FileReader
from medzoo.data.splits.assign import STATED_FOLD
from medzoo.data.splits.split_names import fold_of, names_a_split, split_of
from medzoo.errors import DataContractError, SplitError, listed

_LAYOUTS = "CLASS/IMAGE, train/CLASS/IMAGE, or a table *.csv or *.tsv"
_INDEX = "DICOMDIR"  # lists other files, and begins as an image does


@dataclass
class Images:
    """The files below a folder.

    Args:
        images: paths of those that hold an image.
        others: paths of the others.
    """

    images: list[str]
    others: list[str]


def find_images(folder: Path) -> Images:
    """All files below a folder, told apart by what they hold: endings in any case, or the first bytes.

    Args:
        folder: where to look; hidden files and folders are left out.

    Raises:
        DataContractError: for names that are no text, or folders that cannot be read.
    """
    found = Images([], [])
    for name in all_files_below(folder):
        known = name.lower().endswith(SUFFIXES)
        image = known or (PurePosixPath(name).name.upper() != _INDEX and _holds_image(folder / name))
        (found.images if image else found.others).append(name)
    names = set(found.images)
    # the pixels of an Analyze or NIfTI header lie in a file of their own
    found.others = [name for name in found.others if not name.endswith(".img") or f"{name[:-4]}.hdr" not in names]
    return found


def read_class_folders(path: Path, groups: str | None) -> CustomData:
    """Class folders, with or without folders of splits or folds above or below them.

    Args:
        path: the folder.
        groups: as for `find_groups`.

    Raises:
        DataContractError: if there are none, or it is unclear which folders are classes.
    """
    found = find_images(path)
    layout = _Layout(path, found)
    rows = list(layout.rows())
    if found.others:
        inside = [name for name in found.others if "/" in name]
        if inside:
            advise(f"{path}: {len(inside)} files in its folders hold no image and are not used: {listed(inside, 5)}.")
    classes = layout.classes
    names = [name for name, _, _ in rows]
    parts = [part for _, _, part in rows]
    sheet = Sheet(
        path, path, FileReader(path), {"image": names}, "image", names, names, paths=names, class_depth=layout.depth,
        notes=[layout.note],
    )  # fmt: skip
    patients, stated = find_groups(sheet, groups, None)
    place = {name: index for index, name in enumerate(classes)}
    columns = {"id": names, "image": names, "label": [place[word] for _, word, _ in rows], "patient_id": patients}
    if layout.folds:
        columns[STATED_FOLD] = [int(part) for part in parts]
        parts = ["all"] * len(rows)
    kind = "binary" if len(classes) == 2 else "multiclass"
    split = by_split(columns, parts)
    _same_files(path, split)
    return CustomData(kind, classes, stated, split, path, names, FileReader(path), sheet.notes)


def read_unlabelled(path: Path, groups: str | None) -> CustomData:
    """All images below a folder, in whatever folders; of folders of splits, the images for training are those of train.

    Args:
        path: the folder.
        groups: as for `find_groups`; nothing has to be stated.

    Raises:
        DataContractError: if there is no image.
    """
    found = find_images(path)
    if not found.images:
        raise DataContractError(f"{path} holds no images ({', '.join(SUFFIXES)}, or files that begin as one).")
    names = found.images
    tops = {name.partition("/")[0] if "/" in name else "" for name in names}
    splits = {top: split_of(top) for top in tops}
    divided = None not in splits.values() and "train" in splits.values()
    parts = [str(splits[name.partition("/")[0]]) if divided else "train" for name in names]
    sheet = Sheet(path, path, FileReader(path), {"image": names}, "image", names, names, paths=names)
    patients, stated = find_groups(sheet, groups, None, needed=False)
    columns = by_split({"id": names, "image": names, "patient_id": patients}, parts)
    _same_files(path, columns)
    note = f"images: {len(names)} in {len({name.rpartition('/')[0] for name in names})} folders, without labels"
    if found.others:
        note += f"; {len(found.others)} other files are not used: {listed(found.others, 3)}"
    return CustomData("unlabelled", (), stated, columns, path, names, FileReader(path), [note, *sheet.notes])


def _holds_image(path: Path) -> bool:
    try:
        return holds_image(path)
    except OSError:
        return True  # reading it will say what is wrong; it must not vanish


class _Layout:
    """Which folders are classes and which are splits.

    Args:
        root: the folder that the user gave.
        found: all files below it.
    """

    def __init__(self, root: Path, found: Images) -> None:
        self.root, self.images = root, found.images
        self.folds = False
        tops = self._folders(root)
        loose = [name for name in self.images if "/" not in name]
        if loose and not tops:
            raise DataContractError(
                f"{root} holds {len(loose)} images and no class folders ({_LAYOUTS}): {listed(loose, 5)}. Without labels, they are "
                "for pre-training (recipes/pretrain.py --method simclr)."
            )
        self.parts = self._split_folders(tops)
        self._refuse_loose()
        first = "train" if "train" in self.parts else next(iter(self.parts), "")
        self.depth = 1 if first == "" else 2
        folders = [self._classes_of(part) for part in (self.parts if self.folds else [first])]
        self.classes = tuple(sorted({name for names in folders for name in names}))
        if not self.classes or not self.images:
            raise DataContractError(f"{root} holds no class folders with images. Looked for {_LAYOUTS}.")
        if len(self.classes) == 1:
            self._refuse_outer(first)
        self.inner = self._inner_splits() if self.depth == 1 else None
        if self.inner:
            self.depth = 2
        self.note = self._described()

    def _folders(self, folder: Path) -> list[str]:
        return sorted(item.name for item in folder.iterdir() if item.is_dir() and not item.name.startswith((".", "__")))

    def _below(self, top: str) -> list[str]:
        return [name for name in self.images if name.startswith(f"{top}/")]

    def _split_folders(self, tops: Sequence[str]) -> dict[str, str]:
        """Split → the folder of it; {"": ""} where the folders below the root are classes."""
        splits = {name: split_of(name) for name in tops}
        like = [name for name in tops if names_a_split(name)]
        if tops and all(fold_of(name) is not None for name in tops) and len(tops) > 1:
            self.folds = True
            return {str(fold_of(name)): name for name in tops}
        if "train" in splits.values():
            strange = [name for name in tops if splits[name] is None]
            if strange:
                raise DataContractError(
                    f"{self.root} has split folders and others beside them: {listed(strange)}. Move those away."
                )
            if len(set(splits.values())) != len(splits):
                raise DataContractError(f"{self.root} has two folders for one split: {listed(splits)}.")
            return {str(split): name for name, split in splits.items()}
        deep = [name for name in like if any(image.count("/") > 1 for image in self._below(name))]
        if like and (len(like) == len(tops) or deep):
            raise DataContractError(
                f"{self.root}: the folders {listed(deep or like)} are named as splits are, and none is for training. Call "
                "one train, or "
                f"give the folder that holds the class folders, such as folder:{self.root / (deep or like)[0]}."
            )
        if like:
            advise(
                f"{self.root}: the folders {listed(like)} are taken for classes, though they are named as splits are."
            )
        return {"": ""}

    def _refuse_loose(self) -> None:
        for folder in self.parts.values():
            start = f"{folder}/" if folder else ""
            loose = [n for n in self.images if n.startswith(start) and "/" not in n[len(start) :]]
            if loose:
                complain(
                    DataContractError(
                        f"{self.root / folder} holds {len(loose)} images outside class folders: "
                        f"{listed(name[len(start) :] for name in loose)}. Add a CSV, or move them."
                    )
                )
        outside = [n for n in self.images if n.count("/") == 0 and "" not in self.parts]
        if outside:
            complain(
                DataContractError(f"{self.root} holds {len(outside)} images outside split folders: {listed(outside)}.")
            )

    def _classes_of(self, split: str) -> list[str]:
        names = self._folders(self.root / self.parts[split])
        inner = [name for name in names if names_a_split(name)]
        if split and inner and len(inner) == len(names):
            raise DataContractError(
                f"{self.root / self.parts[split]}: its folders {listed(inner)} are named as splits are, inside of another "
                "split. Looked "
                f"for {_LAYOUTS}."
            )
        return [unicodedata.normalize("NFC", name) for name in names]

    def _inner_splits(self) -> dict[str, str] | None:
        """Folders of splits inside of class folders, where all images of all classes lie in such: name → split."""
        seconds = {parts[1] for name in self.images if len(parts := name.split("/")) > 2}
        flat = [name for name in self.images if name.count("/") == 1]
        like = sorted(name for name in seconds if names_a_split(name))
        if not like:
            return None
        splits = {name: split_of(name) for name in like}
        if flat or len(like) != len(seconds) or None in splits.values() or "train" not in splits.values():
            raise DataContractError(
                f"{self.root}: class folders hold folders that are named as splits are ({listed(like)}), and not all images lie in "
                "folders train, validation or test. Put splits above classes, as in train/CLASS/IMAGE."
            )
        return {name: str(split) for name, split in splits.items()}

    def _refuse_outer(self, first: str) -> None:
        """One folder that holds folders of images is an outer folder, or a class of patients: nobody can tell."""
        start = f"{self.parts[first]}/" if self.parts[first] else ""
        [only] = self.classes
        inside = sorted({parts[1] for n in self.images if len(parts := n.removeprefix(start).split("/")) > 2})
        if inside:
            raise DataContractError(
                f"{self.root / self.parts[first]} holds one folder, {only}, and folders of images in it "
                f"({listed(inside, 5)}). If those "
                f"are the classes, give folder:{self.root / self.parts[first] / only}; if {only} is the one class, there is "
                "nothing to tell "
                "apart. Without labels (pre-training), it can stay as it is."
            )

    def _described(self) -> str:
        names = listed(self.classes, 10)
        above = (
            "splits are folders above them"
            if "train" in self.parts
            else "splits are folders in them"
            if self.inner
            else ""
        )
        above = "folds are folders above them" if self.folds else above
        return f"labels: {len(self.classes)} class folders ({names})" + (f"; {above}" if above else "")

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """(path, class, split or fold) of every image, those outside of all classes left out after the complaint."""
        strange = []
        for part, folder in self.parts.items():
            start = f"{folder}/" if folder else ""
            for name in self.images:
                inner = name[len(start) :].split("/")
                if not name.startswith(start) or len(inner) < 2:
                    continue
                word = unicodedata.normalize("NFC", inner[0])
                if word not in self.classes:
                    strange.append(name)
                    continue
                yield name, word, self.inner[inner[1]] if self.inner else part or "all"
        if strange:
            complain(
                DataContractError(
                    f"{self.root}: {len(strange)} images lie in folders outside the {len(self.classes)} classes of train "
                    f"({listed(self.classes)}): {listed(strange)}."
                )
            )


def _same_files(root: Path, columns: dict[str, dict[str, list[str]]]) -> None:
    """A file that two splits hold under two names, as links do, is in both."""
    if len(columns) < 2:
        return
    holders: dict[tuple[int, int], tuple[str, str]] = {}
    shared = []
    for split, rows in columns.items():
        for name in rows["image"]:
            try:
                status = (root / name).stat()
            except OSError:
                continue
            first = holders.setdefault((status.st_dev, status.st_ino), (split, name))
            if first[0] != split:
                shared.append(f"{first[1]} = {name}")
    if shared:
        complain(
            SplitError(f"{root}: {len(shared)} files are in more than one split, as links do it: {listed(shared, 5)}.")
        )
