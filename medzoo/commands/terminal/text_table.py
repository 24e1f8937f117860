"""A table as aligned lines of text, within the width of a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GAP = 2  # spaces between two columns
NARROWEST = 12  # characters to which a column is cut at most


@dataclass(frozen=True)
class TextColumn:
    """A heading with the cells below it.

    Args:
        heading: the first line.
        cells: one text for each row.
        right: align at the right.
        may_cut: whether long texts may be cut.
    """

    heading: str
    cells: Sequence[str]
    right: bool = False
    may_cut: bool = False

    @property
    def least(self) -> int:
        """Characters that the column needs at least."""
        return min(self.width, max(NARROWEST, len(self.heading))) if self.may_cut else self.width

    @property
    def width(self) -> int:
        """Characters of the longest text."""
        return max(len(text) for text in (self.heading, *self.cells))


def total(widths: Sequence[int]) -> int:
    """Characters of a line with columns of these widths.

    >>> total([10, 4])
    16
    """
    return sum(widths) + GAP * max(len(widths) - 1, 0)


def fitting(columns: Mapping[str, TextColumn], priority: Sequence[str], width: int) -> list[str]:
    """The columns that fit into a terminal without a cut text, in their order; at least the first of the priority.

    Args:
        columns: by name.
        priority: the names, from the most important one.
        width: characters of a line.

    >>> columns = {name: TextColumn(name, ["x" * 10]) for name in ("a", "b", "c")}
    >>> fitting(columns, ["a", "c", "b"], 25)
    ['a', 'c']
    """
    chosen = [priority[0]]
    for name in priority[1:]:
        if total([columns[one].width for one in (*chosen, name)]) > width:
            break
        chosen.append(name)
    return [name for name in columns if name in chosen]


def cut_to_fit(columns: Sequence[TextColumn], width: int) -> list[int]:
    """Widths of columns for a terminal: texts that may be cut are, the longest first; then columns at the right are left out.

    Args:
        columns: from left to right.
        width: characters of a line.

    Returns:
        The characters of each column that is shown; at least one.

    >>> wide, number = TextColumn("text", ["x" * 30], may_cut=True), TextColumn("number", ["5" * 10])
    >>> cut_to_fit([wide, number], 30), cut_to_fit([number, wide], 15)
    ([18, 10], [10])
    """
    shown = list(columns)
    while len(shown) > 1 and total([column.least for column in shown]) > width:
        shown.pop()
    widths = [column.width for column in shown]
    while total(widths) > width:
        places = [place for place, column in enumerate(shown) if widths[place] > column.least]
        if not places:
            break
        widths[max(places, key=lambda place: widths[place])] -= 1
    return widths


def table_lines(columns: Sequence[TextColumn], widths: Sequence[int] | None = None) -> list[str]:
    """The lines of a table, the headings first.

    Args:
        columns: from left to right.
        widths: characters of each column; None for the widest text of each. Longer texts are cut and end with an ellipsis.

    >>> print(*table_lines([TextColumn("name", ["a", "bc"]), TextColumn("n", ["5", "12"], right=True)]), sep="|")
    name   n|a      5|bc    12
    """
    if widths is None:
        widths = [column.width for column in columns]
    kept = list(zip(columns, widths, strict=False))
    rows = [[column.heading for column, _ in kept]]
    rows += [[column.cells[row] for column, _ in kept] for row in range(len(columns[0].cells))]
    return [
        (" " * GAP)
        .join(
            f"{_cut(text, width):{'>' if column.right else '<'}{width}}"
            for text, (column, width) in zip(row, kept, strict=True)
        )
        .rstrip()
        for row in rows
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"
