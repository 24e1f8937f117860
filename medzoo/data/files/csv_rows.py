"""Text tables of data sets: CSV files by column name, and the studies' lists without a header."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medzoo.data.files.csv_columns import read_columns
from medzoo.errors import DataContractError

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
            f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8 "
            "(in Excel: CSV UTF-8; or iconv -f latin1 -t utf8 OLD > NEW).",
            code="table-not-utf8",
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
    columns = read_columns(path, need, optional=None)
    return list(columns), [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def read_list(path: Path) -> list[list[str]]:
    """Read a list without a header; lines are split at commas, or else at blanks.

    File names may contain blanks: a line with a comma is split only at commas, and a line whose only file extension is at its end
    is one name.

    Raises:
        DataContractError: if it cannot be read, or is empty.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise DataContractError(f"{path} is empty. Get it again.", code="table-empty")
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
