"""Marks of values whose test images may have been in the pre-training data of their checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from medzoo.bench.contamination.image_sources import image_sources, task_data
from medzoo.bench.contamination.measured import MeasuredOverlap, contamination
from medzoo.bench.table.cell import SEEN, TableCell
from medzoo.bench.table.checkpoint_facts import checkpoint_facts
from medzoo.bench.table.model import Column, TableRow

Grid = tuple[tuple[TableCell, ...], ...]


def with_contamination(
    rows: Sequence[TableRow], columns: Sequence[Column], grid: Grid, measured: Sequence[MeasuredOverlap] = ()
) -> Grid:
    """The cells, with what is known about test images in the pre-training data.

    Args:
        rows: of the table.
        columns: of the table.
        grid: of the table.
        measured: overlaps that were measured.
    """
    made = []
    for row, cells in zip(rows, grid, strict=True):
        data = checkpoint_facts(row.checkpoint, "").data
        made.append(
            tuple(
                replace(cell, seen=contamination(data, column.task, measured)) if cell.runs else cell
                for column, cell in zip(columns, cells, strict=True)
            )
        )
    return tuple(made)


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
