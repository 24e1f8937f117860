"""Put the published numbers of a study next to the columns of a table. They are never part of a mean, a test or a rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from medzoo.bench import metrics
from medzoo.bench.published.schema import (
    PublishedCell,
    PublishedColumn,
    PublishedStudy,
    PublishedTable,
    Value,
)
from medzoo.bench.suite import Suite
from medzoo.bench.table.cell import Run, TableCell
from medzoo.bench.table.headings import details
from medzoo.bench.table.model import Column, TableData, TableRow
from medzoo.data.task_registry import split_name
from medzoo.errors import MedzooError
from medzoo.zoo.registry.registry import info, is_known

AnyTable = TypeVar("AnyTable", bound=TableData)
Key = tuple[str, str, str, str, float]  # data set, structure, metric, protocol, fraction


@dataclass
class _Reported:
    """A column of published numbers, joined from the tables of a study.

    Args:
        column: as the first table describes it.
        protocol: name in medzoo.
        cells: table and cell of each pre-training; those with the smallest error come first.
    """

    column: PublishedColumn
    protocol: str
    cells: dict[str, list[tuple[PublishedTable, PublishedCell]]]


def with_reported(table: AnyTable, suite: Suite, study: PublishedStudy) -> AnyTable:
    """The table with the study's numbers in columns of their own, behind the column of the same task.

    Args:
        table: of the suite.
        suite: whose protocols and mode choose the tables of the study.
        study: its published numbers.
    """
    joined = _joined(study, suite)
    if not joined:
        note = f"The published numbers of {study.title} are of other protocols or another mode than this suite."
        return replace(table, footnotes=(*table.footnotes, note))
    labels = {row.checkpoint: row for row in table.rows}
    shown = {study.row(name).checkpoint or study.row(name).label for one in joined for name in one.cells}
    more = [
        TableRow(row.checkpoint or row.label, None, row.label if row.checkpoint is None else row.title or row.name)
        for row in study.checkpoints
        if (row.checkpoint or row.label) in shown and (row.checkpoint or row.label) not in labels
    ]
    rows = (*table.rows, *more)

    # each published column goes behind the last column of its task
    columns: list[Column] = list(table.columns)
    below: list[list[TableCell]] = [
        [cells[place] for cells in table.grid] + [TableCell()] * len(more) for place in range(len(columns))
    ]
    for one in joined:
        place = _place(one, columns)
        columns.insert(place, _column(one, columns[place - 1].place if place else 0))
        below.insert(place, [_cell(one, study, row) for row in rows])
    detailed = [replace(column, detail=text) for column, text in zip(columns, details(columns), strict=True)]
    grid = tuple(tuple(cells[row] for cells in below) for row in range(len(rows)))
    notes = (*table.footnotes, *_notes(study, joined))
    return replace(table, rows=tuple(rows), columns=tuple(detailed), grid=grid, footnotes=notes)


def _joined(study: PublishedStudy, suite: Suite) -> list[_Reported]:
    """One column for each data set, metric, protocol and fraction of the study."""
    found: dict[Key, _Reported] = {}
    for table in study.tables:
        if table.mode not in suite.modes():
            continue
        for column in table.columns:
            protocol = column.protocol or table.protocol
            if protocol not in suite.protocols:
                continue
            key = (column.task or column.label, column.of or "", column.metric, protocol, column.fraction)
            one = found.setdefault(key, _Reported(column, protocol, {}))
            for cell in table.cells:
                if cell.column == column.name:
                    one.cells.setdefault(cell.row, []).append((table, cell))
    for one in found.values():
        for cells in one.cells.values():
            cells.sort(key=lambda pair: pair[0].error or 0.0)
    return list(found.values())


def _place(one: _Reported, columns: Sequence[Column]) -> int:
    """Behind the last column of the same task; else at the end."""
    task = one.column.task
    same = [place for place, column in enumerate(columns) if task is not None and _base(column.task) == _base(task)]
    return same[-1] + 1 if same else len(columns)


def _base(task: str) -> str:
    try:
        return split_name(task)[0]
    except MedzooError:
        return task


def _column(one: _Reported, place: int) -> Column:
    pairs = [pair for cells in one.cells.values() for pair in cells]
    folds = max((len(table.names_of_runs) for table, _ in pairs if table.repeats == "fold"), default=None)
    sources = dict.fromkeys(table.source for table, _ in pairs)
    facts = one.column.note, f"{one.column.labels} labels" * (one.column.labels > 1)
    return Column(
        one.column.task or one.column.label,
        "",
        (),
        one.protocol,
        pairs[0][0].mode,
        one.column.fraction,
        "",
        one.column.metric,
        True,
        one.column.label,
        folds=folds,
        place=place,
        source="; ".join([*filter(None, facts), *sources]),
    )


def _cell(one: _Reported, study: PublishedStudy, row: TableRow) -> TableCell:
    """The study's number of a row; the one with the smallest error, if it was published twice."""
    for name, cells in one.cells.items():
        checkpoint = study.row(name).checkpoint
        if row.checkpoint == study.row(name).label or (checkpoint and _same(row.checkpoint, checkpoint)):
            table, cell = cells[0]
            value = table.value(cell)
            return TableCell(_runs(table, value), True, published=value)
    return TableCell()


