"""Results and the rows and columns they belong to → a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medzoo.bench.table import rows_columns
from medzoo.bench.table.headings import details
from medzoo.bench.table.model import Column, Run, TableCell, TableRow

# title, rows, columns, grid, footnotes, and the folder that links are relative to
Parts = tuple[str, tuple[TableRow, ...], tuple[Column, ...], tuple[tuple[TableCell, ...], ...], tuple[str, ...], Path]


@dataclass(frozen=True)
class Placed:
    """A result, and one row and column that it belongs to.

    Args:
        path: its file, if it has one.
        result: as stored.
        row: the checkpoint, as it was asked for.
        task: the task, as it was asked for.
        title: of the column.
        place: which of the asked tasks.
        metric: that the column shows.
    """

    path: Path | None
    result: Mapping[str, Any]
    row: str
    task: str
    title: str
    place: int
    metric: str


def build(
    placed: Sequence[Placed],
    *,
    rows: Mapping[str, str],
    columns: Sequence[tuple[str, str]],
    title: str,
    root: Path,
    notes: Sequence[str] = (),
    outside: Iterable[str] = (),
) -> Parts:
    """The parts of a table of placed results.

    Args:
        placed: results with their rows and columns.
        rows: the rows that were asked for, with labels; empty for all.
        columns: the tasks that were asked for, with titles; empty for all.
        title: above the table.
        root: links are relative to it.
        notes: footnotes after those about the cells.
        outside: results that were not asked for, in words.
    """
    runs: dict[tuple[str, str | None, Column], list[Run]] = {}
    for item in placed:
        column = rows_columns.column_of(item.result, item.metric, item.task, item.title, item.place)
        weights = item.result["identity"]["checkpoint"]["weights_sha256"]
        runs.setdefault((item.row, weights, column), []).append(
            rows_columns.run_of(item.result, item.metric, item.path)
        )
    every: dict[Column, list[Run]] = {}
    for (*_, column), some in runs.items():
        every.setdefault(column, []).extend(some)
    final = {column: rows_columns.counted_folds(column, some) for column, some in every.items()}
    runs = {(row, weights, final[column]): some for (row, weights, column), some in runs.items()}
    made_rows = rows_columns.ordered_rows([place[:2] for place in runs], rows)
    made_columns = rows_columns.ordered_columns([place[2] for place in runs], columns)
    grid = tuple(
        tuple(_cell(runs.get((row.checkpoint, row.weights, column), []), column) for column in made_columns)
        for row in made_rows
    )
    below = list(zip(*grid, strict=True)) or [()] * len(made_columns)
    sized = [
        replace(column, size=rows_columns.size_of(cells), pixels=rows_columns.pixels_of(cells))
        for column, cells in zip(made_columns, below, strict=True)
    ]
    told = [replace(column, detail=text) for column, text in zip(sized, details(sized), strict=True)]
    footnotes = [*rows_columns.notes_of(made_rows, told, grid, outside), *_same_runs(made_rows, told, grid), *notes]
    return title, tuple(made_rows), tuple(told), grid, tuple(footnotes), root


def _cell(runs: Iterable[Run], column: Column) -> TableCell:
    return TableCell(tuple(sorted(runs, key=rows_columns.place)), column.reported, column.folds)


def _same_runs(rows: Sequence[TableRow], columns: Sequence[Column], grid: Sequence[Sequence[TableCell]]) -> list[str]:
    """Footnotes on rows, and on columns, that hold the same runs under two names."""
    notes = []
    beside = [(row.label, cells) for row, cells in zip(rows, grid, strict=True)]
    below = [(column.title, cells) for column, cells in zip(columns, zip(*grid, strict=True), strict=bool(rows))]
    for what, named in (("checkpoints are the same weights", beside), ("tasks are the same data", below)):
        for number, (name, cells) in enumerate(named):
            same = [other for other, theirs in named[number + 1 :] if other != name and _share(cells, theirs)]
            if same:
                notes.append(f"{', '.join([name, *same])}: these {what}, so the same runs stand under each name.")
    return notes


def _share(cells: Iterable[TableCell], others: Iterable[TableCell]) -> bool:
    mine, theirs = ({run.run_id for cell in some for run in cell.runs} for some in (cells, others))
    return not mine.isdisjoint(theirs)
