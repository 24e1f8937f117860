"""Image folders without a table: CLASS/IMAGE, SPLIT/CLASS/IMAGE, CLASS/SPLIT/IMAGE, or images without labels in any folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from medzoo.data.build_task import by_split
from medzoo.data.custom.find_images import Images, find_images
from medzoo.data.custom.groups import find_groups
from medzoo.data.custom.image_table import CustomData, ImageTable
from medzoo.data.custom.infer import positive_class
from medzoo.data.images.read import SUFFIXES
from medzoo.data.problems import advise, complain, complain_of
from medzoo.data.readers.image_file import FileReader
from medzoo.data.splits.assign import STATED_FOLD
from medzoo.data.splits.split_names import fold_of, names_a_split, split_of
from medzoo.errors import DataContractError, SplitError, listed

_LAYOUTS = "CLASS/IMAGE, train/CLASS/IMAGE, or a table *.csv or *.tsv"


def read_class_folders(path: Path, groups: str | None) -> CustomData:
    """Read class folders, with or without folders of splits or folds above or below them.

    Args:
        path: the folder.
        groups: as for `find_groups`.

    Raises:
        DataContractError: if there are none, or it is unclear which folders are classes.
    """
    found = find_images(path)
    layout = _Layout(path, found)
    rows = list(layout.rows())
    inside = [name for name in found.others if "/" in name]
    if inside:
        advise(f"{path}: {len(inside)} files in its folders are not images and are not used: {listed(inside, 5)}.")
    # One row per image: its class, its split or fold, its group.
    classes = layout.classes
    kind = "binary" if len(classes) == 2 else "multiclass"
    names = [name for name, _, _ in rows]
    parts = [part for _, _, part in rows]
    table = ImageTable(
        path,
        path,
        FileReader(path),
        {"image": names},
        "image",
        names,
        names,
        paths=names,
        class_depth=layout.depth,
        notes=[layout.note + positive_class(kind, classes, "a table with classes.json next to it sets another order")],
    )
    patients, stated = find_groups(table, groups, None)
    place = {name: index for index, name in enumerate(classes)}
    columns = {"id": names, "image": names, "label": [place[word] for _, word, _ in rows], "patient_id": patients}
    if layout.folds:
        columns[STATED_FOLD] = [int(part) for part in parts]
        parts = ["all"] * len(rows)
    split = by_split(columns, parts)
    _same_files(path, split)
    return CustomData(kind, classes, stated, split, path, names, FileReader(path), table.notes)


def read_unlabelled(path: Path, groups: str | None) -> CustomData:
    """Read all images below a folder, with any layout; if the top folders are splits, only train is used for training.

    Args:
        path: the folder.
        groups: as for `find_groups`; optional here.

    Raises:
        DataContractError: if there is no image.
    """
    found = find_images(path)
    if not found.images:
        raise DataContractError(
            f"{path} has no images ({', '.join(SUFFIXES)}, or files that start like one).", code="images-missing"
        )
    names = found.images
    # Folders of splits, if all top folders are splits and one of them is train.
    tops = {name.partition("/")[0] if "/" in name else "" for name in names}
    splits = {top: split_of(top) for top in tops}
    divided = None not in splits.values() and "train" in splits.values()
    parts = [str(splits[name.partition("/")[0]]) if divided else "train" for name in names]
    table = ImageTable(path, path, FileReader(path), {"image": names}, "image", names, names, paths=names)
    patients, stated = find_groups(table, groups, None, needed=False)
    columns = by_split({"id": names, "image": names, "patient_id": patients}, parts)
    _same_files(path, columns)
    note = f"images: {len(names)} in {len({name.rpartition('/')[0] for name in names})} folders, without labels"
    if found.others:
        note += f"; {len(found.others)} other files are not used: {listed(found.others, 3)}"
    return CustomData("unlabelled", (), stated, columns, path, names, FileReader(path), [note, *table.notes])


class _Layout:
    """The roles of the folders: classes, splits or folds.

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
                f"{root} has {len(loose)} images, but no class folders ({_LAYOUTS}): {listed(loose, 5)}. Without labels, they "
                "can be used for pre-training (recipes/pretrain.py --method simclr).",
                code="class-folders-missing",
            )
        self.parts = self._split_folders(tops)
        self._refuse_loose()
        first = "train" if "train" in self.parts else next(iter(self.parts), "")
        self.depth = 1 if first == "" else 2
        folders = [self._classes_of(part) for part in (self.parts if self.folds else [first])]
        self.classes = tuple(sorted({name for names in folders for name in names}))
        if not self.classes or not self.images:
            raise DataContractError(
                f"{root} has no class folders with images. The supported layouts are {_LAYOUTS}.",
                code="class-folders-missing",
            )
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
        """Split → its folder; {"": ""} if the folders below the root are classes."""
        splits = {name: split_of(name) for name in tops}
        split_like = [name for name in tops if names_a_split(name)]
        if tops and all(fold_of(name) is not None for name in tops) and len(tops) > 1:
            self.folds = True
            return {str(fold_of(name)): name for name in tops}
        # With a folder for training, all folders must be splits.
        if "train" in splits.values():
            strange = [name for name in tops if splits[name] is None]
            if strange:
                raise DataContractError(
                    f"{self.root} has folders of splits, but also other folders: {listed(strange)}. Move these away.",
                    code="split-folders-mixed",
                )
            if len(set(splits.values())) != len(splits):
                raise DataContractError(
                    f"{self.root} has two folders for one split: {listed(splits)}.", code="split-folder-repeated"
                )
            return {str(split): name for name, split in splits.items()}
        # Without one, folders with names of splits are an error or classes.
        deep = [name for name in split_like if any(image.count("/") > 1 for image in self._below(name))]
        if split_like and (len(split_like) == len(tops) or deep):
            raise DataContractError(
                f"{self.root}: the folders {listed(deep or split_like)} have names of splits, but none is for training. "
                "Rename one to train, or "
                f"give the folder of the class folders, such as folder:{self.root / (deep or split_like)[0]}.",
                code="training-split-missing",
            )
        if split_like:
            advise(f"{self.root}: the folders {listed(split_like)} are used as classes, but they have names of splits.")
        return {"": ""}

    def _refuse_loose(self) -> None:
        for folder in self.parts.values():
            start = f"{folder}/" if folder else ""
            loose = [n for n in self.images if n.startswith(start) and "/" not in n[len(start) :]]
            if loose:
                complain(
                    DataContractError(
                        f"{self.root / folder} has {len(loose)} images outside class folders: "
                        f"{listed(name[len(start) :] for name in loose)}. Add a CSV, or move them.",
                        code="images-outside-class-folders",
                        offenders=loose,
                    )
                )
        outside = [n for n in self.images if n.count("/") == 0 and "" not in self.parts]
        complain_of(
            outside, f"{self.root} has {len(outside)} images outside split folders", code="images-outside-split-folders"
        )

    def _classes_of(self, split: str) -> list[str]:
        names = self._folders(self.root / self.parts[split])
        inner = [name for name in names if names_a_split(name)]
        if split and inner and len(inner) == len(names):
            raise DataContractError(
                f"{self.root / self.parts[split]}: its folders {listed(inner)} have names of splits inside another split. "
                f"The supported layouts are {_LAYOUTS}.",
                code="split-folders-nested",
            )
        return [unicodedata.normalize("NFC", name) for name in names]

    def _inner_splits(self) -> dict[str, str] | None:
        """Folders of splits inside class folders: name → split; None if there are none."""
        seconds = {parts[1] for name in self.images if len(parts := name.split("/")) > 2}
        flat = [name for name in self.images if name.count("/") == 1]
        split_like = sorted(name for name in seconds if names_a_split(name))
        if not split_like:
            return None
        splits = {name: split_of(name) for name in split_like}
        if flat or len(split_like) != len(seconds) or None in splits.values() or "train" not in splits.values():
            raise DataContractError(
                f"{self.root}: class folders contain folders with names of splits ({listed(split_like)}), but not all images "
                "are in folders train, validation or test. Put splits above classes, as in train/CLASS/IMAGE.",
                code="split-folders-incomplete",
            )
        return {name: str(split) for name, split in splits.items()}

    def _refuse_outer(self, first: str) -> None:
        """Refuse a single folder with folders of images inside: it may be an outer folder, or a class of patients."""
        start = f"{self.parts[first]}/" if self.parts[first] else ""
        [only] = self.classes
        inside = sorted({parts[1] for n in self.images if len(parts := n.removeprefix(start).split("/")) > 2})
        if inside:
            raise DataContractError(
                f"{self.root / self.parts[first]} has one folder, {only}, with folders of images in it "
                f"({listed(inside, 5)}). If these "
                f"are the classes, give folder:{self.root / self.parts[first] / only}. If {only} is the only class, there is "
                "nothing to classify. For pre-training without labels, the layout is fine.",
                code="single-outer-folder",
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
        """(path, class, split or fold) of every image; images outside the classes are an error, or dropped in `collecting`."""
        outside = []
        for part, folder in self.parts.items():
            start = f"{folder}/" if folder else ""
            for name in self.images:
                inner = name[len(start) :].split("/")
                if not name.startswith(start) or len(inner) < 2:
                    continue
                word = unicodedata.normalize("NFC", inner[0])
                if word not in self.classes:
                    outside.append(name)
                    continue
                yield name, word, self.inner[inner[1]] if self.inner else part or "all"
        complain_of(
            outside,
            f"{self.root}: {len(outside)} images are in folders outside the {len(self.classes)} classes of train "
            f"({listed(self.classes)})",
            code="images-outside-classes",
        )


def _same_files(root: Path, columns: dict[str, dict[str, list[str]]]) -> None:
    """Refuse files that are in two splits under two names (hard or symbolic links)."""
    if len(columns) < 2:
        return
    seen: dict[tuple[int, int], tuple[str, str]] = {}
    shared = []
    for split, rows in columns.items():
        for name in rows["image"]:
            try:
                status = (root / name).stat()
            except OSError:
                continue
            first = seen.setdefault((status.st_dev, status.st_ino), (split, name))
            if first[0] != split:
                shared.append(f"{first[1]} = {name}")
    if shared:
        complain(
            SplitError(
                f"{root}: {len(shared)} files are in more than one split, by links: {listed(shared, 5)}.",
                code="files-in-several-splits",
                offenders=shared,
            )
        )
