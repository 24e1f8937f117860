"""Text tables of data sets: CSV files by column name, and the studies' lists without a header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from medzoo.data.problems import complain_of
from medzoo.errors import DataContractError, listed

_SEPARATOR = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)  # a line for Excel, above the header
_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".dcm", ".npy")


def read_text(path: Path) -> str:
    """Read a UTF-8 text (with or without BOM).

    Raises:
        DataContractError: for another encoding, or a file that cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataContractError(
            f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.", code="table-not-utf8"
        ) from error
    except OSError as error:
        raise DataContractError(
            f"{path} cannot be read ({error.strerror or error}).", code="table-unreadable"
        ) from error


def read_csv(path: Path, need: Sequence[str] = ()) -> tuple[list[str], list[dict[str, str]]]:
    """Read header and rows of a CSV in UTF-8 (with or without BOM), separated by comma, semicolon or tab.

    Args:
        path: the file.
        need: required columns, in any order.

    Raises:
        DataContractError: for another encoding, a repeated or missing column, or rows of another length.
    """
    text = read_text(path)
    header_line, _, rest = text.partition("\n")
    separator = max(",;\t", key=header_line.count)
    if declared := _SEPARATOR.fullmatch(header_line.strip("\r")):
        separator, text = declared[1], rest
    try:
        lines = [
            line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True) if any(line)
        ]
    except csv.Error as error:
        raise DataContractError(f"{path} is not a readable CSV ({error}).", code="csv-unreadable") from error
    if not lines:
        raise DataContractError(f"{path} is empty.", code="table-empty")
    # Unnamed first and last columns (pandas' index, a comma at the end of the header) get a name and are not used.
    header = [name.strip() for name in lines[0]]
    for place in (0, len(header) - 1):
        if header[place] == "":
            header[place] = f"Unnamed: {place}"
    twice = [name for name, count in Counter(header).items() if count > 1 or not name]
    if twice:
        raise DataContractError(
            f"{path}: columns must have different names. Repeated: {listed(map(repr, twice))}.", code="column-repeated"
        )
    absent = [name for name in need if name not in header]
    if absent:
        raise DataContractError(
            f"{path}: the columns {listed(absent)} are missing; it has {listed(header, 30)}.", code="columns-missing"
        )
    # Rows of another length are an error, or skipped inside of `collecting`.
    wrong = [f"row {number}" for number, line in enumerate(lines[1:], 1) if len(line) != len(header)]
    complain_of(wrong, f"{path}: {len(wrong)} rows do not have {len(header)} fields", code="row-length-wrong")
    if len(lines) == 1:
        raise DataContractError(f"{path} has a header, but no rows.", code="table-without-rows")
    complete = [line for line in lines[1:] if len(line) == len(header)]
    return header, [dict(zip(header, map(str.strip, line), strict=True)) for line in complete]


def read_list(path: Path) -> list[list[str]]:
    """Read a list without a header; lines are split at commas, or else at blanks.

    File names may contain blanks: a line with a comma is split only at commas, and a line whose only file extension is at its end
    is one name.

    Raises:
        DataContractError: if it cannot be read, or is empty.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise DataContractError(f"{path} is empty.", code="table-empty")
    return [_fields(line) for line in lines]


def _fields(line: str) -> list[str]:
    """The fields of a line.

    >>> _fields("a (1).png"), _fields("a.png 0 1"), _fields("a (1).png,0")
    (['a (1).png'], ['a.png', '0', '1'], ['a (1).png', '0'])
    """
    if "," in line:
        return [part.strip() for part in line.split(",")]
    parts = line.split()
    named = [part.lower().endswith(_ENDINGS) for part in parts]
    return [line] if named[-1] and not any(named[:-1]) else parts
