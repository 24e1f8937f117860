"""Parquet tables with an image column, as `datasets` writes them: their columns, and the files that their cells name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.data.custom.column_roles import find_column, named_column
from medzoo.data.custom.image_table import ImageTable
from medzoo.data.images.frame_key import file_of
from medzoo.data.problems import complain_of
from medzoo.data.readers.parquet import ParquetReader, open_parquet
from medzoo.data.splits.split_names import split_of
from medzoo.errors import DataContractError, listed

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def read_parquet(path: Path, image: str | None) -> ImageTable:
    """Read a Parquet file, or a folder with train.parquet, validation.parquet, test.parquet (or their shards).

    Args:
        path: of the file or folder.
        image: the column of the images, if the user names it.

    Raises:
        DataContractError: if there is no readable file, or the tables are ambiguous.
    """
    # All files must have the same columns and classes.
    root, files = _files(path)
    tables = {name: _light(root / name) for names in files.values() for name in names}
    first_name, first = next(iter(tables.items()))
    features = _features(first)
    column = _image_column(first, image, path)
    for name, table in tables.items():
        others = _features(table)
        if table.schema.names != first.schema.names or any(
            _class_names(others.get(key)) != _class_names(features.get(key)) for key in first.schema.names
        ):
            raise DataContractError(
                f"{root / name} has other columns or classes than {root / first_name}.", code="tables-differ"
            )
    # Join the rows of all files.
    columns: dict[str, list[Any]] = {name: [] for name in first.column_names}
    keys, parts = [], []
    for split, names in files.items():
        for name in names:
            for key in columns:
                columns[key] += tables[name][key].to_pylist()
            keys += [f"{name}#{row}" for row in range(tables[name].num_rows)]
            parts += [split] * tables[name].num_rows
    # Columns without values here are dropped; cells with paths instead of bytes add their files to the data.
    heavy = [name for name in columns if str(first.schema.field(name).type) == "null" and name != column]
    cells = [cell for names in files.values() for name in names for cell in _paths(root, name, column)]
    linked = _need_linked(path, root, cells)
    class_files = ["classes.json"] if (root / "classes.json").is_file() else []
    classes = {key: known for key in first.column_names if (known := _class_names(features.get(key)))}
    return ImageTable(
        path,
        root,
        ParquetReader(root, column),
        {key: cells for key, cells in columns.items() if key not in heavy},
        column,
        keys,
        [*tables, *class_files, *linked],
        paths=None if None in cells else [file_of(root, str(cell)) for cell in cells],
        parts=None if list(files) == ["all"] else parts,
        named_by_cell=False,
        names=classes,
        notes=[f"images: column {column} of {listed(tables, 3)}"],
    )


def _files(path: Path) -> tuple[Path, dict[str, list[str]]]:
    """Split → files below the root."""
    if path.is_file():
        return path.parent, {"all": [path.name]}
    root = path / "data" if not list(path.glob("*.parquet")) and (path / "data").is_dir() else path
    names = sorted(item.name for item in root.glob("*.parquet")) if root.is_dir() else []
    if not names:
        raise DataContractError(
            f"{path} has no Parquet file. Give a file, or a folder with train.parquet, validation.parquet and test.parquet.",
            code="parquet-file-missing",
        )
    splits = {name: split_of(name.split(".")[0].split("-")[0]) for name in names}
    if len(names) == 1 and splits[names[0]] is None:
        return root, {"all": names}
    strange = [name for name, split in splits.items() if split is None]
    if strange:
        raise DataContractError(
            f"{root}: {listed(strange)} are not named by a split. Name the files train, validation, test.",
            code="parquet-names-unknown",
        )
    files: dict[str, list[str]] = {}
    for name, split in splits.items():
        files.setdefault(str(split), []).append(name)
    return root, files


def _light(path: Path) -> pa.Table:
    """All columns without image bytes; columns of bytes become columns of nulls."""
    import pyarrow as pa

    file = open_parquet(path)
    types = pa.types
    heavy = [
        field.name
        for field in file.schema_arrow
        if types.is_struct(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type)
    ]
    light = [name for name in file.schema_arrow.names if name not in heavy]
    try:
        table = file.read(columns=light)
    except (pa.ArrowException, OSError) as error:
        raise DataContractError(
            f"{path} cannot be read ({error}). Download or write it again.", code="parquet-unreadable"
        ) from error
    rows = pa.nulls(file.metadata.num_rows)
    for name in heavy:
        table = table.append_column(name, rows)
    return table.replace_schema_metadata(file.schema_arrow.metadata)


def _features(table: pa.Table) -> dict[str, Any]:
    """The feature descriptions that `datasets` stores in the schema."""
    try:
        content = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def _image_column(table: pa.Table, image: str | None, path: Path) -> str:
    if image is not None:
        return named_column(image, table.column_names, "image", path)
    features = _features(table)
    declared = [name for name in table.column_names if dict(features.get(name) or {}).get("_type") == "Image"]
    found = declared[0] if declared else find_column("image", table.column_names, path)
    if found is None:
        raise DataContractError(
            f"{path} has no image column. Name one image, or add it after the path: ,image=COLUMN. The table has "
            f"{listed(table.column_names, 30)}.",
            code="image-column-missing",
        )
    return found


def _class_names(feature: object) -> tuple[str, ...] | None:
    """The names of a ClassLabel, or of a list of them."""
    if isinstance(feature, list):
        feature = feature[0] if feature else None
    if isinstance(feature, dict) and "names" in feature:
        return tuple(feature["names"])
    return _class_names(feature["feature"]) if isinstance(feature, dict) and "feature" in feature else None


def _paths(root: Path, name: str, column: str) -> list[str | None]:
    """The path in each cell; None for cells with bytes."""
    import pyarrow as pa

    file = open_parquet(root / name)
    kind = file.schema_arrow.field(column).type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return file.read(columns=[column])[column].to_pylist()
        if not pa.types.is_struct(kind) or {"bytes", "path"} - {field.name for field in kind}:
            return [None] * file.metadata.num_rows
        found: list[str | None] = []
        for group in range(file.num_row_groups):
            if _has_all_bytes(file, group, f"{column}.bytes"):  # known without reading the images
                found += [None] * file.metadata.row_group(group).num_rows
                continue
            cells = file.read_row_group(group, columns=[column])[column].to_pylist()
            found += [
                cell["path"] if cell and cell.get("bytes") is None and cell.get("path") else None for cell in cells
            ]
        return found
    except (pa.ArrowException, OSError) as error:
        raise DataContractError(
            f"{root / name} cannot be read ({error}). Download or write it again.", code="parquet-unreadable"
        ) from error


def _has_all_bytes(file: pq.ParquetFile, group: int, leaf: str) -> bool:
    """Whether all cells of a row group have bytes, according to the file's footer."""
    row_group = file.metadata.row_group(group)
    for number in range(row_group.num_columns):
        column = row_group.column(number)
        if column.path_in_schema == leaf:
            statistics = column.statistics
            return statistics is not None and statistics.has_null_count and statistics.null_count == 0
    return False


def _need_linked(path: Path, root: Path, cells: list[str | None]) -> list[str]:
    """The existing files that cells name; their content is part of the data."""
    files = sorted({file_of(root, cell) for cell in cells if cell})
    absent = [name for name in files if not (root / name).is_file()]
    complain_of(
        absent,
        f"{path}: {len(absent)} images that its cells name do not exist below {root}",
        code="image-files-missing",
    )
    return [name for name in files if name not in set(absent)]
