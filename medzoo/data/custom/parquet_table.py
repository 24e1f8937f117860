"""Parquet tables with an image column, as `datasets` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.checks import SPLIT_WORDS
from medzoo.data.custom.infer import Found, choose_groups, classes_beside, interpret, split_words, stated
from medzoo.data.parquet_reader import ParquetReader, open_parquet
from medzoo.data.problems import complain
from medzoo.data.tables import by_split, keep
from medzoo.errors import DataContractError, UsageError, listed

if TYPE_CHECKING:
    import pyarrow as pa

_IMAGE = ("image", "img", "jpg", "png", "file")
_LABEL = ("label", "labels", "target", "class")


def read_tables(path: Path, *, groups: str | None, label_policy: str | None) -> Found:
    """A Parquet file, or a folder with train.parquet, validation.parquet, test.parquet (or their shards), as columns.

    Raises:
        DataContractError: if there is nothing to read, or it is not readable without a guess.
    """
    root, files = _files(path)
    tables = {name: _light(root / name) for split in files for name in files[split]}
    first = next(iter(tables.values()))
    image = _image_column(first, path)
    label = next((name for name in _LABEL if name in first.column_names), None)
    if label is None:
        raise DataContractError(
            f"{path}: has no label column ({', '.join(_LABEL)}); it has {listed(first.column_names)}."
        )
    for name, table in tables.items():
        if table.schema.names != first.schema.names or _features(table).get(label) != _features(first).get(label):
            raise DataContractError(f"{root / name}: has other columns or classes than {root / next(iter(tables))}.")
    group = choose_groups(first.column_names, groups, path)
    named = _class_names(_features(first).get(label)) or classes_beside(root)
    columns, order = _join(tables, files, image, label, group)
    kind, classes, labels = _labels(columns, order, named, _features(first).get(label), label_policy, path)
    for split, values in labels.items():
        columns[split]["label"] = values
        if isinstance(values, list) and None in values:  # told already
            columns[split] = keep(columns[split], [value is not None for value in values])
    if "split" in first.column_names and order == ["all"]:
        table = columns["all"]
        columns = by_split(table, split_words(table.pop("split"), table["id"], path))
    beside = ["classes.json"] if (root / "classes.json").is_file() else []
    return Found(kind, classes, stated(group), columns, root, [*tables, *beside], ParquetReader(root, image))


def _files(path: Path) -> tuple[Path, dict[str, list[str]]]:
    """Split → files below the root."""
    if path.is_file():
        return path.parent, {"all": [path.name]}
    root = path / "data" if not list(path.glob("*.parquet")) and (path / "data").is_dir() else path
    names = sorted(item.name for item in root.glob("*.parquet")) if root.is_dir() else []
    if not names:
        raise DataContractError(
            f"{path}: no Parquet file. Looked for a file, or a folder with train.parquet and the like."
        )
    words = {name: SPLIT_WORDS.get(name.split(".")[0].split("-")[0].lower()) for name in names}
    if len(names) == 1 and words[names[0]] is None:
        return root, {"all": names}
    strange = [name for name, split in words.items() if split is None]
    if strange:
        raise DataContractError(f"{root}: {listed(strange)} are no splits; name files train, validation, test.")
    files: dict[str, list[str]] = {}
    for name, split in words.items():
        files.setdefault(str(split), []).append(name)
    return root, files


def _light(path: Path) -> pa.Table:
    """All columns but the image bytes; the image column stays as an empty name in the schema's metadata."""
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
        raise DataContractError(f"{path} cannot be read ({error}). Fetch or write it again.") from error
    rows = pa.nulls(file.metadata.num_rows)
    for name in heavy:
        table = table.append_column(name, rows)
    return table.replace_schema_metadata(file.schema_arrow.metadata)


def _features(table: pa.Table) -> dict[str, Any]:
    """The feature descriptions that `datasets` keeps in the schema."""
    try:
        content = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def _image_column(table: pa.Table, path: Path) -> str:
    features = _features(table)
    declared = [name for name in table.column_names if dict(features.get(name) or {}).get("_type") == "Image"]
    candidates = declared or [name for name in _IMAGE if name in table.column_names]
    if not candidates:
        raise DataContractError(
            f"{path}: has no image column ({', '.join(_IMAGE)}); it has {listed(table.column_names)}."
        )
    return candidates[0]


