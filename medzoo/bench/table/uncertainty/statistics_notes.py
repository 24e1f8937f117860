"""The statistics of a table in words: footnotes, and the lines about each column."""

from __future__ import annotations

from collections.abc import Sequence

from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column, TableRow
from medzoo.bench.table.statistics import CellStatistics, ControlDifference, digits_of
from medzoo.errors import listed

LEAST_TASKS = 6  # with fewer, no test can separate two checkpoints across tasks


def statistics_notes(
    rows: Sequence[TableRow],
    columns: Sequence[Column],
    grid: Sequence[Sequence[TableCell]],
    margin: float | None = None,
) -> list[str]:
    """Footnotes: how to read the intervals and marks, and what is missing.

    Args:
        rows: of the table.
        columns: of the table.
        grid: of the table.
        margin: the largest difference that does not matter.
    """
    cells = [
        (row, column, cell)
        for row, of in zip(rows, grid, strict=True)
        for column, cell in zip(columns, of, strict=True)
    ]
    found = [(row, column, cell.statistics) for row, column, cell in cells if cell.statistics is not None]
    notes = []
    if any(one.interval is not None and one.interval.low is not None for *_, one in found):
        notes.append(
            "[low, high]: 95 % interval of the mean for other patients and other seeds (n); with one run, for other patients "
            "only. Digits follow its width."
        )
    compared = [(row, one.contrasts) for row, _, one in found if one.contrasts]
    if compared:
        family = max(one.family for _, contrasts in compared for one in contrasts)
        notes.append(
            f"▲ better, ▼ worse than {_controls(compared)} on the same patients"
            + (f"; ≈ equivalent: the difference is within ±{margin:g}, also where it is not zero" if margin else "")
            + f". No mark: undecided, which does not mean equal. The level of 5 % of ▲ and ▼ holds for all {family} comparisons "
            "together (Holm)"
            + ("; each ≈ is tested alone" if margin else "")
            + ". Intervals of differences are not corrected for their number: one can exclude 0 where the verdict is undecided."
        )
    if any(one.within_noise for *_, one in found):
        notes.append(
            "~: within the noise: with permuted labels, 1 of 40 values is this good, or the mean of random weights is (of the same "
            "architecture, if there is one)."
        )
    without = [
        f"{row.label} on {column.title} ({one.interval.note})"
        for row, column, one in found
        if one.interval is not None and one.interval.low is None
    ]
    if without:
        notes.append(f"Without an interval: {listed(without, 6)}.")
    apart = [
        f"{rows[place].label} on {column.title}"
        for column in columns
        if column.statistics is not None
        for place in column.statistics.not_compared
    ]
    if apart:
        notes.append(
            f"Not compared, so without a mark (this row or its control has no result, no predictions, or other test images): "
            f"{listed(apart, 6)}."
        )
    if any(one.difference.runs == (1, 1) and one.p_adjusted is not None for _, _, of in found for one in of.contrasts):
        notes.append("A comparison of single runs is for other patients only: other seeds may give another verdict.")
    if left_out := [
        f"{column.title} (mean of {one.interval.labels} of {one.interval.labels + len(one.interval.left_out)} labels)"
        for _, column, one in found
        if one.interval is not None and one.interval.left_out
    ]:
        notes.append(
            f"Labels with fewer than 10 positive or negative patients are not in the mean: {', '.join(dict.fromkeys(left_out))}."
        )
    notes += [
        f"{column.title}: {listed(column.statistics.notes, 2)}"
        for column in columns
        if column.statistics is not None and column.statistics.notes
    ]
    ranked = [column for column in columns if column.statistics is not None and column.statistics.winner is not None]
    tasks = len({column.task for column in ranked})
    if ranked and len(rows) > 1 and tasks < LEAST_TASKS:
        notes.append(
            f"{tasks} task{'s' * (tasks > 1)}: too few to rank the checkpoints across tasks; see the ranks of each task."
        )
    return notes


