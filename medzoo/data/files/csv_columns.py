"""Large tables of text, read by column: of millions of rows only what is asked for is kept, under its name."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from medzoo.data.problems import complain_of
from medzoo.data.vocabulary import MARKS, is_empty
from medzoo.errors import DataContractError, listed

_CHUNK = 8_192  # rows that are turned to columns at once


def read_columns(path: Path, need: Sequence[str], optional: Sequence[str] = ()) -> dict[str, list[str]]:
    """Some columns of a CSV in UTF-8 (with or without BOM, plain or .gz), separated by comma, semicolon or tab.

    Args:
        path: the file.
        need: columns that have to be there, in whatever order.
        optional: columns that are read where the file has them.

    Returns:
        column → its cells, without the blanks around them; only columns that the file has.

    Raises:
        DataContractError: for another encoding, a damaged archive, a doubled or missing column, or rows of another length.
    """
    try:
        with _open(path) as stream:
            return _read(stream, path, need, optional)
    except UnicodeDecodeError as error:
        raise DataContractError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise DataContractError(f"{path} is no readable CSV ({error}).") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataContractError(f"{path} is no whole .gz file ({error}). Fetch it again.") from error
    except OSError as error:
        raise DataContractError(f"{path} cannot be read ({error.strerror or error}).") from error


def _open(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(stream: IO[str], path: Path, need: Sequence[str], optional: Sequence[str]) -> dict[str, list[str]]:
    first = stream.readline()
    separator = max(",;\t", key=first.count)
    head = next(csv.reader(io.StringIO(first, newline=""), delimiter=separator, strict=True), [])
    header = [name.strip() for name in head]
    if not any(header):
        raise DataContractError(f"{path} is empty.")
    absent = [name for name in need if name not in header]
    if absent:
        raise DataContractError(f"{path}: the columns {listed(absent)} are missing; it has {listed(header, 30)}.")
    wanted = [name for name in dict.fromkeys((*need, *optional)) if name in header]
    twice = [name for name, count in Counter(header).items() if count > 1 and name in wanted]
    if twice:
        raise DataContractError(f"{path}: columns must have different names; look at {listed(map(repr, twice))}.")
    columns: dict[str, list[str]] = {name: [] for name in wanted}
    places = [header.index(name) for name in wanted]
    shared: list[dict[str, str]] = [{} for _ in wanted]
    lines, wrong, start = csv.reader(stream, delimiter=separator, strict=True), [], 1
    while chunk := list(islice(lines, _CHUNK)):
        if set(map(len, chunk)) != {len(header)} or not all(map(any, chunk)):
            wrong += [f"row {row}" for row, line in enumerate(chunk, start) if any(line) and len(line) != len(header)]
            chunk = [line for line in chunk if any(line) and len(line) == len(header)]
        start += _CHUNK
        turned = list(zip(*chunk, strict=True)) or [()] * len(header)
        for cells, place, known in zip(columns.values(), places, shared, strict=True):
            cells += _stripped(turned[place], known)
    complain_of(wrong, f"{path}: {len(wrong)} rows do not have {len(header)} fields")
    if wanted and not columns[wanted[0]]:
        raise DataContractError(f"{path} has a header and no rows.")
    return columns


def _stripped(cells: Sequence[str], known: dict[str, str]) -> list[str]:
    """Cells without the blanks around them; where many are equal, they are one string."""
    different = set(cells)
    if len(different) * 4 > len(cells):
        return [cell.strip() for cell in cells]
    bare = {cell: known.setdefault(cell.strip(), cell.strip()) for cell in different}
    return list(map(bare.__getitem__, cells))


def marked(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str], ids: Sequence[str], where: object
) -> np.ndarray:
    """Columns with 1, 0, -1 (uncertain) or nothing (not mentioned) as numbers, each found by its name.

    Args:
        columns: as `read_columns` gives them.
        classes: columns, in the order of the result.
        ids: of the rows, for the message.
        where: for the message.

    Returns:
        float32 (N, C); NaN where nothing was said.

    Raises:
        DataContractError: with the cells that hold anything else.

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
    complain_of(bad, f"{where}: {len(bad)} labels are not 1, 0, -1 or empty")
    return found


def numbers(cells: Sequence[str], low: float, high: float) -> list[float | None]:
    """Cells as numbers; None for what is no number or lies outside of [low, high], as ages in the thousands do.

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
