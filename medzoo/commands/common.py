"""Options and output that several commands share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.errors import UsageError, printable

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Hub = Annotated[Path | None, typer.Option(help="directory hub to use instead of the Hub; by default MEDZOO_HUB")]
Private = Annotated[
    bool | None,
    typer.Option(
        "--private/--public",
        help="visibility of a new repository, private by default; --private refuses an existing public one",
    ),
]
Accept = Annotated[
    bool, typer.Option("--accept-license", help="accept the terms of non-commercial or contested weights")
]


def check_file(path: Path | None, option: str) -> None:
    """Refuse an invalid path of an output file before any work is done.

    Args:
        path: as it was given, or None.
        option: its name.

    Raises:
        UsageError: names the problem.
    """
    if path is not None:
        check_spelling(path, option)
        if not path.name or path.expanduser().is_dir():
            raise UsageError(f"{option} is {str(path)!r}; give the path of a file.", code="output-not-a-file")


def check_spelling(path: Path, option: str) -> None:
    """Refuse an output path that is not UTF-8, because indexes and tables contain file names as text.

    Args:
        path: as it was given.
        option: its name.

    Raises:
        UsageError: names the option.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{option} is {str(path)!r}; it is not text in UTF-8. Choose another name.", code="option-not-utf8"
        ) from error


def print_json(value: Any) -> None:  # noqa: ANN401
    """Print indented JSON: other types become text, and NaN and infinity become null."""
    print(printable(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)))


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _finite(row) for key, row in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(row) for row in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
