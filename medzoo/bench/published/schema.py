"""Published numbers of a study: the form of a file in recipes/published/."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Literal

from medzoo.training.options.fields import option
from medzoo.training.options.protocol_options import Mode

Obtained = Literal["exact", "figure", "logs"]
MISSING_HERE = "not in medzoo"  # after the title of a checkpoint or data set that medzoo does not have


@dataclass(frozen=True)
class PublishedRow:
    """A pre-training of a study.

    Args:
        name: as the file's cells name it.
        checkpoint: name in medzoo; None if medzoo does not have it.
        title: in words; by default the name.
        note: what a reader should know.
    """

    name: str
    checkpoint: str | None = None
    title: str | None = None
    note: str = ""

    @property
    def label(self) -> str:
        """In words; it says if medzoo does not have the checkpoint.

        >>> PublishedRow("Scratch", title="GMML on NIH, 1 channel").label
        'GMML on NIH, 1 channel (not in medzoo)'
        """
        return (self.title or self.name) + ("" if self.checkpoint else f" ({MISSING_HERE})")


@dataclass(frozen=True)
class PublishedColumn:
    """A data set of a study with its metric.

    Args:
        name: as the file's cells name it.
        metric: name in medzoo.
        task: name in medzoo; None if medzoo does not have the data set.
        title: in words; by default the name.
        of: the label or structure that is measured, if it is one of several.
        protocol: name in medzoo, if it is not the table's.
        outside: why it has no task in medzoo.
        fraction: of the training data.
        test_images: number of test images (of each fold, if there are folds).
        test_positives: of a binary task.
        labels: number of labels that the value is a mean of.
        note: what a reader should know.
    """

    name: str
    metric: str
    task: str | None = None
    title: str | None = None
    of: str | None = None
    protocol: str | None = None
    outside: str = MISSING_HERE
    fraction: float = option("of the training data", 1.0, above=0, most=1)
    test_images: int | None = option("of the test split", None, least=1)
    test_positives: int | None = option("of the test split", None, least=1)
    labels: int = option("in the mean", 1, least=1)
    note: str = ""

    @property
    def label(self) -> str:
        """In words; it says why a data set has no task in medzoo."""
        return (self.title or self.name) + ("" if self.task else f" ({self.outside})")


@dataclass(frozen=True)
class PublishedCell:
    """The number of a pre-training on a data set.

    Args:
        row: name of a pre-training.
        column: name of a data set.
        runs: the value of each run, if they are published; else mean, sd and n.
        mean: over runs.
        sd: standard deviation over runs, with the table's ddof.
        n: number of runs.
        note: what a reader should know, such as a run that collapsed.
    """

    row: str
    column: str
    runs: tuple[float, ...] = ()
    mean: float | None = None
    sd: float | None = option("over runs", None, least=0)
    n: int | None = option("runs", None, least=1)
    note: str = ""


@dataclass(frozen=True)
class PublishedTest:
    """A test that the study printed, or that its logs give.

    Args:
        row: name of a pre-training.
        against: name of another one.
        column: name of a data set.
        p: two-sided, without correction.
        test: "welch" or "student".
    """

    row: str
    against: str
    column: str
    p: float = field(metadata={"least": 0, "most": 1})
    test: Literal["welch", "student"] = "welch"


@dataclass(frozen=True)
class PublishedTable:
    """A table or figure of a study.

    Args:
        name: unique in the file.
        title: in words.
        source: its address.
        obtained: "exact" from a table, "figure" read from a figure, "logs" computed from published logs.
        protocol: name in medzoo.
        mode: of the runs.
        columns: its data sets.
        cells: its numbers.
        error: of values read from a figure, in the unit of the values.
        scale: times a value, it is on medzoo's scale (0.01 for percent).
        ddof: of sd: 1 for the sample, 0 for the population; None if the study does not say.
        repeats: what a run is: another seed or another fold.
        runs: number of runs of each cell, if its cells do not say.
        names_of_runs: seeds or folds of the runs, in their order.
        tests: p values that the study published.
        note: what a reader should know.
    """

    name: str
    title: str
    source: str
    obtained: Obtained
    protocol: str
    columns: tuple[PublishedColumn, ...]
    cells: tuple[PublishedCell, ...]
    mode: Mode = "finetune"
    error: float | None = option("of values read from a figure", None, above=0)
    scale: float = option("to medzoo's scale", 1.0, above=0)
    ddof: int | None = option("of sd", None, least=0, most=1)
    repeats: Literal["seed", "fold"] = "seed"
    runs: int | None = option("of each cell", None, least=1)
    names_of_runs: tuple[int, ...] = ()
    tests: tuple[PublishedTest, ...] = ()
    note: str = ""

    def column(self, name: str) -> PublishedColumn:
        """The data set with this name."""
        return next(one for one in self.columns if one.name == name)

    def value(self, cell: PublishedCell) -> Value:
        """A cell's number on medzoo's scale; where runs are published, mean and sample sd are computed from them.

        Args:
            cell: of this table.
        """
        folds, figure = self.repeats == "fold", self.obtained == "figure"
        if cell.runs:
            runs = tuple(run * self.scale for run in cell.runs)
            sd = statistics.stdev(runs) if len(runs) > 1 else None
            return Value(statistics.fmean(runs), sd, len(runs), 1, runs, folds, figure)
        mean, sd = float(cell.mean or 0.0) * self.scale, None if cell.sd is None else cell.sd * self.scale
        return Value(mean, sd, cell.n or self.runs, self.ddof, (), folds, figure)

    def find(self, row: str, column: str) -> PublishedCell | None:
        """The cell of a pre-training and a data set, if there is one."""
        return next((one for one in self.cells if (one.row, one.column) == (row, column)), None)


@dataclass(frozen=True)
class Value:
    """A published number on medzoo's scale.

    Args:
        mean: over runs.
        sd: over runs.
        n: number of runs.
        ddof: of sd; None if it is not known.
        runs: the runs, if they are published.
        folds: whether the runs are folds.
        figure: whether it was read from a figure.
    """

    mean: float
    sd: float | None = None
    n: int | None = None
    ddof: int | None = None
    runs: tuple[float, ...] = ()
    folds: bool = False
    figure: bool = False

    @property
    def count(self) -> str:
        """The number of runs, such as "4" or "5 folds"; empty if it is not published."""
        return "" if self.n is None else f"{self.n} folds" if self.folds else f"{self.n}"

    def worded(self, digits: int) -> str:
        """Such as "0.8170 ± 0.0015", "0.9419 ± 0.0132 (5 folds)" or "0.792 (figure)".

        Args:
            digits: after the point.

        >>> Value(0.94194, 0.0132, 5, 1, folds=True).worded(4), Value(0.792, figure=True).worded(4)
        ('0.9419 ± 0.0132 (5 folds)', '0.7920 (figure)')
        """
        spread = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}" + f" ({self.count})" * bool(self.count) + " (figure)" * self.figure

    @property
    def sample_sd(self) -> float | None:
        """The sample sd (ddof 1); None if it cannot be computed."""
        if self.sd is None or self.ddof is None or self.n is None or self.n < 2:
            return None
        return self.sd if self.ddof == 1 else self.sd * (self.n / (self.n - 1)) ** 0.5


@dataclass(frozen=True)
class PublishedStudy:
    """The published numbers of a study.

    Args:
        title: authors and year.
        url: of the paper.
        checkpoints: its pre-trainings.
        tables: its tables.
        code: its repository.
        citation: the full reference.
        notes: outliers and contradictions of the source.
    """

    title: str
    url: str
    checkpoints: tuple[PublishedRow, ...]
    tables: tuple[PublishedTable, ...]
    code: str | None = None
    citation: str = ""
    notes: tuple[str, ...] = ()

    def row(self, name: str) -> PublishedRow:
        """The pre-training with this name in the file."""
        return next(one for one in self.checkpoints if one.name == name)

    def table(self, name: str) -> PublishedTable:
        """The table with this name in the file."""
        return next(one for one in self.tables if one.name == name)
