"""Read untrusted results and predictions: as data only, within limits, with every value checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.bench.metrics.masks.rows import CASE_COLUMNS, PARTS, mask_columns
from medzoo.bench.results.schema import validate
from medzoo.errors import ResultError, listed

if TYPE_CHECKING:
    import pyarrow as pa

MARK = (b"medzoo", b"predictions/1 salted")  # metadata of a file of predictions that may be published
JSON_LIMIT, PARQUET_LIMIT = 1024 * 1024, 200 * 1024 * 1024  # bytes on the disk
FOOTER_LIMIT, UNPACKED_LIMIT = 8 * 1024 * 1024, 1024 * 1024 * 1024  # bytes
ROWS, COLUMNS, CELLS = 5_000_000, 3_000, 100_000_000
ID = r"\A[0-9a-f]{32}\z"
INTEGERS = 2**63
TEXT_LIMIT = 4_000  # characters, so that the search for secrets takes a bounded time


def parse_result(content: bytes) -> dict[str, Any]:
    """Parse and check an untrusted result file.

    Raises:
        ResultError: if it is too large, is not plain JSON, or breaks the schema; the message says where.

    >>> parse_result(b'{"schema": 1, "schema": 2}')
    Traceback (most recent call last):
    medzoo.errors.ResultError: Not plain JSON: the key 'schema' occurs twice
    """
    if len(content) > JSON_LIMIT:
        raise ResultError(
            f"The file has {len(content):,} bytes; the limit for a result is {JSON_LIMIT:,}.", code="result-too-large"
        )
    try:
        result = json.loads(
            content.decode(), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_integer
        )
        _check_lengths(result)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"Not plain JSON: {error}", code="result-not-json") from error
    validate(result)
    return dict(result)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in pairs:
        if key in rows:
            raise ValueError(f"the key {key!r:.80} occurs twice")
        rows[key] = value
    return rows


def _check_lengths(value: object) -> None:
    for part in [value] if isinstance(value, str) else value if isinstance(value, list) else ():
        if isinstance(part, str) and len(part) > TEXT_LIMIT:
            raise ValueError(f"a text has {len(part):,} characters; the limit is {TEXT_LIMIT:,}")
        if not isinstance(part, str):
            _check_lengths(part)
    for key, part in value.items() if isinstance(value, dict) else ():
        _check_lengths(key)
        _check_lengths(part)


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -INTEGERS <= int(digits) < INTEGERS:
        raise ValueError(f"{digits[:30]} does not fit into 64 bits")
    return int(digits)


def open_parquet(path: Path, *, strings: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - pyarrow.parquet.ParquetFile
    """Open an untrusted Parquet file and check its size by its footer; no row is read.

    Args:
        path: the file.
        strings: columns to read as dictionaries, so that one long text is not copied into every row.

    Raises:
        ResultError: if it is not a Parquet file, or exceeds the limits.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # size, magic bytes and length of the footer, before pyarrow opens the file
    size = path.stat().st_size
    if size > PARQUET_LIMIT:
        raise ResultError(
            f"The file has {size:,} bytes; the limit for a Parquet file is {PARQUET_LIMIT:,}.", code="parquet-too-large"
        )
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - 8))
        end = file.read(8)
    if size < 12 or start != b"PAR1" or end[4:] != b"PAR1":
        raise ResultError("This is not a Parquet file.", code="not-parquet")
    if (footer := int.from_bytes(end[:4], "little")) > FOOTER_LIMIT:
        raise ResultError(f"The footer has {footer:,} bytes; the limit is {FOOTER_LIMIT:,}.", code="parquet-too-large")

    # the footer
    limits = {"thrift_string_size_limit": FOOTER_LIMIT, "thrift_container_size_limit": 10**6}
    try:
        opened = pq.ParquetFile(path, **limits)
        facts = opened.metadata
        # Do not read the sizes of single columns: pyarrow crashes if the statistics in the footer are wrong.
        unpacked = sum(max(facts.row_group(group).total_byte_size, 0) for group in range(facts.num_row_groups))
        columns = [
            field.name for field in opened.schema_arrow if field.name in strings and pa.types.is_string(field.type)
        ]
        opened = pq.ParquetFile(path, read_dictionary=columns, **limits) if columns else opened
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ResultError(f"The Parquet file cannot be read: {str(error)[:200]}", code="parquet-unreadable") from error

    # the limits of the content
    for what, count, most in (
        ("rows", facts.num_rows, ROWS),
        ("columns", facts.num_columns, COLUMNS),
        ("cells", facts.num_rows * facts.num_columns, CELLS),
        ("unpacked bytes", unpacked, UNPACKED_LIMIT),
    ):
        if count > most:
            raise ResultError(f"The file has {count:,} {what}; the limit is {most:,}.", code="parquet-too-large")
    return opened


