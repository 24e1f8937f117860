"""Options that several commands have, and how they print."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.errors import UsageError, printable

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Hub = Annotated[Path | None, typer.Option(help="directory that plays the Hub; by default MEDZOO_HUB")]
Private = Annotated[
    bool | None,
    typer.Option(
        "--private/--public",
        help="of a repository that is created, private by default; --private refuses a public one",
    ),
]
Accept = Annotated[
    bool, typer.Option("--accept-license", help="accept the terms of non-commercial or contested weights")
]


def check_file(path: Path | None, option: str) -> None:
    """Refuse a file to be written that cannot be one, before the work that it would hold.

    Args:
        path: as it was given, or None.
        option: its name.

    Raises:
        UsageError: naming what is wrong.
    """
    if path is not None:
        check_spelling(path, option)
        if not path.name or path.expanduser().is_dir():
            raise UsageError(f"{option} is {str(path)!r}; give the path of a file.")


def check_spelling(path: Path, option: str) -> None:
    """Refuse a place for output whose name is not UTF-8: indexes and tables state names as text.

    Args:
        path: as it was given.
        option: its name.

    Raises:
        UsageError: naming it.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{option} is {str(path)!r}; it is not text in UTF-8.") from error


def print_json(value: Any) -> None:  # noqa: ANN401
    """Indented JSON: what it has no word for is text, and a number that is none is null."""
    print(printable(json.dumps(_known(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)))


def _known(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _known(row) for key, row in value.items()}
    if isinstance(value, list | tuple):
        return [_known(row) for row in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr that something takes its time; nothing where that is no terminal.

    Args:
        what: is done meanwhile.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
