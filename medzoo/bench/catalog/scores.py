"""The scores of a store of results for a catalog: a column for each task and protocol, from the code of the table."""

from __future__ import annotations

import os
from collections.abc import Mapping

from medzoo.bench import metrics
from medzoo.bench.catalog.model import ListedScore, ScoreColumn
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column, TableRow
from medzoo.bench.table.table import table
from medzoo.data.task_registry import split_name, task_names
from medzoo.errors import MedzooError, ResultError
from medzoo.paths import plain_path
from medzoo.zoo.registry.checkpoint import Checkpoint


def score_columns(
    results: str | os.PathLike[str], entries: Mapping[str, Checkpoint]
) -> tuple[tuple[ScoreColumn, ...], int]:
    """All scores, without numbers that were copied from publications, and the number of their results.

    Args:
        results: the folder of a store.
        entries: the checkpoints of the registry, by name.

    Raises:
        ResultError: if the store has no results.
        UsageError: if it is not a folder.
    """
    folder = plain_path(results).expanduser()
    try:
        made = table(folder)
    except ResultError as error:
        if error.code != "no-results-for-table":
            raise
        raise ResultError(
            f"{folder} has no results. Give the folder that runs wrote with --results, or none for a catalog without scores.",
            code="catalog-without-results",
        ) from error
    columns = []
    for column, cells in zip(made.columns, zip(*made.grid, strict=True), strict=True):
        if not column.reported:
            columns.append(_column(column, list(zip(made.rows, cells, strict=True)), entries))
    runs = sum(len(cell.runs) for cells in made.grid for cell in cells if not cell.reported)
    return tuple(columns), runs


def _column(column: Column, rows: list[tuple[TableRow, TableCell]], entries: Mapping[str, Checkpoint]) -> ScoreColumn:
    found = [(row, cell) for row, cell in rows if cell.runs]
    ranked = [cell.statistics for _, cell in found if cell.statistics is not None and cell.statistics.ranks is not None]
    separated = any(not one.may_be_best for one in ranked)
    scores = [_score(column, row, cell, separated, entries) for row, cell in found]
    sign = -1 if metrics.metric(column.metric).higher_is_better else 1
    scores.sort(key=lambda one: (one.mean is None, sign * (one.mean or 0.0), one.checkpoint, one.weights or ""))
    return ScoreColumn(column.task, listed_task(column.task), column.heading, column.how, column.size, tuple(scores))


def _score(
    column: Column, row: TableRow, cell: TableCell, separated: bool, entries: Mapping[str, Checkpoint]
) -> ListedScore:
    marks = cell.marks if cell.mean is not None else ""
    text, _, rest = cell.worded(column.digits).removesuffix(cell.seen_mark).removesuffix(marks).partition(" ")
    interval, statistics = cell.interval, cell.statistics
    return ListedScore(
        row.checkpoint,
        registered_name(row.checkpoint, row.weights, entries),
        row.weights,
        text,
        rest.removesuffix("†").removesuffix("‡").removesuffix(f"({cell.count})").strip(),
        cell.count,
        cell.mean,
        None if interval is None else interval.low,
        None if interval is None else interval.high,
        separated and statistics is not None and statistics.may_be_best,
        statistics is not None and statistics.within_noise,
        cell.seen,
    )


def registered_name(name: str, weights: str | None, entries: Mapping[str, Checkpoint]) -> str:
    """The registry's name of a checkpoint in results; empty if it is another one.

    The sha256 of published weights decides. Weights that the registry has no sha256 of are known by their name.

    Args:
        name: in the results.
        weights: sha256; None for random weights.
        entries: the checkpoints of the registry, by name.
    """
    pinned = next((one for one in entries.values() if one.hub is not None and one.hub.sha256 == weights), None)
    if pinned is not None:
        return pinned.name
    found = entries.get(name) or next((one for one in entries.values() if name in one.alias), None)
    if found is None or found.hub is not None or found.random != (weights is None):
        return ""
    return found.name


def listed_task(task: str) -> str:
    """The catalog's name of a task in results; empty if medzoo does not know it.

    >>> listed_task("mimic_cxr,window=lung"), listed_task("folder:scans/knee"), listed_task("unknown")
    ('mimic_cxr', 'folder:PATH', '')
    """
    try:
        base, _, _ = split_name(task)
    except MedzooError:
        return ""
    return base if base in task_names() else ""
