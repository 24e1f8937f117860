"""Build a table from results with their rows and columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medzoo.bench.contamination.measured import MeasuredOverlap
from medzoo.bench.table import rows_columns
from medzoo.bench.table.cell import Run, TableCell
from medzoo.bench.table.cell_notes import cell_notes
from medzoo.bench.table.contamination_marks import contamination_notes, unused_reports, with_contamination
from medzoo.bench.table.headings import details
from medzoo.bench.table.model import Column, TableRow
from medzoo.bench.table.uncertainty.statistics_notes import statistics_notes
from medzoo.errors import UsageError, listed

NO_CONTROLS: Mapping[str, Sequence[str]] = MappingProxyType({})

# title, rows, columns, grid, footnotes, and the folder that links are relative to
Parts = tuple[str, tuple[TableRow, ...], tuple[Column, ...], tuple[tuple[TableCell, ...], ...], tuple[str, ...], Path]


@dataclass(frozen=True)
class Placed:
    """A result with its row and column.

    Args:
        path: its file, if it has one.
        result: as stored.
        row: the requested name of the checkpoint.
        task: the requested name of the task.
        title: of the column.
        place: position among the requested tasks.
        metric: of the column.
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
    control: str | None = None,
    controls: Mapping[str, Sequence[str]] = NO_CONTROLS,
    margin: float | None = None,
    statistics: bool = True,
    duplicates: Sequence[MeasuredOverlap] = (),
) -> Parts:
    """The parts of a table of placed results.

    Args:
        placed: results with their rows and columns.
        rows: the requested rows, with labels; empty for all.
        columns: the requested tasks, with titles; empty for all.
        title: above the table.
        root: links are relative to it.
        notes: footnotes after those about the cells.
        outside: results that were not requested, in words.
        control: name or label of the row that the others are compared with.
        controls: of rows that are compared with other ones instead, by name; the table marks the verdict of the first.
        margin: the largest difference that does not matter, chosen before the runs.
        statistics: whether to read the predictions for intervals and comparisons.
        duplicates: measured overlaps of test images with pre-training data.

    Raises:
        UsageError: for a control that is not a row, and for a margin without a control or that is not positive.
    """
    # the runs of each row and column
    runs: dict[tuple[str, str | None, Column], list[Run]] = {}
    for item in placed:
        column = rows_columns.column_of(item.result, item.metric, item.task, item.title, item.place)
        weights = item.result["identity"]["checkpoint"]["weights_sha256"]
        runs.setdefault((item.row, weights, column), []).append(
            rows_columns.run_of(item.result, item.metric, item.path)
        )

    # the number of folds of a column is known only from all its runs
    of_column: dict[Column, list[Run]] = {}
    for (*_, column), some in runs.items():
        of_column.setdefault(column, []).extend(some)
    final = {column: rows_columns.counted_folds(column, some) for column, some in of_column.items()}
    runs = {(row, weights, final[column]): some for (row, weights, column), some in runs.items()}

    # the cells
    made_rows = rows_columns.ordered_rows([place[:2] for place in runs], rows)
    made_columns = rows_columns.ordered_columns([place[2] for place in runs], columns)
    grid = tuple(
        tuple(_cell(runs.get((row.checkpoint, row.weights, column), []), column) for column in made_columns)
        for row in made_rows
    )

    by_id = {item.result["run_id"]: item.result for item in placed}
    names = {run_id: str(result["identity"]["checkpoint"]["id"]) for run_id, result in by_id.items()}
    grid = with_contamination(made_rows, made_columns, grid, names, duplicates)
    compared = compared_rows(control, controls, margin, made_rows)
    if statistics:
        from medzoo.bench.table.uncertainty.column_statistics import with_statistics

        labels = [row.label for row in made_rows]
        made_columns, made_cells = with_statistics(
            made_columns, grid, by_id, labels=labels, controls=compared, margin=margin
        )
        grid = tuple(map(tuple, made_cells))

    # the texts of the headings and footnotes depend on the cells
    below = list(zip(*grid, strict=True)) or [()] * len(made_columns)
    sized = [
        replace(column, size=rows_columns.size_of(cells), pixels=rows_columns.pixels_of(cells))
        for column, cells in zip(made_columns, below, strict=True)
    ]
    detailed = [replace(column, detail=text) for column, text in zip(sized, details(sized), strict=True)]
    of_cells = cell_notes(made_rows, detailed, grid, outside)
    of_statistics = statistics_notes(made_rows, detailed, grid, margin)
    if any(compared) and not statistics:
        notes = ("Nothing is compared, because the predictions were not read (--no-statistics).", *notes)
    seen = [
        *contamination_notes(made_rows, detailed, grid),
        *unused_reports(made_rows, detailed, grid, names, duplicates),
    ]
    footnotes = (*of_statistics, *of_cells, *seen, *_same_runs(made_rows, detailed, grid), *notes)
    return title, tuple(made_rows), tuple(detailed), grid, footnotes, root


