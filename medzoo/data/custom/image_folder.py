"""Folders of images: class folders (with or without split folders above them), or a CSV that lists them."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

from medzoo.data.checks import SPLIT_WORDS, is_empty
from medzoo.data.csv_files import read_csv
from medzoo.data.disk import FileReader, files_below
from medzoo.data.keys import file_of
from medzoo.data.custom.infer import GROUP_COLUMNS, Found, choose_groups, classes_beside, interpret, split_words, stated
from medzoo.data.pixels import SUFFIXES
from medzoo.data.problems import complain
from medzoo.data.tables import EXCLUDED, MARKS, by_split, marks
from medzoo.errors import DataContractError, UsageError, listed

_IMAGE = ("image", "file", "path", "file_name", "filename", "image_path")
_TABLES = ("labels.csv", "metadata.csv")
_KNOWN = {*_IMAGE, *GROUP_COLUMNS, "id", "label", "mask", "split", "sex", "age", "view", "site", "scanner", "fold"}


def read_folder(path: Path, *, groups: str | None, label_policy: str | None) -> Found:
    """A folder (or a CSV file) as columns.

    Raises:
        DataContractError: if there is nothing to read, or it is not readable without a guess.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        return _from_csv(path, groups, label_policy)
    if not path.is_dir():
        raise DataContractError(f"The folder {path} does not exist. Give the folder that holds class folders or a CSV.")
    tables = sorted(path.glob("*.csv"))
    if len(tables) > 1:  # split files and notes may lie beside the labels
        tables = [table for table in tables if table.name.lower() in _TABLES] or tables
    if len(tables) > 1:
        names = listed(table.name for table in tables)
        raise DataContractError(f"{path} holds {len(tables)} CSV files ({names}); name one of them: folder:FILE.csv.")
    if tables:
        return _from_csv(tables[0], groups, label_policy)
    if label_policy is not None:
        raise UsageError(f"{path}: class folders have no uncertain labels; leave --label-policy out.")
    return _from_class_folders(path, groups)


def _folders(path: Path) -> list[Path]:
    return sorted(item for item in path.iterdir() if item.is_dir() and not item.name.startswith((".", "__")))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _from_class_folders(path: Path, groups: str | None) -> Found:
    below = _folders(path)
    split_folders = {folder: SPLIT_WORDS[folder.name.lower()] for folder in below if folder.name.lower() in SPLIT_WORDS}
    if "train" in split_folders.values():
        strange = [folder.name for folder in below if folder not in split_folders]
        if strange:
            raise DataContractError(
                f"{path} has split folders and others beside them: {listed(strange)}. Move those away."
            )
        if len(set(split_folders.values())) != len(split_folders):
            raise DataContractError(f"{path} has two folders for one split: {listed(f.name for f in split_folders)}.")
        parts = {split: folder for folder, split in split_folders.items()}
    else:
        parts = {"all": path}
    rows: dict[str, list[tuple[str, str]]] = {}
    for split, folder in parts.items():
        loose = [item.name for item in sorted(folder.iterdir()) if item.is_file() and _is_image(item.name)]
        if loose:
            complain(
                DataContractError(
                    f"{folder} holds {len(loose)} images outside class folders: {listed(loose)}. Add a CSV, or move them."
                )
            )
        rows[split] = [(name, inner.name) for inner in _folders(folder) for name in files_below(inner, SUFFIXES, path)]
    first = "train" if "train" in parts else "all"
    classes = tuple(folder.name for folder in _folders(parts[first]))
    if not rows[first] or not classes:
        raise DataContractError(
            f"{path} holds no class folders with images ({', '.join(SUFFIXES)}), and no CSV. Looked for CLASS/IMAGE, "
            "train/CLASS/IMAGE and *.csv."
        )
    column = choose_groups((), groups, path)
    place = {name: index for index, name in enumerate(classes)}
    strange_rows = [name for split in rows for name, word in rows[split] if word not in place]
    if strange_rows:
        complain(
            DataContractError(
                f"{path}: {len(strange_rows)} images lie in folders outside the {len(classes)} classes of train "
                f"({listed(classes)}): {listed(strange_rows)}."
            )
        )
        rows = {split: [(name, word) for name, word in pairs if word in place] for split, pairs in rows.items()}
    columns = {
        split: {
            "id": [name for name, _ in pairs],
            "image": [name for name, _ in pairs],
            "label": [place[word] for _, word in pairs],
            "patient_id": [name for name, _ in pairs],
        }
        for split, pairs in rows.items()
    }
    files = [name for pairs in rows.values() for name, _ in pairs]
    kind = "binary" if len(classes) == 2 else "multiclass"
    return Found(kind, classes, stated(column), columns, path, files, FileReader(path))


