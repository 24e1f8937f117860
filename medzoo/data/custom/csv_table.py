"""A CSV (or TSV) that lists image files: find the table in a folder, and read its rows with the keys of their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from medzoo.data.custom.column_roles import ALIASES, find_column, named_column
from medzoo.data.custom.image_table import ImageTable
from medzoo.data.files.csv_rows import read_csv
from medzoo.data.files.find import all_files_below
from medzoo.data.images.frame_key import file_of
from medzoo.data.problems import advise, complain
from medzoo.data.readers.image_file import FileReader
from medzoo.data.splits.split_names import split_of
from medzoo.errors import DataContractError, listed

ENDINGS = (".csv", ".tsv")
_USUAL = ("labels", "metadata")
# Formats of tables that medzoo does not read. If there is such a file and no CSV, the user gets a warning.
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
_NESTED = 2_000  # files that the search for a hint looks at


def find_tables(path: Path) -> dict[str, Path]:
    """The table of a folder as {"all": file}, or one table per split; empty if there is none.

    Args:
        path: the folder.

    Raises:
        DataContractError: for several tables, if none of them is named labels or metadata.
    """
    files = [item for item in sorted(path.iterdir()) if item.is_file() and not item.name.startswith(".")]
    tables = [item for item in files if item.suffix.lower() in ENDINGS]
    if not tables:
        unread = [
            item.name
            for item in files
            if item.suffix.lower() in _OTHER_TABLES
            or (item.suffix.lower() in (".txt", ".json") and item.stem.lower() in _TABLE_NAMES)
        ]
        if unread:
            advise(
                f"{path}: {listed(unread, 5)} {'is' if len(unread) == 1 else 'are'} not read. If they contain the labels, save "
                "these as labels.csv."
            )
        return {}
    if len(tables) > 1:  # the folder may also contain split files and notes
        usual = [item for item in tables if item.stem.lower() in _USUAL]
        tables = usual or tables
    if len(tables) == 1:
        return {"all": tables[0]}
    splits = [split_of(item.stem) for item in tables]
    if "train" in splits and None not in splits and len(set(splits)) == len(splits):
        return {str(split): item for split, item in zip(splits, tables, strict=True)}
    raise DataContractError(
        f"{path} has {len(tables)} tables ({listed(item.name for item in tables)}). Name one of them: "
        f"folder:{path / tables[0].name}.",
        code="several-tables",
    )


def read_table(tables: dict[str, Path], image: str | None) -> ImageTable:
    """Read a table whose images are files. Rows without an image file are an error, and are dropped inside of `collecting`.

    Args:
        tables: as `find_tables` returns them.
        image: the column of the images, if the user names it.

    Raises:
        DataContractError: if the table cannot be read, or no column has the paths of the images.
    """
    columns: dict[str, list[str]] = {}
    parts: list[str] = []
    for split, path in tables.items():
        header, rows = read_csv(path)
        if columns and list(columns) != header:
            raise DataContractError(
                f"{path} has other columns than the tables of the other splits: {listed(header, 30)}.",
                code="tables-differ",
            )
        for name in header:
            columns.setdefault(name, []).extend(row[name] for row in rows)
        parts += [split] * len(rows)
    where = next(iter(tables.values()))
    where = where if len(tables) == 1 else where.parent
    header, root = list(columns), next(iter(tables.values())).parent
    column = find_column("image", header, where) if image is None else named_column(image, header, "image", where)
    if column is None:
        raise DataContractError(
            f"{where}: no column has the paths of the images. Name one image (or {', '.join(ALIASES['image'][1:5])}), or "
            f"add it after the path: ,image=COLUMN. The table has {listed(header, 30)}.",
            code="image-column-missing",
        )
    # Rows whose image does not exist are dropped.
    keys = [with_slashes(root, cell) for cell in columns[column]]
    present = need_images(where, root, keys)
    kept = [row for row, exists in enumerate(present) if exists]
    class_files = ["classes.json"] if (root / "classes.json").is_file() else []
    keys = [keys[row] for row in kept]
    files = [file_of(root, key) for key in keys]
    return ImageTable(
        where,
        root,
        FileReader(root),
        {name: [cells[row] for row in kept] for name, cells in columns.items()},
        column,
        keys,
        [*(path.name for path in tables.values()), *class_files, *dict.fromkeys(files)],
        paths=files,
        parts=[parts[row] for row in kept] if len(tables) > 1 else None,
        notes=[f"images: column {column} of {', '.join(path.name for path in tables.values())}"],
    )


def with_slashes(root: Path, key: str) -> str:
    """A path of a table with its Windows backslashes replaced, if only that path exists."""
    other = key.replace("\\", "/")
    return other if other != key and not _is_file(root, key) and _is_file(root, other) else key


def need_images(where: object, root: Path, keys: Sequence[str]) -> list[bool]:
    """Check which of the keys are files.

    Raises:
        DataContractError: lists the missing files with a hint (outside of `problems.collecting`).
    """
    present = [_is_file(root, key) for key in keys]
    absent = [key for key, exists in zip(keys, present, strict=True) if not exists]
    if absent:
        complain(
            DataContractError(
                f"{where}: {len(absent)} images do not exist below {root}: {listed(absent)}.{_hint(root, absent[0])}",
                code="image-files-missing",
                offenders=absent,
            )
        )
    return present


def _is_file(root: Path, key: str) -> bool:
    try:
        return bool(key) and (root / file_of(root, key)).is_file()
    except (OSError, ValueError):  # the name is not valid for a file
        return False


def _hint(root: Path, key: str) -> str:
    """Suggest a file for a path that does not exist: with another extension, other case, or in another folder."""
    if PureWindowsPath(key).anchor:
        return f" Give paths relative to {root}, without a drive or a leading slash."
    expected = root / key.replace("\\", "/")
    if not key:
        return ""
    # Files in the same folder that differ only in extension or case.
    try:
        present = sorted(item.name for item in expected.parent.iterdir()) if expected.parent.is_dir() else []
    except (OSError, ValueError):
        return ""
    names = {expected.name.lower(), expected.stem.lower()}
    similar = [name for name in present if {name.lower(), name.rpartition(".")[0].lower()} & names]
    if similar:
        return f" The folder has `{similar[0]}`: the extension and upper and lower case must be the same."
    # Files of the same name in another folder, with or without an extension.
    deeper = [
        name for name in all_files_below(root)[:_NESTED] if name.rpartition("/")[2].lower() == expected.name.lower()
    ]
    deeper = deeper or [
        name
        for name in all_files_below(root)[:_NESTED]
        if name.rpartition("/")[2].rpartition(".")[0].lower() == expected.name.lower()
    ]
    return f" There is `{deeper[0]}`: give paths with folder and extension, relative to {root}." if deeper else ""
