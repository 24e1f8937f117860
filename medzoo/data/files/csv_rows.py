"""Tables of text as data sets bring them: CSV by column name, and the studies' lists without a header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from medzoo.data.problems import complain
from medzoo.errors import DataContractError, listed

_SEPARATOR = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)  # a line for Excel, above the header
_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".dcm", ".npy")


def read_text(path: Path) -> str:
    """A UTF-8 text (with or without BOM).

    Raises:
        DataContractError: for another encoding, or a file that cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataContractError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise DataContractError(f"{path} cannot be read ({error.strerror or error}).") from error


def read_csv(path: Path, need: Sequence[str] = ()) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows of a CSV in UTF-8 (with or without BOM), separated by comma, semicolon or tab.

    Args:
        path: the file.
        need: columns that have to be there, in whatever order.

    Raises:
        DataContractError: for another encoding, a doubled or missing column, or rows of another length.
    """
    text = read_text(path)
    header_line, _, rest = text.partition("\n")
    separator = max(",;\t", key=header_line.count)
    if said := _SEPARATOR.fullmatch(header_line.strip("\r")):
        separator, text = said[1], rest
    try:
        lines = [
            line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True) if any(line)
        ]
    except csv.Error as error:
        raise DataContractError(f"{path} is no readable CSV ({error}).") from error
    if not lines:
        raise DataContractError(f"{path} is empty.")
    header = [name.strip() for name in lines[0]]
    for place in (
        0,
        len(header) - 1,
    ):  # pandas' index, and the comma at the end of some headers; they mean nothing here
        if header[place] == "":
            header[place] = f"Unnamed: {place}"
    twice = [name for name, count in Counter(header).items() if count > 1 or not name]
    if twice:
        raise DataContractError(f"{path}: columns must have different names; look at {listed(map(repr, twice))}.")
    absent = [name for name in need if name not in header]
    if absent:
        raise DataContractError(f"{path}: the columns {listed(absent)} are missing; it has {listed(header, 30)}.")
    wrong = [f"row {number}" for number, line in enumerate(lines[1:], 1) if len(line) != len(header)]
    if wrong:
        complain(DataContractError(f"{path}: {len(wrong)} rows do not have {len(header)} fields: {listed(wrong)}."))
    if len(lines) == 1:
        raise DataContractError(f"{path} has a header and no rows.")
    whole = [line for line in lines[1:] if len(line) == len(header)]
    return header, [dict(zip(header, map(str.strip, line), strict=True)) for line in whole]


def read_list(path: Path) -> list[list[str]]:
    """The lines of a list without a header, split at commas, or else at blanks.

    File names may hold blanks: a line with a comma is split at commas alone, and one whose only file ending is its last
    word's is one name.

    Raises:
        DataContractError: if it cannot be read, or is empty.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise DataContractError(f"{path} is empty.")
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
