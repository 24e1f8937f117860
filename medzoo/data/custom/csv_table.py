"""A CSV (or TSV) that lists images as files: which file it is, and its rows with the keys of their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from medzoo.data.custom.column_roles import ALIASES, find_column, named_column
from medzoo.data.custom.sheet import Sheet
from medzoo.data.files.csv_rows import read_csv
from medzoo.data.files.find import all_files_below
from medzoo.data.images.frame_key import file_of
from medzoo.data.problems import advise, complain
from medzoo.data.readers.image_file import FileReader
from medzoo.data.splits.split_names import split_of
from medzoo.errors import DataContractError, listed

ENDINGS = (".csv", ".tsv")
_USUAL = ("labels", "metadata")
# Files beside images that hold tables medzoo does not read; without a word they would be ignored.
_OTHER_TABLES = (".xlsx", ".xls", ".ods", ".jsonl", ".parquet", ".feather", ".mat", ".sas7bdat", ".dta", ".sav", ".rds")
_TABLE_NAMES = {
    "labels",
    "label",
    "metadata",
    "annotations",
    "annotation",
    "groundtruth",
    "ground_truth",
    "targets",
    "train",
    "test",
}
_NESTED = 2_000  # files that are looked at for a hint


def find_tables(path: Path) -> dict[str, Path]:
    """The table of a folder as {"all": file}, or one table a split; nothing if there is none.

    Args:
        path: the folder.

    Raises:
        DataContractError: for several tables of which none is labels or metadata.
    """
    files = [item for item in sorted(path.iterdir()) if item.is_file() and not item.name.startswith(".")]
    tables = [item for item in files if item.suffix.lower() in ENDINGS]
    if not tables:
        unread = [
            item.name for item in files if item.suffix.lower() in _OTHER_TABLES
            or (item.suffix.lower() in (".txt", ".json") and item.stem.lower() in _TABLE_NAMES)
        ]  # fmt: skip
        if unread:
            advise(
                f"{path}: {listed(unread, 5)} {'is' if len(unread) == 1 else 'are'} not read. If labels stand there, save them as "
                "labels.csv."
            )
        return {}
    if len(tables) > 1:  # split files and notes may lie beside the labels
        usual = [item for item in tables if item.stem.lower() in _USUAL]
        tables = usual or tables
    if len(tables) == 1:
        return {"all": tables[0]}
    splits = [split_of(item.stem) for item in tables]
    if "train" in splits and None not in splits and len(set(splits)) == len(splits):
        return {str(split): item for split, item in zip(splits, tables, strict=True)}
    raise DataContractError(
        f"{path} holds {len(tables)} tables ({listed(item.name for item in tables)}); name one of them: "
        f"folder:{path / tables[0].name}."
    )


def read_table(tables: dict[str, Path], image: str | None) -> Sheet:
    """The rows of a table whose images are files; rows without their image are left out, after the complaint.

    Args:
        tables: as `find_tables` gives them.
        image: the column of the images, if the user names it.

    Raises:
        DataContractError: if it cannot be read, or no column says where the images are.
    """
    columns: dict[str, list[str]] = {}
    parts: list[str] = []
    for split, path in tables.items():
        header, rows = read_csv(path)
        if columns and list(columns) != header:
            raise DataContractError(f"{path} has other columns than the tables of other splits: {listed(header, 30)}.")
        for name in header:
            columns.setdefault(name, []).extend(row[name] for row in rows)
        parts += [split] * len(rows)
    where = next(iter(tables.values()))
    where = where if len(tables) == 1 else where.parent
    header, root = list(columns), next(iter(tables.values())).parent
    column = find_column("image", header, where) if image is None else named_column(image, header, "image", where)
    if column is None:
        raise DataContractError(
            f"{where}: no column says where the images are; call one image (or {', '.join(ALIASES['image'][1:5])}), or name "
            "it behind "
            f"the path: ,image=COLUMN. It has {listed(header, 30)}."
        )
    keys = [with_slashes(root, cell) for cell in columns[column]]
    present = need_images(where, root, keys)
    kept = [row for row, yes in enumerate(present) if yes]
    beside = ["classes.json"] if (root / "classes.json").is_file() else []
    keys = [keys[row] for row in kept]
    files = [file_of(root, key) for key in keys]
    return Sheet(
        where, root, FileReader(root), {name: [cells[row] for row in kept] for name, cells in columns.items()}, column, keys,
        [*(path.name for path in tables.values()), *beside, *dict.fromkeys(files)],
        paths=files, parts=[parts[row] for row in kept] if len(tables) > 1 else None,
        notes=[f"images: column {column} of {', '.join(path.name for path in tables.values())}"],
    )  # fmt: skip


def with_slashes(root: Path, key: str) -> str:
    """A path as this machine has it, where a table names it with backslashes, as Windows does."""
    other = key.replace("\\", "/")
    return other if other != key and not _is_file(root, key) and _is_file(root, other) else key


def need_images(where: object, root: Path, keys: Sequence[str]) -> list[bool]:
    """Which of the keys are files.

    Raises:
        DataContractError: with those that are none, and what may be meant (outside of `problems.collecting`).
    """
    present = [_is_file(root, key) for key in keys]
    absent = [key for key, yes in zip(keys, present, strict=True) if not yes]
    if absent:
        complain(
            DataContractError(
                f"{where}: {len(absent)} images do not exist below {root}: {listed(absent)}.{_hint(root, absent[0])}"
            )
        )
    return present


def _is_file(root: Path, key: str) -> bool:
    try:
        return bool(key) and (root / file_of(root, key)).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _hint(root: Path, key: str) -> str:
    """What a path that does not exist may have meant: another ending, none at all, other capitals, another folder."""
    if PureWindowsPath(key).anchor:
        return f" Name them as they lie below {root}, without what stands before."
    wanted = root / key.replace("\\", "/")
    if not key:
        return ""
    try:
        there = sorted(item.name for item in wanted.parent.iterdir()) if wanted.parent.is_dir() else []
    except (OSError, ValueError):
        return ""
    names = {wanted.name.lower(), wanted.stem.lower()}
    alike = [name for name in there if {name.lower(), name.rpartition(".")[0].lower()} & names]
    if alike:
        return f" Beside it lies `{alike[0]}`: names have to agree in their ending, and in capitals."
    deeper = [
        name for name in all_files_below(root)[:_NESTED] if name.rpartition("/")[2].lower() == wanted.name.lower()
    ]
    deeper = deeper or [
        name
        for name in all_files_below(root)[:_NESTED]
        if name.rpartition("/")[2].rpartition(".")[0].lower() == wanted.name.lower()
    ]
    return (
        f" There is `{deeper[0]}`: name images with their folder and ending, as they lie below {root}."
        if deeper
        else ""
    )
