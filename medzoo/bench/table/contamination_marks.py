"""Marks of values whose test images may have been in the pre-training data of their checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from medzoo.bench.contamination.image_sources import image_sources, task_data
from medzoo.bench.contamination.measured import MeasuredOverlap, contamination, is_of
from medzoo.bench.table.cell import SEEN, TableCell
from medzoo.bench.table.checkpoint_facts import UNKNOWN, checkpoint_facts
from medzoo.bench.table.model import Column, TableRow

Grid = tuple[tuple[TableCell, ...], ...]


def with_contamination(
    rows: Sequence[TableRow],
    columns: Sequence[Column],
    grid: Grid,
    names: Mapping[str, str],
    measured: Sequence[MeasuredOverlap] = (),
) -> Grid:
    """The cells, with what is known about test images in the pre-training data.

    Args:
        rows: of the table.
        columns: of the table.
        grid: of the table.
        names: the checkpoint in each result, by run_id: a row may have a path or an address of it.
        measured: overlaps that were measured.
    """
    made = []
    for row, cells in zip(rows, grid, strict=True):
        data = _data_of(row, cells, names)
        made.append(
            tuple(
                replace(cell, seen=contamination(data, column.task, measured)) if cell.runs else cell
                for column, cell in zip(columns, cells, strict=True)
            )
        )
    return tuple(made)


def _data_of(row: TableRow, cells: Sequence[TableCell], names: Mapping[str, str]) -> list[str]:
    """The pre-training data of a row, by the name of the row and by those in its results."""
    ids = [row.checkpoint, *(names[run.run_id] for cell in cells for run in cell.runs if run.run_id in names)]
    data = [name for one in dict.fromkeys(ids) for name in checkpoint_facts(one, "").data]
    return [name for name in dict.fromkeys(data) if name != UNKNOWN]


def unused_reports(
    rows: Sequence[TableRow],
    columns: Sequence[Column],
    grid: Grid,
    names: Mapping[str, str],
    measured: Sequence[MeasuredOverlap],
) -> list[str]:
    """Footnotes about overlaps that belong to no cell of the table.

    Args:
        rows: of the table.
        columns: of the table.
        grid: of the table.
        names: as for `with_contamination`.
        measured: overlaps that were measured.
    """
    if not measured:
        return []
    tasks = {task_data(column.task) for column in columns}
    data = {name for row, cells in zip(rows, grid, strict=True) for name in _data_of(row, cells, names)}
    return [
        f"The report of copies of {one.task} in {one.data} belongs to no value: no column has this task, or no checkpoint has "
        f"{one.data} in its name."
        for one in measured
        if one.task not in tasks or not any(is_of(one, name) for name in data)
    ]


def contamination_notes(rows: Sequence[TableRow], columns: Sequence[Column], grid: Grid) -> list[str]:
    """Footnotes about the marked values, with the sources of what they say.

    Args:
        rows: of the table.
        columns: of the table.
        grid: of the table.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for row, cells in zip(rows, grid, strict=True):
        for column, cell in zip(columns, cells, strict=True):
            if cell.seen:
                labels = found.setdefault((column.task, cell.seen), [])
                labels += [row.label] * (row.label not in labels)
    if not found:
        return []
    titles = {column.task: column.title for column in columns}
    notes = [
        f"{SEEN}: the pre-training may have had test images. "
        + " ".join(f"{titles[task]}: {seen} ({'; '.join(labels)})." for (task, seen), labels in found.items())
        + " A value without this mark may be of seen images too."
    ]
    for task in dict.fromkeys(task for task, _ in found):
        if (known := image_sources().get(task_data(task))) is not None:
            where = ", ".join(name for name in known.collections if name != task_data(task))
            notes.append(f"{titles[task]} is from {where}: {known.part} ({known.source}).")
    return notes
