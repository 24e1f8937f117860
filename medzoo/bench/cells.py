"""The parts of a table: runs, cells, rows and columns, and how each is worded."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

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
class Row:
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
    size: str = ""  # such as "1,560 images, 780 patients"

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
        return f"{self.protocol} {self.mode}{share} · {self.protocol_hash[:8]}"


@dataclass(frozen=True)
class Cell:
    """The runs of a checkpoint in a column, and what can be said of them together."""

    runs: tuple[Run, ...] = ()
    reported: bool = False

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
    def mean(self) -> float | None:
        """The mean over runs; None without values, and where there should be none."""
        return statistics.fmean(self.values) if self.values and not self.mixed else None

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over runs (n - 1); None below two values."""
        return statistics.stdev(self.values) if len(self.values) > 1 and not self.mixed else None

    @property
    def incomplete(self) -> bool:
        """Whether some run has no value."""
        return len(self.values) < len(self.runs)

    def worded(self, digits: int) -> str:
        """Such as "0.912 ± 0.003 (3)", "0.912 (1)", "0.910 ± 0.001 (2/3)†", "diverged (0/3)†" or "—".

        >>> runs = [Run(seed, None, "ok", value, None, "", None, "") for seed, value in enumerate((0.9, 0.92))]
        >>> Cell(tuple(runs)).worded(3), Cell(tuple(runs[:1])).worded(3), Cell().worded(3)
        ('0.910 ± 0.014 (2)', '0.900 (1)', '—')
        """
        if not self.runs:
            return MISSING
        if self.mixed:
            return f"mixed ({len(self.runs)})‡"
        count, mark = f"{len(self.values)}", ""
        if self.incomplete:
            count, mark = f"{count}/{len(self.runs)}", "†"
        if self.mean is None:
            return f"{', '.join(sorted({run.worded(digits) for run in self.runs}))} ({count}){mark}"
        if self.reported:
            return f"{self.mean:.{digits}f}"
        spread = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({count}){mark}"
