"""Write rows as they come: to CSV (with Python's csv module), to Parquet (with pyarrow), or into a DataFrame (with pandas)."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from medzoo import store
from medzoo.errors import MedzooError, MissingExtraError, UsageError
from medzoo.training.predict.head import Columns

ENDINGS = (".csv", ".parquet")
ROWS_AT_ONCE = 8_192  # of a Parquet row group
ERROR_COLUMNS = ("path", "key", "code", "reason")


class Sink(Protocol):
    """The target of rows."""

    def write(self, row: Sequence[Any]) -> None:
        """Append a row with one cell for each column."""


def check_out(out: Path, *, embeddings: bool = False) -> None:
    """Refuse a table that cannot be written, before an image is read.

    Args:
        out: the file.
        embeddings: whether a column has lists.

    Raises:
        UsageError: for another format, or for embeddings as CSV.
        MissingExtraError: for Parquet without pyarrow.
    """
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"--out is {str(out)[-300:]!r}. Give a file .csv or .parquet.", code="output-format-unknown")
    if ending == ".csv" and embeddings:
        raise UsageError(
            "A CSV has no cells for vectors: an embedding has hundreds of numbers. Write Parquet (--out FILE.parquet).",
            code="embeddings-need-parquet",
        )
    if ending == ".parquet":
        _pyarrow()


def errors_file(out: Path) -> Path:
    """The CSV of the images without a prediction, next to the table.

    >>> errors_file(Path("runs/films.parquet")).name
    'films.errors.csv'
    """
    return out.with_name(f"{out.stem}.errors.csv")


@contextmanager
def table_file(out: Path, columns: Columns) -> Iterator[Sink]:
    """A table that gets its name only if the block ends without an error.

    Args:
        out: the file, .csv or .parquet.
        columns: names and types.
    """
    with store.atomic_path(out) as temporary:
        if out.suffix.lower() == ".parquet":
            with _ParquetSink(temporary, columns) as sink:
                yield sink
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                yield _CsvSink(file, list(columns))


@contextmanager
def errors_table(out: Path) -> Iterator[Sink]:
    """The table of the errors; without rows, an older one is removed. A MedzooError keeps the rows, an interruption does not.

    Args:
        out: the table of the predictions.
    """
    path = errors_file(out)
    sink = _LateCsv(path)
    try:
        yield sink
    except MedzooError:
        sink.finish()
        raise
    except BaseException:
        sink.discard()
        raise
    sink.finish()


class _CsvSink:
    def __init__(self, file: IO[str], names: Sequence[str]) -> None:
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(names)

    def write(self, row: Sequence[Any]) -> None:
        self._rows.writerow(["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row])


class _LateCsv:
    """A CSV that is created with its first row."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._temporary = path.with_name(f"{store.TEMPORARY}{os.getpid()}-{path.name}"[-200:])
        self._file: IO[str] | None = None

    def write(self, row: Sequence[Any]) -> None:
        if self._file is None:
            self._temporary.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("w", encoding="utf-8", newline="")
            self._sink = _CsvSink(self._file, ERROR_COLUMNS)
        self._sink.write(row)
        self.rows += 1

    def finish(self) -> None:
        if self._file is None:
            self.path.unlink(missing_ok=True)
            return
        self._file.close()
        os.replace(self._temporary, self.path)

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._temporary.unlink(missing_ok=True)


def _pyarrow() -> Any:  # noqa: ANN401 - a module
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "recipes", "Writing Parquet") from None
    return pyarrow


class _ParquetSink:
    def __init__(self, path: Path, columns: Columns) -> None:
        pa = _pyarrow()
        types = {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "floats": pa.list_(pa.float32())}
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._path, self._pa, self._waiting = path, pa, list[Sequence[Any]]()

    def __enter__(self) -> _ParquetSink:
        self._writer = self._pa.parquet.ParquetWriter(self._path, self._schema)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, row: Sequence[Any]) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            cells = zip(*self._waiting, strict=True)
            arrays = [
                self._pa.array(list(column), field.type) for column, field in zip(cells, self._schema, strict=True)
            ]
            self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
            self._waiting.clear()


class FrameSink:
    """Rows for a DataFrame.

    Args:
        columns: names and types.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._rows: list[Sequence[Any]] = []

    def write(self, row: Sequence[Any]) -> None:
        """Append a row."""
        self._rows.append(row)

    def frame(self) -> Any:  # noqa: ANN401 - a DataFrame
        """All rows."""
        pandas = need_pandas()
        text = pandas.Series(["text"]).dtype  # str since pandas 3, object before
        types = {"text": text, "int": "int64", "float": "float64", "floats": object}
        cells = list(zip(*self._rows, strict=True)) or [()] * len(self.columns)
        series = {
            name: pandas.Series(list(column), dtype=types[kind])
            for (name, kind), column in zip(self.columns.items(), cells, strict=True)
        }
        return pandas.DataFrame(series)


def need_pandas() -> Any:  # noqa: ANN401 - a module
    """The module pandas.

    Raises:
        MissingExtraError: with the command that installs it.
    """
    try:
        import pandas
    except ImportError:
        raise MissingExtraError("pandas", "recipes", "medzoo.predict") from None
    return pandas