def column_lines(column: Column, rows: Sequence[TableRow], cells: Sequence[TableCell]) -> list[str]:
    """What a column shows: the best checkpoints, ranks, the smallest difference that it can show, and its noise floor.

    Args:
        column: of the table.
        rows: of the table.
        cells: of the column.
    """
    statistics = column.statistics
    if statistics is None:
        return []
    lines = []
    known = [(row, cell.statistics) for row, cell in zip(rows, cells, strict=True) if cell.statistics is not None]
    ranked = [(row, one) for row, one in known if one.ranks is not None]
    if ranked:
        best = [row.label for row, one in ranked if one.may_be_best]
        lines.append(
            f"may be the best: {'; '.join(best)}"
            if len(best) < len(ranked)
            else "each may be the best: no difference shown"
        )
        lines.append(f"ranks: {'; '.join(f'{row.label} {_span(one)}' for row, one in ranked)}")
    if statistics.not_ranked:
        labels = listed([rows[place].label for place in statistics.not_ranked], 6)
        lines.append(f"not ranked (without predictions, with other test images, or without an interval): {labels}")
    if statistics.winner is not None and statistics.winner_value is not None and len(ranked) > 1:
        label = rows[statistics.winner].label
        lines.append(f"best mean, corrected for having been chosen: {label} {statistics.winner_value:.3f}")
    if statistics.resolution is not None:
        lines.append(statistics.resolution.worded)
    if floors := [one.floor for _, one in known if one.floor is not None]:
        least, most = f"{min(floors):.3f}", f"{max(floors):.3f}"
        reached = least if least == most else f"{least} to {most}, depending on the checkpoint,"
        lines.append(f"permuted labels reach {reached} in one of 40 cases")
    if statistics.random is not None:
        lines.append(f"random weights reach {statistics.random:.3f} (mean)")
    return lines


def _controls(compared: Sequence[tuple[TableRow, Sequence[ControlDifference]]]) -> str:
    """The control that the marks are about; of several, each with the number of its rows."""
    marked: dict[str, set[TableRow]] = {}
    for row, contrasts in compared:
        marked.setdefault(contrasts[0].control, set()).add(row)
    if len(marked) == 1:
        return next(iter(marked))
    counts = [f"{len(rows)} row{'s' * (len(rows) > 1)} with {label}" for label, rows in marked.items()]
    return f"the control of the row (compared are {'; '.join(counts)})"


def differences(
    rows: Sequence[TableRow], columns: Sequence[Column], grid: Sequence[Sequence[TableCell]]
) -> list[tuple[str, ...]]:
    """The comparisons with controls: a line of headings, and one for each comparison; no lines without comparisons.

    A comparison has checkpoint, task, difference with interval, adjusted p and verdict, and its control if there are several.

    Args:
        rows: of the table.
        columns: of the table.
        grid: of the table.
    """
    made = [
        (
            row.label,
            one.control,
            f"{column.title} ({column.detail})" if column.detail else column.title,
            *_worded(one, column),
        )
        for row, cells in zip(rows, grid, strict=True)
        for column, cell in zip(columns, cells, strict=True)
        for one in (cell.statistics.contrasts if cell.statistics is not None else ())
    ]
    if not made:
        return []
    several = len({control for _, control, *_ in made}) > 1
    lines: list[tuple[str, ...]] = [("checkpoint", "compared with", "task", "difference", "p (Holm)", "verdict"), *made]
    return lines if several else [(line[0], *line[2:]) for line in lines]


def _worded(one: ControlDifference, column: Column) -> tuple[str, str, str]:
    """The difference with its interval, the adjusted p and the verdict."""
    found = one.difference
    if found.low is None or found.high is None:
        return f"{found.delta:+.3f}", "—", f"{found.verdict}: {found.note}"
    digits = digits_of(found.high - found.low, column.digits)
    span = f"{found.delta:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
    p = "—" if one.p_adjusted is None else "< 0.001" if one.p_adjusted < 0.001 else f"{one.p_adjusted:.3f}"
    return span, p, found.verdict


def _span(one: CellStatistics) -> str:
    first, last = one.ranks or (0, 0)
    return f"{first}" if first == last else f"{first}–{last}"
