"""A table as plain text and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo.bench.table.cell import Run, TableCell
from medzoo.bench.table.model import Column
from medzoo.bench.table.uncertainty.statistics_notes import column_lines, differences

if TYPE_CHECKING:
    from medzoo.bench.table.model import TableData

MOST_LINES = 40  # of differences in a terminal


def text(table: TableData, width: int | None = None) -> str:
    """Plain text with aligned columns, for a terminal.

    Args:
        table: with its cells.
        width: of the terminal, characters; columns that do not fit go into further blocks. None makes one block.
    """
    lines = _blocks(table, width)
    sizes: list[str] = []
    for place, c in enumerate(table.columns):
        about = column_lines(c, table.rows, [row[place] for row in table.grid])
        title = f"{c.title} ({c.detail})" if about and c.detail else c.title
        sizes += [f"{title}: {c.size}; {c.how}"] * bool(c.size) + [f"  {line}" for line in about]
    sources = dict.fromkeys(c.source for c in table.columns if c.source)
    sizes += [
        f"(reported) {', '.join(dict.fromkeys(c.title for c in table.columns if c.source == source))}: {source}"
        for source in sources
    ]
    compared: list[str] = []
    if found := differences(table.rows, table.columns, table.grid):
        compared = ["", *_aligned(found[: MOST_LINES + 1])]
        compared += [f"... and {len(found) - MOST_LINES - 1} more in table.md"] * (len(found) > MOST_LINES + 1)
    return "\n".join([table.title, "", *lines, *compared, "", *_once(sizes), *table.footnotes]) + "\n"


def _blocks(table: TableData, width: int | None) -> list[str]:
    """The table in blocks of columns that fit the width, each with the names of the rows."""
    head = [["", *(c.title for c in table.columns)], ["", *(c.heading for c in table.columns)]]
    if any(column.detail for column in table.columns):
        rows = max(len(_parts(column)) for column in table.columns)
        head += [["", *((_parts(c) + [""] * rows)[row] for c in table.columns)] for row in range(rows)]
    grid = [*head, *_body(table)]
    widths = [max(len(line[place]) for line in grid) for place in range(len(grid[0]))]

    # as many columns as fit, but at least one
    blocks: list[list[int]] = [[]]
    for place in range(1, len(widths)):
        used = widths[0] + sum(2 + widths[one] for one in [*blocks[-1], place])
        if width is not None and blocks[-1] and used > width:
            blocks.append([])
        blocks[-1].append(place)
    lines: list[str] = []
    for places in blocks:
        block = _aligned([[line[place] for place in (0, *places)] for line in grid])
        block.insert(len(head), "─" * max(map(len, block)))
        lines += [""] * bool(lines) + block
    return lines


def _once(lines: Sequence[str]) -> list[str]:
    """Columns with the same text are printed once; the indented lines about each column stay."""
    return [line for place, line in enumerate(lines) if line.startswith("  ") or line not in lines[:place]]


def markdown(table: TableData, folder: Path | None) -> str:
    """A Markdown page: the table, its footnotes, and links to the result files of every cell."""
    lines = [f"# {_escaped(table.title)}", "", *_markdown_grid(table)]
    if found := differences(table.rows, table.columns, table.grid):
        rule = tuple("---:" if word in ("difference", "p (Holm)") else "---" for word in found[0])
        lines += ["", "## Differences to the control", "", _markdown_line(found[0]), _markdown_line(rule)]
        lines += [_markdown_line(tuple(map(_escaped, line))) for line in found[1:]]
    lines += ["", "## Columns", ""]

    # details of each column
    lines += [
        f"- **{_escaped(c.title)}**, {c.heading}: {c.size or 'no value'}; protocol {_escaped(c.protocol)} ({c.mode}"
        + ("" if c.fraction == 1 else f", {c.fraction:.3g} of the training patients")
        + ("" if c.per_class is None else f", {c.per_class} training images per class")
        + (f", {c.pixels}" if c.pixels else "")
        + ("" if c.folds is None else f", {c.folds} folds")
        + ("" if c.fold is None else f", fold {c.fold}")
        + f"), hash `{c.protocol_hash}`"
        + "".join(f"\n  - {_escaped(line)}" for line in column_lines(c, table.rows, [row[place] for row in table.grid]))
        for place, c in enumerate(table.columns)
        if c.metric and not c.source
    ]
    lines += [f"- **{_escaped(c.title)}**, {c.heading}: {_escaped(c.source)}" for c in table.columns if c.source]

    # the runs of each cell
    lines += ["", "## Runs", "", "Each value is a link to its result file.", ""]
    for row, cells in zip(table.rows, table.grid, strict=True):
        weights = f", weights `{row.weights[:12]}`" if row.weights else ""
        lines.append(f"- **{_escaped(row.label)}** (`{row.checkpoint}`{weights})")
        lines += [
            f"  - {_runs(table, c, cell, folder)}" for c, cell in zip(table.columns, cells, strict=True) if cell.runs
        ]
    return "\n".join([*lines, "", f"Made by {table.generator} from {_count(table)} results.", ""])


def excerpt(table: TableData) -> str:
    """The table and its footnotes as Markdown, for a README: without title, links and details.

    Args:
        table: with its cells.
    """
    return "\n".join([*_markdown_grid(table), "", f"Made by {table.generator} from {_count(table)} results.", ""])


def _markdown_grid(table: TableData) -> list[str]:
    """The lines of the table and of its footnotes."""
    head = [
        "checkpoint",
        *("<br>".join([_escaped(c.title), c.heading, *map(_escaped, _parts(c))]) for c in table.columns),
    ]
    grid = [head, *([_escaped(x) for x in row] for row in _body(table))]
    widths = [max(3, *(len(row[i]) for row in grid)) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    rows = [grid[0], rule, *grid[1:]]
    lines = ["| " + " | ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return [*lines, "", *(f"- {_escaped(note)}" for note in table.footnotes)]


def _body(table: TableData) -> list[list[str]]:
    return [
        [row.label, *(cell.worded(c.digits) for c, cell in zip(table.columns, cells, strict=True))]
        for row, cells in zip(table.rows, table.grid, strict=True)
    ]


def _markdown_line(parts: Sequence[str]) -> str:
    return f"| {' | '.join(parts)} |"


def _parts(column: Column) -> list[str]:
    """The details of a column, one for each line."""
    return [part for part in column.detail.split(", ") if part]


def _runs(table: TableData, column: Column, cell: TableCell, folder: Path | None) -> str:
    def one(run: Run) -> str:
        words = f"{run.name}: {_escaped(run.worded(column.digits + 1))}"
        if run.path is None:
            return f"{words} (`{run.run_id[:16]}`)" if run.run_id else words
        return f"[{words}]({table.link(run.path, folder)})"

    head = ", ".join(filter(None, [_escaped(column.title), column.heading, _escaped(column.detail)]))
    return f"{head}: {', '.join(one(run) for run in cell.runs)}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]


def _escaped(words: str) -> str:
    """Text with escaped Markdown characters; underscores inside words need no escape."""
    words = re.sub(r"([\\|\[\]*`]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", words.replace("\n", " "))
    return words.replace("&", "&amp;").replace("<", "&lt;")


def _count(table: TableData) -> int:
    return sum(len(cell.runs) for cells in table.grid for cell in cells if cell.published is None)
