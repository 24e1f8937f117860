"""The columns of `medzoo list`: a heading, a value for JSON, and a text for the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from medzoo.errors import UnknownNameError, UsageError
from medzoo.zoo.registry.checkpoint import Checkpoint, Pretraining
from medzoo.zoo.registry.locations import availability

NO_VALUE = "-"


@dataclass(frozen=True)
class ListColumn:
    """A column of the list.

    Args:
        heading: in the table.
        value: plain data of a checkpoint for JSON; None if it is unknown.
        text: the value in a table.
        right: whether the table aligns it at the right, as numbers are.
        may_cut: whether its texts may be cut where a terminal is too narrow; names, ids and numbers may not.
    """

    heading: str
    value: Callable[[Checkpoint], Any]
    text: Callable[[Any], str] = str
    right: bool = False
    may_cut: bool = False

    def cell(self, entry: Checkpoint) -> str:
        """The text of a checkpoint in this column; `-` for an unknown value."""
        value = self.value(entry)
        return NO_VALUE if value in (None, [], "") else self.text(value)


def _past(entry: Checkpoint) -> Pretraining:
    return entry.pretraining or Pretraining()


def _joined(values: Sequence[str]) -> str:
    return " + ".join(values)


def _commas(values: Sequence[str]) -> str:
    return ", ".join(values)


def _thousands(number: int) -> str:
    return f"{number:,}"


def _millions(number: int) -> str:
    return f"{number / 1e6:.1f} M"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _shape(entry: Checkpoint) -> list[int]:
    """Channels, height and width of the input."""
    return [entry.input.channels, entry.input.size, entry.input.size]


def _by_sign(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def _bytes(entry: Checkpoint) -> int | None:
    """Bytes of the weights: of the published file, else of all parameters in fp32."""
    return entry.fp32_bytes if entry.hub is None else entry.hub.size


COLUMNS: dict[str, ListColumn] = {
    "name": ListColumn("checkpoint", lambda entry: entry.name),
    "architecture": ListColumn("architecture", lambda entry: entry.architecture),
    "method": ListColumn("method", lambda entry: _past(entry).method),
    "data": ListColumn("data", lambda entry: list(_past(entry).data), _joined, may_cut=True),
    "modality": ListColumn("modality", lambda entry: list(_past(entry).modalities), _commas, may_cut=True),
    "images": ListColumn("images", lambda entry: _past(entry).images, _thousands, right=True),
    "epochs": ListColumn("epochs", lambda entry: _past(entry).epochs, right=True),
    "licence": ListColumn("licence", lambda entry: entry.license.id),
    "redistributable": ListColumn("publish", lambda entry: entry.license.redistributable, _yes),
    "weights": ListColumn("weights", availability),
    "parameters": ListColumn("parameters", lambda entry: entry.facts.get("parameters"), _millions, right=True),
    "features": ListColumn("features", lambda entry: entry.facts.get("features"), right=True),
    "size": ListColumn("size", _bytes, _megabytes, right=True),
    "input": ListColumn("input", _shape, _by_sign),
    "rule": ListColumn("rule", lambda entry: entry.input.rule),
    "year": ListColumn("year", lambda entry: entry.citation.year if entry.citation else None, right=True),
    "paper": ListColumn("paper", lambda entry: entry.citation.paper if entry.citation else None),
}
SPELLINGS = {"license": "licence", "modalities": "modality", "checkpoint": "name", "publish": "redistributable"}
DEFAULT = ("name", "method", "data", "licence", "weights")
# If the terminal is narrow, the first of these are kept; if it is wide, more are added.
PRIORITY = ("name", "weights", "licence", "method", "data", "parameters", "input", "year")


def chosen_columns(text: str) -> list[str]:
    """The column names of `--columns`.

    Args:
        text: names joined by commas.

    Raises:
        UnknownNameError: for an unknown column, with near matches and the list of columns.
        UsageError: for no column, and for a column that is named twice.

    >>> chosen_columns("name, license")
    ['name', 'licence']
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    names = [SPELLINGS.get(word, word) for word in words]
    for word, name in zip(words, names, strict=True):
        if name not in COLUMNS:
            raise UnknownNameError("column", word, COLUMNS, f"The columns are {', '.join(COLUMNS)}.")
    if not names:
        raise UsageError(f"--columns names no column. The columns are {', '.join(COLUMNS)}.", code="columns-empty")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--columns names {name} twice. Name each column once.", code="column-twice")
    return names
