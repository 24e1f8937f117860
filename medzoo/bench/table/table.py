"""A table of checkpoints x tasks, computed only from result files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo import store
from medzoo.bench import metrics
from medzoo.bench.contamination.measured import read_overlap
from medzoo.bench.published.read import load_published
from medzoo.bench.suite import short_task
from medzoo.bench.table import rows_columns
from medzoo.bench.table.build import NO_CONTROLS, Placed, build
from medzoo.bench.table.formats.frames import cells_frame, csv, parquet, runs_frame, wide_frame
from medzoo.bench.table.formats.latex import latex
from medzoo.bench.table.formats.text import markdown, text
from medzoo.bench.table.matching import match_checkpoints, match_tasks, task_key
from medzoo.bench.table.model import TableData
from medzoo.bench.table.page.render import html
from medzoo.bench.table.reported.columns import with_reported
from medzoo.errors import ResultError, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from medzoo.bench.suite import Suite, SuiteCell


class Table(TableData):
    """A table that can be written as text, Markdown, HTML, a data frame or a figure."""

    def to_text(self, width: int | None = None) -> str:
        """Plain text for a terminal.

        Args:
            width: of the terminal, characters; columns that do not fit go into further blocks. None makes one block.
        """
        return text(self, width)

    def to_markdown(self, folder: Path | None = None) -> str:
        """Markdown with the runs of each cell as links.

        Args:
            folder: of the file; links are relative to it.
        """
        return markdown(self, folder)

    def to_html(self, folder: Path | None = None) -> str:
        """One HTML page that needs no network: to sort, filter and group; cells open to show their runs and commands.

        Args:
            folder: of the file; links are relative to it.
        """
        return html(self, folder)

    def to_frame(self, form: Literal["long", "cells", "wide"] = "long") -> pd.DataFrame:
        """The table as a pandas frame.

        Args:
            form: "long" has a row for each run; "cells" for each cell with its statistics; "wide" for each checkpoint.
        """
        return {"long": runs_frame, "cells": cells_frame, "wide": wide_frame}[form](self)

    def to_csv(self) -> str:
        """CSV with a line for each cell: mean, interval, difference to the control, ranks."""
        return csv(self)

    def to_latex(self) -> str:
        """LaTeX for a paper; it needs the packages booktabs, amssymb and threeparttable."""
        return latex(self)

    def plot(self) -> Figure:
        """A figure with one panel for each column: every run as a dot, mean and sd, and the numbers."""
        from medzoo.bench.table.formats.plot import figure

        return figure(self)

    def to_png(self, path: Path | str) -> Path:
        """Write the figure as a PNG file, atomically."""
        from medzoo.bench.table.formats.plot import png

        store.write_bytes(Path(path), png(self))
        return Path(path)

    def write(self, folder: Path | str) -> dict[str, Path]:
        """Write table.md, .html, .png, .csv (a line for each cell), .tex and .parquet (a line for each run).

        Returns:
            The paths by "markdown", "html", "png", "csv", "latex" and "parquet".
        """
        folder = Path(folder)
        names = {"markdown": "md", "html": "html", "png": "png", "csv": "csv", "latex": "tex", "parquet": "parquet"}
        files = {form: folder / f"table.{suffix}" for form, suffix in names.items()}
        store.write_text(files["markdown"], self.to_markdown(folder))
        store.write_text(files["html"], self.to_html(folder))
        store.write_text(files["csv"], self.to_csv())
        store.write_text(files["latex"], self.to_latex())
        store.write_bytes(files["parquet"], parquet(self, folder))
        self.to_png(files["png"])
        return files


def table(
    results: rows_columns.Results,
    *,
    checkpoints: Sequence[str] | Mapping[str, str] | None = None,
    tasks: Sequence[str] | Mapping[str, str] | None = None,
    metric: str | Mapping[str, str] | None = None,
    title: str | None = None,
    footnotes: Sequence[str] = (),
    hub: str | os.PathLike[str] | None = None,
    control: str | None = None,
    controls: Mapping[str, Sequence[str]] = NO_CONTROLS,
    margin: float | None = None,
    statistics: bool = True,
    duplicates: Sequence[Path] = (),
) -> Table:
    """Compare results in a table: the mean over seeds with its 95 % interval, for each checkpoint and task.

    The interval includes other patients and other seeds; it needs the stored predictions. Without them, the sample standard
    deviation over seeds is shown.

    Folds of one cross-validation are averaged. Results belong to a checkpoint by their weights, not by its name; so a folder, a
    name on the Hub and an alias of one checkpoint give the same row.

    Args:
        results: the folder of a store; or result files, or dicts (with the file under "path", if there is one).
        checkpoints: rows in this order; a mapping gives labels; rows without results stay, empty. None takes all.
        tasks: columns in this order; a mapping gives titles. None takes all.
        metric: shown instead of the tasks' own; a mapping gives one for each task.
        title: above the table.
        footnotes: below the table, after those about the cells.
        hub: directory used instead of the Hub, for checkpoints in it; by default MEDZOO_HUB.
        control: name or label of a row; all others are compared with it, on the same patients.
        controls: of rows that are compared with other ones instead, by name: {"b": ["a"], "c": ["a", "b"]}. The table marks
            the verdict of the first; the differences to all are listed.
        margin: the largest difference that does not matter, chosen before the runs: smaller ones are called equivalent.
        statistics: False reads no predictions; intervals and comparisons are left out.
        duplicates: reports of `medzoo tasks duplicates TASK --against DATA --json`: values of checkpoints that were pre-trained on
            these data are marked by what was measured; the others by the names of their data.

    Raises:
        ResultError: if there is nothing to show, or a given file breaks the schema.
        UsageError: for a file that does not exist, and for two tasks with the same name in results.
        UnknownNameError: for an unknown metric.
    """
    loaded, root = rows_columns.load(results)
    row_labels, column_titles = rows_columns.names(checkpoints), rows_columns.names(tasks, short=True)
    by_task = {task_key(task): name for task, name in metric.items()} if isinstance(metric, Mapping) else {}
    for name in {*by_task.values(), *([metric] if isinstance(metric, str) else [])}:
        metrics.metric(name)

    # match each result to the requested rows and columns; a result may belong to several, or to none
    stored = [result for _, result in loaded]
    rows, columns = match_checkpoints(stored, row_labels, hub), match_tasks(stored, column_titles)
    order, placed, outside = list(column_titles), [], set()
    for (path, result), row_names, task_names in zip(loaded, rows.places, columns.places, strict=True):
        checkpoint, task = result["identity"]["checkpoint"]["id"], result["identity"]["task"]["id"]
        row_names = row_names if row_labels else [checkpoint]
        task_names = task_names if column_titles else [task]
        if not row_names or not task_names:
            outside.add(f"{checkpoint} on {task}")
        chosen = metric if isinstance(metric, str) else by_task.get(task_key(task), result["metric"])
        placed += [
            Placed(path, result, row, name, column_titles.get(name) or short_task(name), _place(name, order), chosen)
            for row in row_names
            for name in task_names
        ]
    if not placed and not (row_labels and column_titles):
        hidden = f" Not requested: {listed(sorted(outside), 5)}." if outside else ""
        raise ResultError(
            " ".join([f"There is no result for the table.{hidden}", *rows.notes]), code="no-results-for-table"
        )

    # build the table
    parts = build(
        placed,
        rows=row_labels,
        columns=list(column_titles.items()),
        title=title or "Results",
        root=root,
        notes=[*rows.notes, *footnotes],
        outside=outside,
        control=control,
        controls=controls,
        margin=margin,
        statistics=statistics,
        duplicates=[read_overlap(path) for path in duplicates],
    )
    made = Table(*parts)
    if metric and not any(run.n for cells in made.grid for cell in cells for run in cell.runs):
        raise ResultError(f"No result has the metric {metric!r}.", code="metric-missing")
    return made


def suite_table(
    suite: Suite, results: Iterable[tuple[SuiteCell, Path, Mapping[str, Any]]], footnotes: Sequence[str] = ()
) -> Table:
    """The table of a suite: the row and column of a result are those of its run in the suite, not those of its names.

    Args:
        suite: all its rows and columns appear.
        results: the runs that have a result, with its file.
        footnotes: below the table, after those about the cells.

    Published numbers of the suite's study are in columns of their own, next to those of the same task.
    """
    titles = [str(task["title"]) for task in suite.tasks]
    placed = [
        Placed(
            path,
            result,
            cell.checkpoint,
            cell.task,
            cell.title,
            titles.index(cell.title),
            cell.metric or result["metric"],
        )
        for cell, path, result in results
    ]
    tasks = [(str(task["name"]), title) for task, title in zip(suite.tasks, titles, strict=True)]
    root = rows_columns.common_folder([item.path for item in placed if item.path])
    made = build(
        placed, rows=suite.labels(), columns=tasks, title=suite.title, root=root, notes=footnotes, control=suite.control,
        controls=suite.controls, margin=suite.margin,
    )  # fmt: skip
    return with_study(Table(*made), suite)


def with_study(made: Table, suite: Suite) -> Table:
    """The table of a suite with the numbers that its study published.

    Args:
        made: of the suite.
        suite: may name a study.
    """
    return made if suite.published is None else with_reported(made, suite, load_published(suite.published))


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else 0
