"""The statistics of a table's columns, from the stored predictions of their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import median

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.statistics.comparison import Comparison, Verdict, compare_cells, difference, p_value
from medzoo.bench.statistics.crossed import Estimate
from medzoo.bench.statistics.hypothesis_tests import holm, nadeau_bengio
from medzoo.bench.statistics.influence import Contributions
from medzoo.bench.statistics.intervals import Interval, interval_of
from medzoo.bench.statistics.ranking import ranking
from medzoo.bench.statistics.resolution import Resolution, resolution
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column
from medzoo.bench.table.statistics import CellStatistics, ColumnStatistics, ControlDifference
from medzoo.bench.table.uncertainty.measured import Measured, Results, measured_cells

LEVEL = 0.95


def with_statistics(
    columns: Sequence[Column],
    grid: Sequence[Sequence[TableCell]],
    results: Results,
    *,
    labels: Sequence[str] = (),
    controls: Sequence[Sequence[int]] = (),
    margin: float | None = None,
) -> tuple[list[Column], list[list[TableCell]]]:
    """The columns and cells with their statistics.

    Args:
        columns: of the table.
        grid: of the table, a row for each checkpoint.
        results: the results by run_id.
        labels: of the rows.
        controls: of each row, the rows that it is compared with; empty compares none.
        margin: the largest difference that does not matter, chosen before the runs.

    Returns:
        New columns and a new grid. The p-values of all comparisons with controls are adjusted together (Holm).
    """
    made_columns: list[Column] = []
    made: list[list[TableCell]] = [list(cells) for cells in grid]
    differences: dict[tuple[int, int, int], Comparison] = {}  # row, column, control
    for place, column in enumerate(columns):
        below = [cells[place] for cells in grid]
        measured = measured_cells(below, column, results)
        is_random = [_is_random(cell, results) for cell in below]
        cells, of_column = _column(measured, below, column, is_random)
        without: list[int] = []
        for row, others in enumerate(controls):
            for other in others:
                if (found := _against(measured[row], measured[other], column, margin)) is not None:
                    differences[row, place, other] = found
                elif below[row].mean is not None and not column.reported and row not in without:
                    without.append(row)
        if without:
            of_column = replace(of_column or ColumnStatistics(), not_compared=tuple(without))
        for row, statistics in enumerate(cells):
            if statistics is not None:
                statistics = replace(statistics, reliability=measured[row].reliability)
            made[row][place] = replace(below[row], statistics=statistics)
        made_columns.append(replace(column, statistics=of_column))

    # one family of comparisons in the whole table
    tested = [key for key, found in differences.items() if found.p is not None]
    adjusted = dict(zip(tested, holm([differences[key].p or 0.0 for key in tested]), strict=True))
    for key, found in differences.items():
        row, place, other = key
        cell = made[row][place]
        before = cell.statistics or CellStatistics()
        compared = _adjusted(found, columns[place], adjusted.get(key))
        contrast = ControlDifference(labels[other], compared, adjusted.get(key), len(tested))
        made[row][place] = replace(cell, statistics=replace(before, contrasts=(*before.contrasts, contrast)))
    return made_columns, made


def _column(
    measured: Sequence[Measured], cells: Sequence[TableCell], column: Column, is_random: Sequence[bool]
) -> tuple[list[CellStatistics | None], ColumnStatistics | None]:
    """The statistics of each cell of a column without a control, and those of the column."""
    if not any(one.cell is not None or one.folds for one in measured):
        reasons = tuple(dict.fromkeys(one.why for one in measured if one.why))
        return [None] * len(measured), ColumnStatistics(notes=reasons) if reasons else None
    intervals = [_interval(one, column) for one in measured]
    statistics = [
        None if found is None else CellStatistics(interval=found, run_values=_run_values(one, found), floor=one.floor)
        for one, found in zip(measured, intervals, strict=True)
    ]
    of_column = ColumnStatistics(
        notes=tuple(dict.fromkeys(one.why for one in measured if one.why)),
        random=_best([cell for cell, random in zip(cells, is_random, strict=True) if random], column),
    )

    # ranks and resolution need cells with the same patients
    samples = next((one.samples for one in measured if one.cell is not None), ())
    places = [row for row, one in enumerate(measured) if _is_comparable(one, samples)]
    if len(places) > 1:
        some = [measured[row].cell for row in places]
        known = [cell for cell in some if cell is not None]
        higher = metrics.metric(column.metric).higher_is_better
        pairs = {(i, j): difference(known[i], known[j]) for i, j in combinations(range(len(known)), 2)}
        found = ranking(known, {pair: p_value(one) for pair, one in pairs.items()}, higher, LEVEL)
        for number, row in enumerate(places):
            statistics[row] = replace(
                statistics[row] or CellStatistics(), ranks=found.ranks[number], may_be_best=number in found.best
            )
        of_column = replace(
            of_column,
            winner=places[found.winner],
            winner_value=found.winner_value,
            resolution=_resolution(known, pairs),
            not_ranked=tuple(row for row, cell in enumerate(cells) if cell.mean is not None and row not in places),
        )
    statistics = [
        one
        if one is None
        else replace(
            one, within_noise=_is_noise(cell, one.floor, column, None if random else _alike(cell, cells, is_random))
        )
        for one, cell, random in zip(statistics, cells, is_random, strict=True)
    ]
    return statistics, of_column


def _is_comparable(one: Measured, samples: tuple[str, ...]) -> bool:
    cell = one.cell
    if cell is None or cell.lacking or cell.patients < 2 or one.samples != samples:
        return False
    return not np.isnan(cell.values).any()


def _run_values(one: Measured, interval: Interval) -> tuple[float, ...]:
    """The runs over the labels of the mean, if it leaves labels out."""
    return tuple(map(float, one.cell.values)) if one.cell is not None and interval.left_out and interval.labels else ()


def _interval(one: Measured, column: Column) -> Interval | None:
    if one.cell is not None:
        return interval_of(one.cell, column.metric, LEVEL)
    if len(one.folds) < 2:
        return None
    found = nadeau_bengio(list(one.folds.values()), _test_per_train(column), LEVEL)
    return Interval(found.mean, found.low, found.high, found.df, len(one.folds), 0, found.name)


def _test_per_train(column: Column) -> float:
    """Test images per training image of a cross-validation."""
    return 1 / (max(column.folds or 2, 2) - 1)


def _is_random(cell: TableCell, results: Results) -> bool:
    """Whether the runs of a cell start from random weights."""
    starts = {results[run.run_id]["identity"]["checkpoint"]["init"] for run in cell.runs if run.run_id in results}
    return starts == {"random"}


def _alike(cell: TableCell, cells: Sequence[TableCell], is_random: Sequence[bool]) -> list[TableCell]:
    """The cells of random weights with the architecture of a cell; those of all architectures, if there are none."""
    of_random = [one for one, random in zip(cells, is_random, strict=True) if random]
    mine = {run.architecture for run in cell.runs}
    return [one for one in of_random if {run.architecture for run in one.runs} == mine] or of_random


def _best(cells: Sequence[TableCell], column: Column) -> float | None:
    """The best of several means."""
    means = [cell.mean for cell in cells if cell.mean is not None]
    if not means:
        return None
    return max(means) if metrics.metric(column.metric).higher_is_better else min(means)


def _is_noise(cell: TableCell, floor: float | None, column: Column, random: Sequence[TableCell] | None) -> bool:
    """Whether permuted labels, or random weights, reach a mean."""
    if cell.mean is None:
        return False
    reached = [floor, _best(random or (), column)]
    higher = metrics.metric(column.metric).higher_is_better
    return any(one is not None and (cell.mean <= one if higher else cell.mean >= one) for one in reached)


def _resolution(cells: Sequence[Contributions], pairs: Mapping[tuple[int, int], Estimate]) -> Resolution | None:
    """Of a typical pair: the one with the median standard error."""
    middle = median(found.se for found in pairs.values())
    pair, found = min(pairs.items(), key=lambda item: abs(item[1].se - middle))
    runs = min(len(cells[place].values) for place in pair)
    return resolution(found, runs, cells[0].patients) if found.se else None


def _against(one: Measured, control: Measured, column: Column, margin: float | None) -> Comparison | None:
    if one.cell is not None and control.cell is not None and one.samples == control.samples:
        return compare_cells(one.cell, control.cell, column.metric, margin, LEVEL)
    common = sorted(one.folds.keys() & control.folds.keys())
    if len(common) < 2:
        return None

    # on the folds that both have: another fold has other patients
    values, ratio = [one.folds[fold] - control.folds[fold] for fold in common], _test_per_train(column)
    found = nadeau_bengio(values, ratio, LEVEL)
    verdict: Verdict = "undecided"
    if margin is not None:  # two one-sided tests at 5 % are an interval of 90 %
        within = nadeau_bengio(values, ratio, 2 * LEVEL - 1)
        verdict = "equivalent" if -margin < within.low and within.high < margin else verdict
    note = found.name if len(common) == column.folds else f"{found.name}, {len(common)} folds that both have"
    return Comparison(
        found.mean, found.low, found.high, found.p, verdict, found.df, runs=(len(common), len(common)), note=note
    )


def _adjusted(found: Comparison, column: Column, p: float | None) -> Comparison:
    """The comparison with the verdict of its adjusted p-value."""
    higher = metrics.metric(column.metric).higher_is_better
    if found.verdict == "equivalent" or p is None:
        return found
    verdict: Verdict = "undecided" if p >= 1 - LEVEL else "better" if (found.delta > 0) == higher else "worse"
    return replace(found, verdict=verdict)
