"""The cells of a column with the contributions of their patients, and with what permuted labels reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.statistics.bootstrap import RANKS
from medzoo.bench.statistics.influence import Contributions
from medzoo.bench.statistics.noise_floor import permuted_values
from medzoo.bench.statistics.stored import StoredRun, contributions_of_runs, read_run
from medzoo.bench.table.cell import Run, TableCell
from medzoo.bench.table.model import Column
from medzoo.bench.table.uncertainty.reliability import Reliability, reliability_of
from medzoo.errors import ResultError

PERMUTATIONS = 200
Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Measured:
    """A cell with the contributions of its patients; without them, the reason.

    Args:
        cell: its contributions; None without an interval.
        samples: of the test split.
        why: there are no contributions.
        folds: the mean of each fold over its seeds, by number of the fold; empty without folds.
        reliability: of its runs together.
        floor: what permuted labels reach in one of 40 cases; None without classes.
    """

    cell: Contributions | None
    samples: tuple[str, ...] = ()
    why: str = ""
    folds: Mapping[int, float] = field(default_factory=dict)
    reliability: Reliability = ()
    floor: float | None = None


def measured_cells(cells: Sequence[TableCell], column: Column, results: Results) -> list[Measured]:
    """The contributions of the cells of a column.

    Args:
        cells: of the column.
        column: of the table.
        results: the results by run_id.
    """
    made: list[Measured] = []
    shared: float | None = None  # ranks of any scores have the same floor, but for ties
    for cell in cells:
        found, first = _measured(cell, column, results)
        if found.cell is not None and first is not None:
            floor = shared if shared is not None else _floor(first, column)
            shared = floor if column.metric in RANKS else None
            found = replace(found, floor=floor)
        made.append(found)
    return made


def _measured(cell: TableCell, column: Column, results: Results) -> tuple[Measured, StoredRun | None]:
    """The contributions of a cell's runs, and its first run."""
    runs = [run for run in cell.runs if run.value is not None and run.path is not None]
    if not runs or cell.mixed or column.reported:
        return Measured(None), None
    try:
        stored = [read_run(run.path, results[run.run_id]) for run in runs if run.path is not None]
        if cell.repeated == "fold":
            folds = {fold: float(np.mean(values)) for fold, values in cell.by_repeat.items() if fold is not None}
            return Measured(None, folds=folds), stored[0]
        joined = contributions_of_runs(stored, column.metric, [run.value for run in runs if run.value is not None])
    except ResultError as error:
        return Measured(None, why=str(error)), None
    if cell.repeated == "draw":
        joined = _mean_of_seeds(joined, runs)
    reliability = reliability_of(stored, results[runs[0].run_id])
    return Measured(joined, stored[0].samples, reliability=reliability), stored[0]


def _mean_of_seeds(cell: Contributions, runs: Sequence[Run]) -> Contributions:
    """Draws of the training images are the runs of a few-shot cell; the seeds of a draw are averaged."""
    draws = sorted({run.draw for run in runs if run.draw is not None})
    members = [[place for place, run in enumerate(runs) if run.draw == draw] for draw in draws]
    values = np.array([cell.values[rows].mean() for rows in members])
    return replace(cell, values=values, vectors=np.stack([cell.vectors[rows].mean(axis=0) for rows in members]))


def _floor(run: StoredRun, column: Column) -> float | None:
    """What the scores of a run reach with permuted labels in one of 40 cases; only for tasks with classes."""
    if run.masks is not None or not column.metric:
        return None
    try:
        values = permuted_values(run.labels, run.scores, run.patients, column.metric, draws=PERMUTATIONS)
    except ResultError:
        return None
    higher = metrics.metric(column.metric).higher_is_better
    return None if np.isnan(values).any() else float(np.quantile(values, 0.975 if higher else 0.025))
