"""The parts of a table: rows, columns, and the whole."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from medzoo.bench import metrics
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.statistics import ColumnStatistics


@dataclass(frozen=True)
class TableRow:
    """A checkpoint: its name, its weights and its label."""

    checkpoint: str
    weights: str | None
    label: str


@dataclass(frozen=True)
class Column:
    """A task under a protocol, with one metric."""

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
    folds: int | None = None  # number of folds of a cross-validation; its folds share the column
    fold: int | None = None  # the only fold of a column, if its cross-validation is not known
    per_class: int | None = None  # training images per class (few-shot)
    drawn: bool = False  # its runs have numbered draws of the training images, which share the column
    place: int = 0  # position among the requested tasks
    size: str = ""  # such as "1,560 images, 780 patients"
    pixels: str = ""  # such as "224 px"
    detail: str = ""  # the facts in which the column differs from others of its table
    statistics: ColumnStatistics | None = field(default=None, compare=False)
    source: str = ""  # of published numbers

    @property
    def heading(self) -> str:
        """The metric with an arrow for the better direction."""
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
    def part(self) -> str:
        """The part of the training images, such as "5 per class" or "10 % of train"."""
        return f"{100 * self.fraction:.3g} % of train" if self.per_class is None else f"{self.per_class} per class"

    @property
    def how(self) -> str:
        """Protocol, mode, part of the training images, and the first digits of the protocol's hash."""
        if not self.metric:
            return ""
        share = "" if self.fraction == 1 else f", {self.fraction:.3g} of train"
        share += "" if self.per_class is None else f", {self.per_class} per class"
        folds = "" if self.folds is None else f", {self.folds} folds"
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.protocol} {self.mode}{share}{folds}{fold} · {self.protocol_hash[:8]}"


@dataclass(frozen=True)
class TableData:
    """The content of a table; every number in it has links to the files it was computed from.

    Args:
        title: above the table.
        rows: the checkpoints.
        columns: the tasks, each with its metric and protocol.
        grid: a cell for each row and column.
        footnotes: below the table.
        root: links are relative to this folder, until the table is written to another folder.
    """

    title: str
    rows: tuple[TableRow, ...]
    columns: tuple[Column, ...]
    grid: tuple[tuple[TableCell, ...], ...]
    footnotes: tuple[str, ...]
    root: Path

    @property
    def generator(self) -> str:
        """The name and version of the program that made the table."""
        try:
            return f"medzoo {version('medzoo')}"
        except PackageNotFoundError:
            return "medzoo"

    def link(self, path: Path, folder: Path | None = None) -> str:
        """A link to a result file, relative to `folder`."""
        try:
            return quote(Path(os.path.relpath(path, folder or self.root)).as_posix(), safe="/@~")
        except ValueError:  # another drive
            return path.resolve().as_uri()
