"""Read selected columns of large CSV files, with millions of rows."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np

from medzoo.data.problems import complain_of
from medzoo.data.vocabulary import MARKS, is_empty
from medzoo.errors import DataContractError, listed

_SEPARATOR = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)  # a line for Excel, above the header
_CHUNK = 8_192  # rows that are converted to columns at once


def read_columns(path: Path, need: Sequence[str], optional: Sequence[str] | None = ()) -> dict[str, list[str]]:
    """Read the columns of a CSV in UTF-8 (with or without BOM, plain or .gz), separated by comma, semicolon or tab.

    Args:
        path: the file.
        need: required columns, in any order.
        optional: columns that are read if the file has them; None reads all columns.

    Returns:
        column → its cells, without outer blanks; only columns that the file has.

    Raises:
        DataContractError: for another encoding, a damaged archive, a repeated or missing column, or rows of another length.
    """
    columns: dict[str, list[str]] = {}
    for chunk in iter_columns(path, need, optional):
        for name, cells in chunk.items():
            columns.setdefault(name, []).extend(cells)
    return columns


def iter_columns(
    path: Path, need: Sequence[str], optional: Sequence[str] | None = ()
) -> Iterator[dict[str, list[str]]]:
    """As `read_columns`, some thousand rows at a time, for tables that do not fit into memory.

    Args:
        path: the file.
        need: required columns, in any order.
        optional: columns that are read if the file has them; None reads all columns.

    Yields:
        column → cells of the next rows; all selected columns, also without a row.

    Raises:
        DataContractError: as `read_columns`; about rows of another length after the last chunk.
    """
    try:
        with _open(path) as stream:
            yield from _read(stream, path, need, optional)
    except UnicodeDecodeError as error:
        raise DataContractError(
            f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8 "
            "(in Excel: CSV UTF-8; or iconv -f latin1 -t utf8 OLD > NEW).",
            code="table-not-utf8",
        ) from error
    except csv.Error as error:
        raise DataContractError(
            f"{path} is not a readable CSV ({error}). Save it again as CSV, or get it again.", code="csv-unreadable"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataContractError(
            f"{path} is not a complete .gz file ({error}). Download it again.", code="gzip-damaged"
        ) from error
    except OSError as error:
        raise DataContractError(
            f"{path} cannot be read ({error.strerror or error}).", code="table-unreadable"
        ) from error


def _open(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(
    stream: IO[str], path: Path, need: Sequence[str], optional: Sequence[str] | None
) -> Iterator[dict[str, list[str]]]:
    # The first line that is not empty is the header; Excel may state the separator above it.
    first = next((line for line in stream if line.strip()), "")
    separator = max(",;\t", key=first.count)
    if declared := _SEPARATOR.fullmatch(first.strip()):
        separator, first = declared[1], stream.readline()
    lines = csv.reader(chain([first], stream), delimiter=separator, strict=True)
    header = [name.strip() for name in next(lines, [])]
    if not any(header):
        raise DataContractError(f"{path} is empty. Get it again.", code="table-empty")
    if optional is None:  # unnamed first and last columns: pandas' index, a comma at the end of the header
        for place in (0, len(header) - 1):
            header[place] = header[place] or f"Unnamed: {place}"
    absent = [name for name in need if name not in header]
    if absent:
        raise DataContractError(
            f"{path}: the columns {listed(absent)} are missing; it has {listed(header, 30)}. "
            "Get the file again, or correct its header.",
            code="columns-missing",
        )
    selected = header if optional is None else [name for name in dict.fromkeys((*need, *optional)) if name in header]
    twice = [name for name, count in Counter(header).items() if name in selected and (count > 1 or not name)]
    if twice:
        raise DataContractError(
            f"{path}: columns must have different names. Repeated: {listed(map(repr, twice))}.", code="column-repeated"
        )
    # The rows, in chunks; rows of another length are an error, or skipped inside of `collecting`.
    places = [header.index(name) for name in selected]
    shared: list[dict[str, str]] = [{} for _ in selected]
    wrong: list[str] = []
    start, count = 1, 0
    while chunk := list(islice(lines, _CHUNK)):
        if set(map(len, chunk)) != {len(header)} or not all(map(any, chunk)):
            wrong += [f"row {row}" for row, line in enumerate(chunk, start) if any(line) and len(line) != len(header)]
            chunk = [line for line in chunk if any(line) and len(line) == len(header)]
        start += _CHUNK
        turned = list(zip(*chunk, strict=True)) or [()] * len(header)
        count += len(chunk)
        yield {
            name: _stripped(turned[place], known) for name, place, known in zip(selected, places, shared, strict=True)
        }
    complain_of(wrong, f"{path}: {len(wrong)} rows do not have {len(header)} fields", code="row-length-wrong")
    if selected and not count:
        raise DataContractError(f"{path} has a header, but no rows. Get it again.", code="table-without-rows")


def _stripped(cells: Sequence[str], known: dict[str, str]) -> list[str]:
    """Cells without outer blanks. Equal cells share one string object, if there are many of them."""
    different = set(cells)
    if len(different) * 4 > len(cells):
        return [cell.strip() for cell in cells]
    bare = {cell: known.setdefault(cell.strip(), cell.strip()) for cell in different}
    return list(map(bare.__getitem__, cells))


def marked(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str], ids: Sequence[str], where: object
) -> np.ndarray:
    """Columns with 1, 0, -1 (uncertain) or nothing (not mentioned) as numbers, selected by name.

    Args:
        columns: as `read_columns` returns them.
        classes: columns, in the order of the result.
        ids: of the rows, for the message.
        where: for the message.

    Returns:
        float32 (N, C); NaN for empty cells.

    Raises:
        DataContractError: lists the cells with another value.

    >>> marked({"b": ["", "0"], "a": ["1.0", "-1"]}, ["a", "b"], ["x", "y"], "t.csv").tolist()
    [[1.0, nan], [-1.0, 0.0]]
    """
    found = np.full((len(ids), len(classes)), np.nan, np.float32)
    bad = []
    for place, name in enumerate(classes):
        values = {cell: MARKS[cell] for cell in set(columns[name]) if cell in MARKS}
        odd = {cell for cell in set(columns[name]) if cell not in MARKS and not is_empty(cell)}
        found[:, place] = [values.get(cell, np.nan) for cell in columns[name]]
        if odd:
            bad += [f"{ids[row]}: {name} = {cell!r}" for row, cell in enumerate(columns[name]) if cell in odd]
    complain_of(bad, f"{where}: {len(bad)} labels are not 1, 0, -1 or empty", code="label-not-a-mark")
    return found


def numbers(cells: Sequence[str], low: float, high: float) -> list[float | None]:
    """Cells as numbers; None for cells that are not numbers, or outside [low, high] (ages in the thousands, for example).

    >>> numbers(["64", "", "0"], 1, 120)
    [64.0, None, None]
    """
    known: dict[str, float | None] = {}
    for cell in set(cells):
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        known[cell] = value if low <= value <= high else None
    return [known[cell] for cell in cells]
