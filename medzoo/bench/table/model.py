"""The parts of a table: runs, cells, rows and columns, and how each is worded."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from medzoo.bench import metrics

MISSING = "—"


@dataclass(frozen=True)
class Run:
    """One result as a table sees it: its value of the column's metric, or why there is none."""

    seed: int
    fold: int | None
    status: str
    value: float | None
    undefined: str | None
    run_id: str
    path: Path | None
    recipe: str  # what must be equal within a cell for a mean to mean something
    n: int | None = None
    n_patients: int | None = None
    n_labels: int | None = None
    of_labels: int | None = None
    pixels: int | None = None  # side of the input

    @property
    def name(self) -> str:
        """Such as "seed 1" or "seed 1, fold 0"."""
        return f"seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold}")

    def worded(self, digits: int) -> str:
        """The value, or the state of a run without one; the reason stands in a footnote."""
        if self.value is not None:
            return f"{self.value:.{digits}f}"
        return "undefined" if self.status == "ok" else self.status


@dataclass(frozen=True)
class TableRow:
    """A checkpoint: its name, and its weights where one name stands for several."""

    checkpoint: str
    weights: str | None
    label: str


@dataclass(frozen=True)
class Column:
    """A task under a protocol, read by one metric."""

    task: str
    version: str
    data: tuple[str, ...]  # fingerprint, split hash, label policy
    protocol: str
    mode: str
    fraction: float
    protocol_hash: str
    metric: str
    reported: bool
    title: str
    folds: int | None = None  # of a cross-validation, whose folds share the column
    fold: int | None = None  # the one fold of a column, where nothing says which cross-validation it belongs to
    place: int = 0  # among the tasks that were asked for
    size: str = ""  # such as "1,560 images, 780 patients"
    pixels: str = ""  # such as "224 px"
    detail: str = ""  # what tells the column from the others of its table

    @property
    def heading(self) -> str:
        """The metric with the direction in which it is better."""
        if not self.metric:
            return "no results yet"
        metric = metrics.metric(self.metric)
        text = f"{metric.title} {'↑' if metric.higher_is_better else '↓'}"
        return text + (" (reported)" if self.reported else "")

    @property
    def digits(self) -> int:
        """Digits after the point."""
        return metrics.metric(self.metric).digits if self.metric else 3

    @property
    def how(self) -> str:
        """Protocol, mode, share of the training patients, and the beginning of the protocol's hash."""
        if not self.metric:
            return ""
        share = "" if self.fraction == 1 else f", {self.fraction:.3g} of train"
        folds = "" if self.folds is None else f", {self.folds} folds"
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.protocol} {self.mode}{share}{folds}{fold} · {self.protocol_hash[:8]}"


@dataclass(frozen=True)
class TableCell:
    """The runs of a checkpoint in a column, and what can be said of them together."""

    runs: tuple[Run, ...] = ()
    reported: bool = False
    folds: int | None = None  # how many the cross-validation has; None without one

    @property
    def values(self) -> list[float]:
        """The values of runs that ended well."""
        return [run.value for run in self.runs if run.value is not None]

    @property
    def mixed(self) -> bool:
        """Whether its runs differ in more than seed and fold, so that they have no common mean."""
        places = [(run.seed, run.fold) for run in self.runs]
        return len({run.recipe for run in self.runs}) > 1 or len(set(places)) < len(places)

    @property
    def by_fold(self) -> dict[int | None, list[float]]:
        """The values of each fold: one a seed."""
        found: dict[int | None, list[float]] = {}
        for run in self.runs:
            if run.value is not None:
                found.setdefault(run.fold, []).append(run.value)
        return found

    @property
    def averaged(self) -> list[float]:
        """What the mean is taken over: the runs; of a cross-validation the folds, each the mean of its seeds."""
        return self.values if self.folds is None else [statistics.fmean(values) for values in self.by_fold.values()]

    @property
    def mean(self) -> float | None:
        """The mean over runs, or over folds; None without values, and where there should be none."""
        return statistics.fmean(self.averaged) if self.values and not self.mixed else None

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over runs, or over folds (n - 1); None below two."""
        return statistics.stdev(self.averaged) if len(self.averaged) > 1 and not self.mixed else None

    @property
    def missing_folds(self) -> list[int]:
        """The folds of a cross-validation that have no value here."""
        return [fold for fold in range(self.folds or 0) if fold not in self.by_fold]

    @property
    def incomplete(self) -> bool:
        """Whether some run, or some fold, has no value."""
        return len(self.values) < len(self.runs) or bool(self.missing_folds)

    @property
    def count(self) -> str:
        """How many values stand behind the mean: "3", "2/3", "5 folds", "4/5 folds x 3 seeds"."""
        if self.folds is None:
            return f"{len(self.values)}/{len(self.runs)}" if self.incomplete else f"{len(self.values)}"
        there = len(self.by_fold)
        folds = f"{there}/{self.folds} folds" if self.missing_folds else f"{there} folds"
        seeds = sorted({len(values) for values in self.by_fold.values()})
        if not seeds or seeds == [1]:
            return folds
        return f"{folds} x {seeds[0]} seeds" if len(seeds) == 1 else f"{folds} x {seeds[0]} to {seeds[-1]} seeds"

    def worded(self, digits: int) -> str:
        """Such as "0.912 ± 0.003 (3)", "0.912 (1)", "0.910 ± 0.001 (2/3)†", "diverged (0/3)†" or "—".

        >>> runs = [Run(seed, None, "ok", value, None, "", None, "") for seed, value in enumerate((0.9, 0.92))]
        >>> TableCell(tuple(runs)).worded(3), TableCell(tuple(runs[:1])).worded(3), TableCell().worded(3)
        ('0.910 ± 0.014 (2)', '0.900 (1)', '—')
        """
        if not self.runs:
            return MISSING
        if self.mixed:
            return f"mixed ({len(self.runs)})‡"
        count, mark = self.count, "†" if self.incomplete else ""
        if self.mean is None:
            return f"{', '.join(sorted({run.worded(digits) for run in self.runs}))} ({count}){mark}"
        if self.reported:
            return f"{self.mean:.{digits}f}"
        spread = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({count}){mark}"


@dataclass(frozen=True)
class TableData:
    """What a table holds; every number in it can be followed to the files it was computed from.

    Args:
        title: above the table.
        rows: the checkpoints.
        columns: the tasks, each with its metric and protocol.
        grid: a cell for each row and column.
        footnotes: below the table; those about the cells are written by `table`.
        root: links are relative to this folder until the table is written to one.
    """

    title: str
    rows: tuple[TableRow, ...]
    columns: tuple[Column, ...]
    grid: tuple[tuple[TableCell, ...], ...]
    footnotes: tuple[str, ...]
    root: Path

    @property
    def generator(self) -> str:
        """What made the table."""
        try:
            return f"medzoo {version('medzoo')}"
        except PackageNotFoundError:
            return "medzoo"

    def link(self, path: Path, folder: Path | None = None) -> str:
        """A result file as a link that holds in `folder`."""
        try:
            return quote(Path(os.path.relpath(path, folder or self.root)).as_posix(), safe="/@~")
        except ValueError:  # another drive
            return path.resolve().as_uri()