def _from_csv(path: Path, groups: str | None, label_policy: str | None) -> Found:
    header, rows = read_csv(path)
    image = next((name for name in _IMAGE if name in header), None)
    if image is None:
        raise DataContractError(
            f"{path}: no column says where the images are; name one image. It has {listed(header)}."
        )
    root = path.parent
    ids = [row["id" if "id" in header else image] for row in rows]
    keys = [_with_slashes(root, row[image]) for row in rows]
    absent = [key for key in keys if not _is_file(root, key)]
    if absent:
        complain(
            DataContractError(
                f"{path}: {len(absent)} images do not exist below {root}: {listed(absent)}.{_hint(root, absent[0])}"
            )
        )
        gone = set(absent)
        rows = [row for row, key in zip(rows, keys, strict=True) if key not in gone]
        ids = [value for value, key in zip(ids, keys, strict=True) if key not in gone]
        keys = [key for key in keys if key not in gone]
    group = choose_groups(header, groups, path)
    table: dict[str, Any] = {"id": ids, "image": keys, "patient_id": [row[group] for row in rows] if group else ids}
    kind, classes, table["label"] = _labels(path, header, rows, ids, label_policy)
    extras = [name for name in header if name not in {*table, *classes, image, group, "split"}]
    table |= {name: [row[name] for row in rows] for name in extras}
    splits = split_words([row["split"] for row in rows], ids, path) if "split" in header else ["all"] * len(rows)
    if isinstance(table["label"], list):
        splits = [EXCLUDED if label is None else split for split, label in zip(splits, table["label"], strict=True)]
    columns = by_split(table, splits)
    beside = ["classes.json"] if (root / "classes.json").is_file() else []
    files = [path.name, *beside, *dict.fromkeys(file_of(root, key) for key in keys)]
    return Found(kind, classes, stated(group), columns, root, files, FileReader(root))


def _with_slashes(root: Path, key: str) -> str:
    """A path as this machine has it, where a table names it with backslashes, as Windows does."""
    other = key.replace("\\", "/")
    return other if other != key and not _is_file(root, key) and _is_file(root, other) else key


def _hint(root: Path, key: str) -> str:
    """What a path that does not exist may have meant."""
    if PureWindowsPath(key).anchor:
        return f" Name them as they lie below {root}, without what stands before."
    wanted = root / key.replace("\\", "/")
    try:
        alike = sorted(item.name for item in wanted.parent.iterdir() if item.stem.lower() == wanted.stem.lower())
    except (OSError, ValueError):
        return ""
    return (
        f" Beside it lies `{alike[0]}`: names have to agree in their ending, and in capitals." if key and alike else ""
    )


def _is_file(root: Path, key: str) -> bool:
    try:
        return bool(key) and (root / file_of(root, key)).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _labels(
    path: Path, header: list[str], rows: list[dict[str, str]], ids: list[str], label_policy: str | None
) -> tuple[str, tuple[str, ...], Any]:
    """One `label` column, or one column a class with 1, 0, -1 (uncertain) or nothing (not annotated)."""
    named = classes_beside(path.parent)
    if "label" in header:
        if label_policy is not None:
            raise UsageError(f"{path}: a single label has no uncertain values; leave --label-policy out.")
        return interpret([row["label"] for row in rows], ids, named, path)
    if named is None:
        named = tuple(
            name
            for name in header
            if name not in _KNOWN and all(row[name] in MARKS or is_empty(row[name]) for row in rows)
        )
    missing = [name for name in named if name not in header]
    if missing or not named:
        raise DataContractError(
            f"{path}: has neither a column label nor one column a class with 0 and 1"
            f"{': ' + listed(missing) + ' missing' if missing else ''}. It has {listed(header)}."
        )
    return "multilabel", named, marks(rows, named, ids, path)
