"""Results and predictions of strangers: read as data, within limits, before anything is believed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.bench.results.schema import validate
from medzoo.errors import ResultError, listed

if TYPE_CHECKING:
    import pyarrow as pa

JSON_LIMIT, PARQUET_LIMIT = 1024 * 1024, 200 * 1024 * 1024  # bytes on the disk
FOOTER_LIMIT, UNPACKED_LIMIT = 8 * 1024 * 1024, 1024 * 1024 * 1024  # bytes
ROWS, COLUMNS, CELLS = 5_000_000, 3_000, 100_000_000
ID = re.compile(r"[0-9a-f]{32}")
INTEGERS = 2**63
TEXT_LIMIT = 4_000  # characters: what is searched for secrets must not take for ever


def parse_result(content: bytes) -> dict[str, Any]:
    """A result file of whoever wrote it.

    Raises:
        ResultError: if it is too large, no plain JSON, or breaks the schema; in words that say where.

    >>> parse_result(b'{"schema": 1, "schema": 2}')
    Traceback (most recent call last):
    medzoo.errors.ResultError: It is no plain JSON: the key 'schema' stands twice
    """
    if len(content) > JSON_LIMIT:
        raise ResultError(f"It has {len(content):,} bytes; a result has at most {JSON_LIMIT:,}.")
    try:
        result = json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_refuse, parse_int=_integer)
        _short(result)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"It is no plain JSON: {error}") from error
    validate(result)
    return dict(result)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in pairs:
        if key in rows:
            raise ValueError(f"the key {key!r:.80} stands twice")
        rows[key] = value
    return rows


def _short(value: object) -> None:
    for part in [value] if isinstance(value, str) else value if isinstance(value, list) else ():
        if isinstance(part, str) and len(part) > TEXT_LIMIT:
            raise ValueError(f"a text has {len(part):,} characters, and at most {TEXT_LIMIT:,} are read")
        if not isinstance(part, str):
            _short(part)
    for key, part in value.items() if isinstance(value, dict) else ():
        _short(key)
        _short(part)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON number")


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -INTEGERS <= int(digits) < INTEGERS:
        raise ValueError(f"{digits[:30]} does not fit into 64 bits")
    return int(digits)


def open_parquet(path: Path, *, strings: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - pyarrow.parquet.ParquetFile
    """A Parquet file whose footer says that it can be read within the limits; no row is read.

    Args:
        path: the file.
        strings: columns to keep as dictionaries, so that one long text is not unpacked into every row.

    Raises:
        ResultError: if it is no Parquet file, or unpacks into more than the limits allow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = path.stat().st_size
    if size > PARQUET_LIMIT:
        raise ResultError(f"It has {size:,} bytes; a Parquet file has at most {PARQUET_LIMIT:,}.")
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - 8))
        end = file.read(8)
    if size < 12 or start != b"PAR1" or end[4:] != b"PAR1":
        raise ResultError("It is no Parquet file.")
    if (footer := int.from_bytes(end[:4], "little")) > FOOTER_LIMIT:
        raise ResultError(f"Its footer has {footer:,} bytes; it has at most {FOOTER_LIMIT:,}.")
    limits = {"thrift_string_size_limit": FOOTER_LIMIT, "thrift_container_size_limit": 10**6}
    try:
        opened = pq.ParquetFile(path, **limits)
        facts = opened.metadata
        # Not the columns' own sizes: asking for them ends the process where the statistics in a footer are wrong.
        unpacked = sum(max(facts.row_group(group).total_byte_size, 0) for group in range(facts.num_row_groups))
        there = [
            field.name for field in opened.schema_arrow if field.name in strings and pa.types.is_string(field.type)
        ]
        opened = pq.ParquetFile(path, read_dictionary=there, **limits) if there else opened
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ResultError(f"It is no readable Parquet file: {str(error)[:200]}") from error
    for what, count, most in (
        ("rows", facts.num_rows, ROWS), ("columns", facts.num_columns, COLUMNS),
        ("cells", facts.num_rows * facts.num_columns, CELLS), ("unpacked bytes", unpacked, UNPACKED_LIMIT),
    ):  # fmt: skip
        if count > most:
            raise ResultError(f"It has {count:,} {what}; at most {most:,} are read.")
    return opened