def _class_names(feature: object) -> tuple[str, ...] | None:
    """The names of a ClassLabel, or of a list of them."""
    if isinstance(feature, list):
        feature = feature[0] if feature else None
    if isinstance(feature, dict) and "names" in feature:
        return tuple(feature["names"])
    return _class_names(feature["feature"]) if isinstance(feature, dict) and "feature" in feature else None


def _join(
    tables: dict[str, pa.Table], files: dict[str, list[str]], image: str, label: str, group: str | None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The columns of each split, shards joined; ids are the keys unless there is an id column."""
    columns: dict[str, dict[str, Any]] = {}
    for split, names in files.items():
        keys = [f"{name}#{row}" for name in names for row in range(tables[name].num_rows)]

        def values(column: str, names: Sequence[str] = names) -> list[Any]:
            return [value for name in names for value in tables[name][column].to_pylist()]

        present = tables[names[0]].column_names
        ids = [str(value) for value in values("id")] if "id" in present else keys
        grouped = [None if value is None else str(value) for value in values(group)] if group else ids
        columns[split] = {"id": ids, "image": keys, "label": values(label), "patient_id": grouped}
        taken = {*columns[split], image, label, group}
        columns[split] |= {
            n: values(n) for n in present if n not in taken and str(tables[names[0]].schema.field(n).type) != "null"
        }
    return columns, list(files)


def _labels(
    columns: dict[str, dict[str, Any]],
    order: list[str],
    named: tuple[str, ...] | None,
    feature: object,
    label_policy: str | None,
    path: Path,
) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """Kind, classes and numbers: a list is multilabel, numbers of a ClassLabel are classes, the rest as in a CSV."""
    values = [value for split in order for value in columns[split]["label"]]
    ids = [key for split in order for key in columns[split]["id"]]
    result: Any
    if any(isinstance(value, list) for value in values):
        if named is None:
            raise DataContractError(
                f"{path}: labels are lists and nothing names them; put a list of names in classes.json."
            )
        kind, classes = "multilabel", named
        result = _lists(values, ids, classes, _class_names(feature) is not None, path)
    elif label_policy is not None:
        raise UsageError(f"{path}: a single label has no uncertain values; leave --label-policy out.")
    elif named is not None and all(isinstance(value, int | None) for value in values):
        kind, classes, result = "binary" if len(named) == 2 else "multiclass", named, values
        if empty := [key for key, value in zip(ids, values, strict=True) if value is None]:
            complain(DataContractError(f"{path}: {len(empty)} rows have no label: {listed(empty)}."))
    else:
        kind, classes, result = interpret(values, ids, named, path)
    ends = list(accumulate((len(columns[split]["id"]) for split in order), initial=0))
    return kind, classes, {split: result[ends[k] : ends[k + 1]] for k, split in enumerate(order)}


def _lists(values: list[Any], ids: list[str], classes: tuple[str, ...], numbers: bool, path: Path) -> np.ndarray:
    """0/1 vectors as they are; lists of class numbers as vectors."""
    lengths = {len(value) if isinstance(value, list) else -1 for value in values}
    if numbers and lengths != {len(classes)}:
        bad = [
            f"{k}: {v!r}"
            for k, v in zip(ids, values, strict=True)
            if v is None or not all(0 <= n < len(classes) for n in v)
        ]
        if bad:
            complain(
                DataContractError(f"{path}: {len(bad)} labels are outside the {len(classes)} classes: {listed(bad)}.")
            )
        array = np.zeros((len(values), len(classes)), np.float32)
        for row, present in enumerate(values):
            array[row, [number for number in present or () if 0 <= number < len(classes)]] = 1
        return array
    wrong = [key for key, value in zip(ids, values, strict=True) if value is None or len(value) != len(classes)]
    if wrong:
        complain(
            DataContractError(
                f"{path}: {len(wrong)} rows do not have {len(classes)} labels, one a class: {listed(wrong)}."
            )
        )
        unsaid = [np.nan] * len(classes)
        values = [value if value is not None and len(value) == len(classes) else unsaid for value in values]
    return np.array(values, dtype=np.float32).reshape(len(values), len(classes))
