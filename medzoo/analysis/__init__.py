"""Analyses, one file each, found by the file's name: options in, rows of numbers and a figure out."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from medzoo.errors import UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FOLDER = Path(__file__).parent


class Analysis(Protocol):
    """What a file in `medzoo/analysis` holds; `tests/typed_contracts.py` lets mypy check every one."""

    @property
    def Options(self) -> type[Any]:  # noqa: N802 - a class of the file
        """A frozen dataclass of `option(...)` fields; they become command-line options."""

    def run(self, options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - the Options of the file
        """Plain rows: a dict of texts and numbers for each measured number, so that they can be written as JSON or CSV."""

    def plot(self, rows: list[dict[str, Any]]) -> Figure:
        """The figure of these rows; nothing is computed again."""


def list_analyses() -> list[str]:
    """The names of all analyses."""
    return sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))


def open_analysis(name: str) -> Analysis:
    """The module of an analysis.

    Raises:
        UnknownNameError: with the nearest names.
    """
    if name not in list_analyses():
        raise UnknownNameError("analysis", name, list_analyses(), f"Analyses are {', '.join(list_analyses())}.")
    return cast(Analysis, import_module(f"{__name__}.{name}"))
