"""The scores of a checkpoint for its card, from stored results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo.bench import metrics
from medzoo.bench.results.known_task import registered_task
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column
from medzoo.bench.table.table import table


@dataclass(frozen=True)
class CardRows:
    """Rows for a card, and what has no row.

    Args:
        rows: plain dicts of the schema of a card's results.
        left_out: cells without a mean, with the reason.
    """

    rows: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]


def card_rows(results: Path, checkpoint: str, *, hub: str | os.PathLike[str] | None = None) -> CardRows:
    """The scores of a checkpoint: mean over seeds with a 95 % interval, one row for each task and protocol.

    Numbers that were copied from publications are left out.

    Args:
        results: a store of results.
        checkpoint: a name, or a folder; results belong to it by their weights.
        hub: directory hub for the name; by default MEDZOO_HUB.

    Raises:
        ResultError: if the store has no results of the checkpoint.
    """
    made = table(results, checkpoints=[checkpoint], hub=hub)
    rows, left_out = [], []
    for cells in made.grid:
        for column, cell in zip(made.columns, cells, strict=True):
            if not cell.runs or column.reported:
                continue
            if cell.mean is None:
                left_out.append(f"{column.title}, {column.how}: {cell.worded(column.digits)}")
            else:
                rows.append(_row(column, cell))
    return CardRows(tuple(sorted(rows, key=lambda row: (row["task"], row["protocol"], row["metric"]))), tuple(left_out))


def _row(column: Column, cell: TableCell) -> dict[str, Any]:
    known = registered_task(column.task)
    seeds = sorted({run.seed for run in cell.runs if run.value is not None})
    row: dict[str, Any] = {
        "task": column.task,
        "metric": column.metric,
        "value": cell.mean,
        "kind": None if known is None else known.kind,
        "split": "test",
        "protocol": column.how,
        "seeds": seeds,
        "n": _common([run.n for run in cell.runs]),
        "patients": _common([run.n_patients for run in cell.runs]),
        "note": _note(column, cell),
    }
    if cell.interval is not None and cell.interval.low is not None:
        row["ci"] = [cell.interval.low, cell.interval.high]
    elif cell.sd is not None and len(seeds) > 1 and not cell.repeated:
        row["sd"] = cell.sd
    if len(cell.runs) == 1:
        row["run"] = cell.runs[0].run_id
    return {key: value for key, value in row.items() if value is not None}


def _note(column: Column, cell: TableCell) -> str | None:
    """What a reader of the number has to know."""
    notes = []
    if cell.repeated:
        notes.append(f"mean over {cell.count}")
    if cell.incomplete:
        notes.append(f"{cell.count} runs have a value")
    if cell.interval is not None and cell.interval.left_out:
        notes.append(
            f"without {len(cell.interval.left_out)} labels that have fewer than 10 positive or negative patients"
        )
    if cell.statistics is not None and cell.statistics.within_noise:
        notes.append("permuted labels or random weights reach this value")
    if not metrics.metric(column.metric).higher_is_better:
        notes.append("lower is better")
    return "; ".join(notes) or None


def _common(values: Sequence[int | None]) -> int | None:
    """The value, if all runs have the same."""
    return values[0] if len(set(values)) == 1 else None
