"""The tests that the studies used, on the rows of a table, so that their tables can be rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medzoo.bench.published.schema import Value
from medzoo.bench.statistics.hypothesis_tests import population_sd, two_sample_t, welch, welch_of_summaries
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column, TableData

TITLE = "As in the study; uncorrected"
NOTES = (
    "Both tests compare runs only. They ignore that all runs share the test images, that several rows are compared with one "
    "control (no correction), and that folds share training images.",
    "Student: two-sample t test with equal variances (Hosseinzadeh Taher et al.). Welch: without (Jonske et al.).",
)


@dataclass(frozen=True)
class StudyTest:
    """A row against the control in one column.

    Args:
        row: label.
        column: title with its heading.
        reported: whether the numbers are the study's.
        mean: of the row.
        population_sd: of the row's runs (n, not n - 1).
        runs: of the row.
        control_mean: of the control.
        delta: row minus control.
        welch: p value, two-sided; None without runs or standard deviations.
        student: p value, two-sided; None without runs or standard deviations.
        why: there are no p values.
    """

    row: str
    column: str
    reported: bool
    mean: float
    population_sd: float | None
    runs: int | None
    control_mean: float
    delta: float
    welch: float | None
    student: float | None
    why: str = ""


def study_tests(table: TableData, control: int) -> list[StudyTest]:
    """The studies' tests of all rows against the control, column by column.

    Args:
        table: with columns of own or published numbers.
        control: position of the control's row.
    """
    found = []
    for place, column in enumerate(table.columns):
        theirs = table.grid[control][place]
        for number, row in enumerate(table.rows):
            cell = table.grid[number][place]
            if number == control or cell.mean is None or theirs.mean is None:
                continue
            found.append(_test(row.label, column, cell, theirs))
    return found


def _test(label: str, column: Column, cell: TableCell, control: TableCell) -> StudyTest:
    one, two = _value(cell), _value(control)
    title = ", ".join(filter(None, [column.title, column.heading, column.detail]))
    p, student, why = None, None, ""
    if len(one.runs) > 1 and len(two.runs) > 1:
        p, student = welch(one.runs, two.runs).p, two_sample_t(one.runs, two.runs).p
    elif one.sample_sd is not None and two.sample_sd is not None and one.n and two.n:
        p = welch_of_summaries((one.mean, one.sample_sd, one.n), (two.mean, two.sample_sd, two.n)).p
    elif one.n is None or two.n is None:
        why = "the number of runs is not published"
    else:
        why = "fewer than two runs, or no standard deviation"
    spread = population_sd(one.runs) if len(one.runs) > 1 else one.sd if one.ddof == 0 else None
    return StudyTest(
        label, title, column.reported, one.mean, spread, one.n, two.mean, one.mean - two.mean, p, student, why
    )


def _value(cell: TableCell) -> Value:
    if cell.published is not None:
        return cell.published
    runs = tuple(cell.averaged)
    return Value(cell.mean or 0.0, cell.sd, len(runs), 1, runs)


def _p(value: float | None) -> str:
    return "—" if value is None else "<0.0001" if value < 0.0001 else f"{value:.4f}"


def text(tests: Sequence[StudyTest], control: str) -> str:
    """The tests as text.

    Args:
        tests: of a table.
        control: label of its control.
    """
    lines = [(f"against {control}", "column", "mean ± population sd (n)", "difference", "Welch p", "Student p")]
    for one in tests:
        spread = "" if one.population_sd is None else f" ± {one.population_sd:.4f}"
        count = "" if one.runs is None else f" ({one.runs})"
        p = [_p(value) for value in (one.welch, one.student)]
        lines.append((one.row, one.column, f"{one.mean:.4f}{spread}{count}", f"{one.delta:+.4f}", p[0], p[1]))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    made = ["  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    why = [f"—: {reason}." for reason in dict.fromkeys(one.why for one in tests if one.why)]
    return "\n".join([TITLE, "", *made, "", *NOTES, *why]) + "\n"


def markdown(tests: Sequence[StudyTest], control: str) -> str:
    """The tests as a Markdown page.

    Args:
        tests: of a table.
        control: label of its control.
    """
    lines = [f"# {TITLE}", "", f"Against {control}.", ""]
    lines += ["| checkpoint | column | mean | population sd | n | difference | p (Welch) | p (Student) |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for one in tests:
        cells = [one.population_sd, one.runs, one.delta]
        words = ["—" if x is None else str(x) if isinstance(x, int) else f"{x:.4f}" for x in cells]
        words += [_p(one.welch), _p(one.student)]
        lines.append("| " + " | ".join([one.row, one.column, f"{one.mean:.4f}", *words]) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in NOTES), ""])
