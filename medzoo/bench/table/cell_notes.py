"""The footnotes about the values of a table: how to read them, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medzoo.bench.suites.axes import DRAWS
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column, TableRow
from medzoo.errors import listed


def cell_notes(
    rows: Sequence[TableRow], columns: Sequence[Column], grid: Sequence[Sequence[TableCell]], outside: Iterable[str]
) -> list[str]:
    """The footnotes about the cells.

    Args:
        rows: of the table.
        columns: of the table.
        grid: of the table.
        outside: results that were not requested, in words.
    """
    placed = [
        (row, column, cell)
        for row, cells in zip(rows, grid, strict=True)
        for column, cell in zip(columns, cells, strict=True)
    ]
    notes = []

    # how to read the numbers
    if any(cell.shows_sd and cell.folds is not None for *_, cell in placed):
        notes.append(
            "(n folds): mean ± sample standard deviation over the n folds of a cross-validation; (n folds x k seeds): each fold "
            "is the mean of its k seeds. This is not a confidence interval for other patients: folds share training data."
        )
    drawn = [cell for *_, cell in placed if cell.repeated == "draw" and cell.values]
    if drawn:
        notes.append(
            "(n draws): mean ± sample standard deviation over n random draws of the training images, the same draws for every "
            "checkpoint; (n draws x k seeds): each draw is the mean of its k seeds. Validation and test are complete in every "
            "draw, so the penalty or the epoch is selected with more labels than a draw has."
        )
        if any(len(cell.by_repeat) < DRAWS for cell in drawn):
            notes.append(f"With fewer than {DRAWS} draws, mean and deviation depend much on the draws.")
    if any(cell.shows_sd and not cell.repeated for *_, cell in placed):
        notes.append(
            "mean ± sample standard deviation (n) over n runs with different seeds. The deviation is the spread between runs; it "
            "is not a confidence interval for other patients."
        )
    if any(len(cell.runs) == 1 and cell.values and not cell.reported for *_, cell in placed):
        notes.append("A value with (1) is a single run.")

    # runs and folds without a value
    without_value = [
        f"{row.label} on {column.title}, {run.name}: {run.undefined or run.status}"
        if run.status == "ok"
        else f"{row.label} on {column.title}, {run.name}: {run.status}"
        + (f" ({run.undefined})" if run.undefined else "")
        for row, column, cell in placed
        for run in cell.runs
        if run.value is None
    ]
    without_fold = [
        f"{row.label} on {column.title}: fold {', '.join(map(str, cell.missing_folds))}"
        for row, column, cell in placed
        if cell.runs and cell.missing_folds
    ]
    if without_fold:
        notes.append(
            f"† (k/n folds): only k of n folds have a value, and the mean is over those. Without: {'; '.join(without_fold)}."
        )
    if without_value:
        notes.append(
            f"† (k/n): only k of n runs have a value, and the mean is over those. Without: {'; '.join(without_value)}."
        )

    # other marks
    if any(cell.mixed for *_, cell in placed):
        notes.append(
            "‡ the runs differ in input or initial weights, or a seed occurs twice: no common mean; see the runs."
        )
    if any(column.reported for column in columns):
        notes.append("(reported): copied from a publication, not run here, and not part of any mean.")
    if any(not cell.runs for *_, cell in placed):
        notes.append("—: no result.")
    if any(" @" in row.label for row in rows):
        notes.append("@: one name has several weights; the digits are the first of their sha256.")
    if hidden := sorted(outside):
        notes.append(f"Not shown, because not requested: {listed(hidden, 6)}.")
    return notes