def read_predictions(path: Path) -> pa.Table:
    """Predictions of whoever made them: the allowed columns and nothing else.

    Raises:
        ResultError: if the file is no Parquet, too large once unpacked, or holds anything that predictions do not hold.
    """
    import pyarrow as pa

    opened = open_parquet(path, strings=("sample", "patient"))
    try:
        schema = opened.schema_arrow
        if wrong := _wrong_columns(schema):
            raise ResultError(f"Its columns are not those of predictions: {listed(wrong, 6)}.")
        table = opened.read()
        for name in ("sample", "patient"):
            for chunk in table[name].chunks:
                words = chunk.dictionary.to_pylist()
                if chunk.null_count or not all(isinstance(word, str) and ID.fullmatch(word) for word in words):
                    raise ResultError(
                        f"The column {name} should hold salted ids of 32 hexadecimal digits and nothing else."
                    )
            table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.string()))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ResultError(f"It cannot be read to its end: {str(error)[:200]}") from error
    return table.combine_chunks()


def _wrong_columns(schema: pa.Schema) -> list[str]:
    import pyarrow as pa

    from medzoo.bench.sharing.pseudonymize import MARK

    names = schema.names
    classes = [name.removeprefix("probability:") for name in names if name.startswith("probability:")]
    several = any(name.startswith("label:") for name in names)
    labels = [f"label:{name}" for name in classes] if several else ["label"]
    masks = [f"mask:{name}" for name in classes] if several else ["mask"]
    if not any(name.partition(":")[0] in ("label", "mask") for name in names):  # labels that may not be published
        labels = masks = []
    wanted = ["sample", "patient", *labels, *masks, *(f"probability:{name}" for name in classes)]
    wrong = [f"{name!r:.80} is none" for name in names if name not in wanted]
    wrong += [f"{name} is missing" for name in wanted if name not in names]
    wrong += [f"{name!r:.80} stands twice" for name in sorted(set(names)) if names.count(name) > 1]
    if not wrong and names != wanted:
        wrong.append(f"their order should be {listed(wanted, 8)}")
    if not classes:
        wrong.append("there is no probability:CLASS")
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        first = field.name.partition(":")[0]
        right = {
            "sample": pa.types.is_string(kind), "patient": pa.types.is_string(kind), "mask": pa.types.is_boolean(kind),
            "label": pa.types.is_integer(kind), "probability": pa.types.is_floating(kind),
        }.get(first, True)  # fmt: skip
        wrong += [] if right else [f"{field.name} is of type {kind}"]
        wrong += [f"{field.name} carries notes of its own"] if field.metadata else []
    notes = {key: value for key, value in (schema.metadata or {}).items() if (key, value) != MARK}
    return wrong + ["the file carries notes of its own"] * bool(notes)


def unpacked(table: pa.Table) -> tuple[str, tuple[str, ...], np.ndarray, np.ndarray, list[str]]:
    """What `metrics.compute` takes, out of predictions.

    Returns:
        The kind as far as the columns tell ("multilabel", "binary" or "multiclass"), the classes, labels, probabilities
        (N, K), and the patient of each row.

    Raises:
        ResultError: if labels and masks contradict each other.
    """
    classes = tuple(name.removeprefix("probability:") for name in table.column_names if name.startswith("probability:"))
    scores = np.stack([_numbers(table, f"probability:{name}") for name in classes], axis=1)
    patients = table["patient"].to_pylist()
    if "label" in table.column_names:
        if table["label"].null_count or not all(table["mask"].to_pylist()):
            raise ResultError(
                "A task with one label a case has no case without it, but here label or mask leaves one out."
            )
        labels = table["label"].to_numpy()
        return "binary" if len(classes) == 2 else "multiclass", classes, labels, scores, patients
    labels = np.stack([_numbers(table, f"label:{name}") for name in classes], axis=1)
    masks = np.stack([table[f"mask:{name}"].to_numpy() for name in classes], axis=1)
    if not np.array_equal(masks.astype(bool), ~np.isnan(labels)):
        raise ResultError(
            "Labels and masks contradict each other: a label should be there exactly where its mask is true."
        )
    return "multilabel", classes, labels, scores, patients


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """A column as float64, NaN where nothing stands."""
    import pyarrow as pa

    return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