def read_predictions(path: Path) -> pa.Table:
    """Read untrusted predictions and check that they have exactly the allowed columns.

    Raises:
        ResultError: if the file is not Parquet, is too large when unpacked, or contains anything but predictions.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    opened = open_parquet(path, strings=("sample", "patient"))
    try:
        schema = opened.schema_arrow
        if wrong := _wrong_columns(schema):
            raise ResultError(
                f"The columns are not those of predictions: {listed(wrong, 6)}.", code="predictions-columns-wrong"
            )
        table = opened.read(use_threads=False)  # threads cost more than they save for thousands of small files
        for name in ("sample", "patient"):
            for chunk in table[name].chunks:
                valid = pc.match_substring_regex(chunk.dictionary, ID)
                if chunk.null_count or chunk.dictionary.null_count or not pc.all(valid, min_count=0).as_py():
                    raise ResultError(
                        f"The column {name} should contain only salted ids of 32 hexadecimal digits.",
                        code="predictions-ids-wrong",
                    )
            table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.string()))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ResultError(
            f"The file cannot be read to its end: {str(error)[:200]}", code="parquet-unreadable"
        ) from error
    return table.combine_chunks()


def _wrong_columns(schema: pa.Schema) -> list[str]:
    import pyarrow as pa

    # the expected columns, by the classes and by whether a case can have several labels
    names = schema.names
    classes = [name.removeprefix("probability:") for name in names if name.startswith("probability:")]
    several = any(name.startswith("label:") for name in names)
    labels = [f"label:{name}" for name in classes] if several else ["label"]
    masks = [f"mask:{name}" for name in classes] if several else ["mask"]
    if not any(name.partition(":")[0] in ("label", "mask") for name in names):  # labels that may not be published
        labels = masks = []
    expected = ["sample", "patient", *labels, *masks, *(f"probability:{name}" for name in classes)]
    if "pixels" in names:  # a segmentation
        expected = mask_columns(names)
    elif "prediction" in names:  # a regression
        expected = ["sample", "patient", *(["label", "mask"] if labels else []), "prediction"]

    # names, order, types and metadata
    wrong = [f"{name!r:.80} is not allowed" for name in names if name not in expected]
    wrong += [f"{name} is missing" for name in expected if name not in names]
    wrong += [f"{name!r:.80} occurs twice" for name in sorted(set(names)) if names.count(name) > 1]
    if not wrong and names != expected:
        wrong.append(f"the order should be {listed(expected, 8)}")
    if not classes and not {"pixels", "prediction"} & set(names):
        wrong.append("there is no probability:CLASS")
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        first = field.name.partition(":")[0]
        valid = {
            "sample": pa.types.is_string(kind),
            "patient": pa.types.is_string(kind),
            "mask": pa.types.is_boolean(kind),
            "label": pa.types.is_floating(kind) if "prediction" in names else pa.types.is_integer(kind),
            "prediction": pa.types.is_floating(kind),
            "probability": pa.types.is_floating(kind),
            **dict.fromkeys(CASE_COLUMNS, pa.types.is_floating(kind)),
            **dict.fromkeys(("pixels", "original_pixels"), pa.types.is_integer(kind)),
            **dict.fromkeys((*PARTS, *(f"original_{part}" for part in PARTS)), pa.types.is_integer(kind)),
        }.get(first, True)
        wrong += [] if valid else [f"{field.name} has the type {kind}"]
        wrong += [f"{field.name} has metadata"] if field.metadata else []
    metadata = {key: value for key, value in (schema.metadata or {}).items() if (key, value) != MARK}
    return wrong + ["the file has metadata"] * bool(metadata)


def unpacked(table: pa.Table) -> tuple[str, tuple[str, ...], np.ndarray, np.ndarray, list[str]]:
    """The arguments of `metrics.compute` from a table of predictions.

    Returns:
        The kind according to the columns ("multilabel", "binary", "multiclass" or "regression"), the classes, labels,
        probabilities (N, K) or predicted numbers (N, 1), and the patient of each row.

    Raises:
        ResultError: if labels and masks contradict each other.
    """
    classes = tuple(name.removeprefix("probability:") for name in table.column_names if name.startswith("probability:"))
    regression = "prediction" in table.column_names
    columns = ["prediction"] if regression else [f"probability:{name}" for name in classes]
    scores = np.stack([_numbers(table, name) for name in columns], axis=1)
    patients = table["patient"].to_pylist()
    if "label" in table.column_names:
        if table["label"].null_count or not all(table["mask"].to_pylist()):
            raise ResultError(
                "A case has no label. In a task with one label for each case, every case needs a label and a true mask.",
                code="predictions-label-missing",
            )
        labels = table["label"].to_numpy()
        if regression:
            return "regression", (), labels, scores, patients
        return "binary" if len(classes) == 2 else "multiclass", classes, labels, scores, patients
    labels = np.stack([_numbers(table, f"label:{name}") for name in classes], axis=1)
    masks = np.stack([table[f"mask:{name}"].to_numpy() for name in classes], axis=1)
    if not np.array_equal(masks.astype(bool), ~np.isnan(labels)):
        raise ResultError(
            "Labels and masks contradict each other: a case must have a label exactly where the mask is true.",
            code="predictions-mask-mismatch",
        )
    return "multilabel", classes, labels, scores, patients


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """A column as float64, with NaN for null."""
    import pyarrow as pa

    return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
