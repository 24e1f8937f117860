"""Analyses, one file each, found by the file's name: inputs and options in, rows of numbers, a figure and a sentence out."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from medzoo.errors import UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

_FOLDER = Path(__file__).parent


class Analysis(Protocol):
    """What a file in `medzoo/analysis` holds; `tests/typed_contracts.py` lets mypy check every one.

    A file may also have `VERSION`, a number in the identity of the stored analysis: raise it from 1 when the same inputs give other
    numbers, so that stored analyses are made again. An analysis that reads more data than `USES` can name has `other_inputs`.
    """

    @property
    def TITLE(self) -> str:  # noqa: N802 - a constant of the file
        """A few words: the heading of its part of a report, and of its tab on a table's page."""

    @property
    def QUESTION(self) -> str:  # noqa: N802 - a constant of the file
        """The question that it answers, one sentence."""

    @property
    def USES(self) -> tuple[str, ...]:  # noqa: N802 - a constant of the file
        """What decides its numbers, names from `inputs.inputs.USES`: such as "networks" and "images"."""

    @property
    def Options(self) -> type[Any]:  # noqa: N802 - a class of the file
        """A frozen dataclass of `option(...)` fields; they become command-line options, so that two analyses share no name."""

    def run(self, inputs: ComparedInputs, options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - the Options of the file
        """Plain rows: a dict of texts and finite numbers (or None) for each measured number.

        What cannot be measured is a row with the value None and a `reason`, or a `NotApplicableError` for the whole analysis.
        """

    def plot(self, rows: list[dict[str, Any]]) -> Figure:
        """The figure of these rows; nothing is computed again."""

    def table(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows that a page shows: fewer or wider ones than `rows`, all with the same keys, which are its headings."""

    def sentence(self, rows: list[dict[str, Any]]) -> str:
        """The answer to the question, computed from these rows."""


@runtime_checkable
class ReadsOtherData(Protocol):
    """An analysis whose options name further data."""

    def other_inputs(self, inputs: ComparedInputs, options: Any) -> dict[str, Any]:  # noqa: ANN401 - the Options of the file
        """What identifies these data: texts and numbers, added to the inputs in the identity."""


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