def compared_rows(
    control: str | None, controls: Mapping[str, Sequence[str]], margin: float | None, rows: Sequence[TableRow]
) -> tuple[tuple[int, ...], ...]:
    """The positions of the rows that each row is compared with.

    Args:
        control: name or label of the row that the others are compared with, or None.
        controls: of rows that have other ones, by name.
        margin: of equivalence, or None.
        rows: of the table.

    Raises:
        UsageError: as `control_place`.
    """
    usual = control_place(control, margin, rows)
    found: list[tuple[int, ...]] = []
    for place, row in enumerate(rows):
        named = [control_place(name, margin, rows) for name in controls.get(row.checkpoint, ())]
        found.append(tuple(other for other in (named or [usual]) if other is not None and other != place))
    return tuple(found)


def control_place(control: str | None, margin: float | None, rows: Sequence[TableRow]) -> int | None:
    """The position of the control's row.

    Args:
        control: name or label of a row, or None.
        margin: of equivalence, or None.
        rows: of the table.

    Raises:
        UsageError: for a control that is not a row, and for a margin without a control or that is not positive.
    """
    if margin is not None and (control is None or not 0 < margin < float("inf")):
        why = "needs a control (--control NAME)" if control is None else "should be a positive number"
        raise UsageError(f"The margin {margin:g} {why}.", code="margin-invalid")
    if control is None:
        return None
    found = [place for place, row in enumerate(rows) if control in (row.label, row.checkpoint)]
    if len(found) != 1:
        known = listed([row.label for row in rows])
        raise UsageError(f"The control {control!r} should be one row of the table: {known}.", code="control-not-a-row")
    return found[0]


def _cell(runs: Iterable[Run], column: Column) -> TableCell:
    return TableCell(tuple(sorted(runs, key=rows_columns.place)), column.reported, column.folds, column.drawn)


def _same_runs(rows: Sequence[TableRow], columns: Sequence[Column], grid: Sequence[Sequence[TableCell]]) -> list[str]:
    """Footnotes about rows, and about columns, that have the same runs under two names."""
    notes = []
    by_row = [(row.label, cells) for row, cells in zip(rows, grid, strict=True)]
    by_column = [(column.title, cells) for column, cells in zip(columns, zip(*grid, strict=True), strict=bool(rows))]
    for what, named in (("checkpoints have the same weights", by_row), ("tasks have the same data", by_column)):
        told: set[str] = set()  # a third name of the same runs is in the footnote of the first
        for number, (name, cells) in enumerate(named):
            if name in told:
                continue
            same = [other for other, theirs in named[number + 1 :] if other != name and _share(cells, theirs)]
            told.update(same)
            if same:
                notes.append(f"{', '.join([name, *same])}: these {what}, so the same runs are shown for each name.")
    return notes


def _share(cells: Iterable[TableCell], others: Iterable[TableCell]) -> bool:
    mine, theirs = ({run.run_id for cell in some for run in cell.runs} for some in (cells, others))
    return not mine.isdisjoint(theirs)
