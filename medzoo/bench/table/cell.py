"""A value of a table: its runs, their mean and spread, and their texts."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from medzoo.bench.published.schema import Value
from medzoo.bench.statistics.intervals import Interval
from medzoo.bench.table.run_command import RunCommand
from medzoo.bench.table.statistics import MARKS, CellStatistics, digits_of

MISSING = "—"
SEEN = "§"  # mark of a value whose test images may have been in the pre-training data


@dataclass(frozen=True)
class Run:
    """One result in a table: its value of the column's metric, or the reason why it has none."""

    seed: int
    fold: int | None
    status: str
    value: float | None
    undefined: str | None
    run_id: str
    path: Path | None
    recipe: str  # facts that must be equal for all runs of a cell; otherwise the cell has no mean
    n: int | None = None
    n_patients: int | None = None
    n_labels: int | None = None
    of_labels: int | None = None
    pixels: int | None = None  # side of the input
    draw: int | None = None  # number of the random part of the training images
    architecture: str = ""
    seconds: float | None = None  # of the device if it was measured, else of the clock
    on_device: bool = False  # whether `seconds` is of the device
    device: str = ""
    has_predictions: bool = False  # in a file next to the result
    command: RunCommand | None = None  # makes the run again
    label: str = ""  # of a published number

    @property
    def name(self) -> str:
        """Such as "seed 1" or "seed 1, fold 0" or "seed 1, draw 0"."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        return self.label or f"seed {self.seed}{fold}" + ("" if self.draw is None else f", draw {self.draw}")

    def worded(self, digits: int) -> str:
        """The value, or the status of a run without a value; a footnote gives the reason."""
        if self.value is not None:
            return f"{self.value:.{digits}f}"
        return "undefined" if self.status == "ok" else self.status


@dataclass(frozen=True)
class TableCell:
    """The runs of a checkpoint in a column, with their mean and spread."""

    runs: tuple[Run, ...] = ()
    reported: bool = False
    folds: int | None = None  # number of folds of the cross-validation; None without one
    drawn: bool = False  # its runs have numbered draws of the training images
    statistics: CellStatistics | None = None
    seen: str = ""  # what is known about test images in the pre-training data
    published: Value | None = None  # of a study; shown as it was published

    @property
    def values(self) -> list[float]:
        """The values of the runs that have one."""
        return [run.value for run in self.runs if run.value is not None]

    @property
    def shown_values(self) -> list[float]:
        """The values of the runs whose mean is shown: over the same labels as the mean."""
        run_values = () if self.statistics is None else self.statistics.run_values
        return list(run_values) or self.values

    @property
    def mixed(self) -> bool:
        """Whether its runs differ in more than seed, fold and draw, so that they have no common mean."""
        seeds = [(run.seed, run.fold, run.draw) for run in self.runs]
        return len({run.recipe for run in self.runs}) > 1 or len(set(seeds)) < len(seeds)

    @property
    def repeated(self) -> str:
        """What repeats besides the seed: "fold", "draw" or nothing."""
        return "fold" if self.folds is not None else "draw" if self.drawn else ""

    @property
    def by_repeat(self) -> dict[int | None, list[float]]:
        """The values of each fold, or of each draw, one for each seed."""
        values: dict[int | None, list[float]] = {}
        for run in self.runs:
            if run.value is not None:
                values.setdefault(run.draw if self.repeated == "draw" else run.fold, []).append(run.value)
        return values

    @property
    def averaged(self) -> list[float]:
        """The values of which the mean is taken: the runs; or the folds or draws, each the mean of its seeds."""
        return [statistics.fmean(values) for values in self.by_repeat.values()] if self.repeated else self.values

    @property
    def mean(self) -> float | None:
        """The mean over runs, or over folds or draws; None without values and for mixed runs.

        Labels with too few patients for an interval are not in it.
        """
        if self.published is not None:
            return self.published.mean
        if self.interval is not None and self.interval.left_out and self.interval.labels:
            return self.interval.mean
        return statistics.fmean(self.averaged) if self.values and not self.mixed else None

    @property
    def sd(self) -> float | None:
        """The sample standard deviation (n - 1) over runs, or over folds or draws; None for fewer than two values."""
        found = statistics.stdev(self.averaged) if len(self.averaged) > 1 and not self.mixed else None
        return found if self.published is None else self.published.sd

    @property
    def interval(self) -> Interval | None:
        """For other patients and other seeds, if the predictions are stored."""
        return None if self.statistics is None else self.statistics.interval

    @property
    def shows_interval(self) -> bool:
        """Whether its text has an interval."""
        return self.interval is not None and self.interval.low is not None and self.mean is not None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The ends of its bar in a plot: the interval, or one standard deviation to both sides; None without either."""
        found = self.interval
        if found is not None and found.low is not None and found.high is not None:
            return found.low, found.high
        return None if self.mean is None or self.sd is None else (self.mean - self.sd, self.mean + self.sd)

    @property
    def shows_sd(self) -> bool:
        """Whether its text has a standard deviation."""
        return self.sd is not None and not self.shows_interval and self.published is None

    @property
    def missing_folds(self) -> list[int]:
        """The folds of a cross-validation that have no value."""
        return [fold for fold in range(self.folds or 0) if fold not in self.by_repeat]

    @property
    def incomplete(self) -> bool:
        """Whether some run, or some fold, has no value."""
        return len(self.values) < len(self.runs) or bool(self.missing_folds)

    @property
    def count(self) -> str:
        """The number of values in the mean: "3", "2/3", "5 folds", "4/5 folds x 3 seeds", "10 draws"."""
        if self.published is not None:
            return self.published.count
        if not self.repeated:
            return f"{len(self.values)}/{len(self.runs)}" if self.incomplete else f"{len(self.values)}"
        done, of = len(self.by_repeat), self.folds or len({run.draw for run in self.runs})
        repeats = f"{done}/{of}" if done < of else f"{done}"
        repeats += f" {self.repeated}{'s' * (repeats != '1')}"
        seeds = sorted({len(values) for values in self.by_repeat.values()})
        if not seeds or seeds == [1]:
            return repeats
        return f"{repeats} x {seeds[0]} seeds" if len(seeds) == 1 else f"{repeats} x {seeds[0]} to {seeds[-1]} seeds"

    def worded(self, digits: int) -> str:
        """Such as "0.912 ± 0.003 (3)", "0.912 (1)", "0.910 ± 0.001 (2/3)†", "diverged (0/3)†" or "—".

        >>> runs = [Run(seed, None, "ok", value, None, "", None, "") for seed, value in enumerate((0.9, 0.92))]
        >>> TableCell(tuple(runs)).worded(3), TableCell(tuple(runs[:1])).worded(3), TableCell().worded(3)
        ('0.910 ± 0.014 (2)', '0.900 (1)', '—')
        """
        if not self.runs:
            return MISSING
        if self.published is not None:
            return self.published.worded(digits + 1)
        if self.mixed:
            return f"mixed ({len(self.runs)})‡"
        count, mark = self.count, "†" if self.incomplete else ""
        if self.mean is None:
            return f"{', '.join(sorted({run.worded(digits) for run in self.runs}))} ({count}){mark}"
        if self.reported:
            return f"{self.mean:.{digits}f}"
        found = self.interval
        if found is not None and found.low is not None and found.high is not None:
            digits = digits_of(found.high - found.low, digits)
            spread = f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
        else:
            spread = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({count}){mark}{self.marks}{self.seen_mark}"

    @property
    def marks(self) -> str:
        """The marks of the statistics: the verdict against the control, and ~ for a value within the noise."""
        if self.statistics is None:
            return ""
        against = self.statistics.difference
        return ("" if against is None else MARKS[against.verdict]) + (" ~" if self.statistics.within_noise else "")

    @property
    def seen_mark(self) -> str:
        """The mark of a value whose test images may have been in the pre-training data."""
        return f" {SEEN}" if self.seen else ""