def _same(name: str, checkpoint: str) -> bool:
    return name == checkpoint or (is_known(name) and info(name).name == checkpoint)


def _runs(table: PublishedTable, value: Value) -> tuple[Run, ...]:
    """The published runs, or one entry for their mean."""
    if not value.runs:
        return (Run(0, None, "ok", value.mean, None, "", None, "", label=f"published mean ({table.title})"),)
    named, fold = len(table.names_of_runs) == len(value.runs), table.repeats == "fold"
    numbers = table.names_of_runs if named else range(1, len(value.runs) + 1)
    word = table.repeats if named else "run"
    return tuple(
        Run(0 if fold else number, number if fold else None, "ok", found, None, "", None, "", label=f"{word} {number}")
        for number, found in zip(numbers, value.runs, strict=True)
    )


def _notes(study: PublishedStudy, joined: Sequence[_Reported]) -> list[str]:
    """How to read the published numbers, and what is known about them."""
    tables = {table.name: table for one in joined for cells in one.cells.values() for table, _ in cells}.values()
    notes = [
        f"(reported): {study.title}, {study.url}. Copied from the study, not run here, and not part of any mean, test or rank."
    ]
    if any(cell.runs for table in tables for cell in table.cells):
        notes.append("(reported), with a number of runs: mean ± sample standard deviation over the published runs.")
    if any(cell.sd is not None for table in tables for cell in table.cells):
        kind = {0: "population ", 1: "sample "}.get(next((t.ddof for t in tables if t.ddof is not None), 2), "")
        notes.append(f"(reported), without a number of runs: mean ± {kind}standard deviation as printed by the study.")
    if errors := sorted({table.error * table.scale for table in tables if table.error is not None}):
        notes.append(
            f"(figure): read from a figure of the study, with an error of about {' or '.join(f'{e:g}' for e in errors)}."
        )
    notes += [f"(reported) {text}" for text in _contradictions(joined)]
    cells = [(one, name, cell) for one in joined for name, pairs in one.cells.items() for _, cell in pairs[:1]]
    notes += [f"(reported) {name} on {one.column.label}: {cell.note}." for one, name, cell in cells if cell.note]
    return [*notes, *(f"Study: {text}" for text in study.notes)]


def _contradictions(joined: Sequence[_Reported]) -> list[str]:
    """Numbers that the study gives twice, and that differ by more than the error of reading."""
    found = []
    for one in joined:
        digits = metrics.metric(one.column.metric).digits + 1
        for name, ((table, cell), *others) in one.cells.items():
            value = table.value(cell).mean
            for other, theirs in others:
                mean = other.value(theirs).mean
                reach = ((table.error or 0) + (other.error or 0)) * table.scale + 1e-9
                if abs(mean - value) > reach:
                    found.append(
                        f"{name} on {one.column.label}: {value:.{digits}f} in {table.title!r}, "
                        f"{mean:.{digits}f} in {other.title!r}."
                    )
    return found
