"""A table as data frames and data files: a line for each run, for each cell, or for each checkpoint."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench import metrics
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column, TableRow
from medzoo.data.files.csv_cells import as_text
from medzoo.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

    from medzoo.bench.table.model import TableData

WIDE = ("mean", "sd", "low", "high", "n")  # of each cell
RUNS = (
    "checkpoint", "label", "weights_sha256", "task", "version", "title", "protocol", "mode", "fraction", "per_class", "size",
    "protocol_hash", "metric", "reported", "seed", "fold", "draw", "status", "value", "undefined", "n", "n_patients",
    "n_labels", "run_id", "path",
)  # fmt: skip
CELLS = (
    "checkpoint", "label", "weights_sha256", "task", "version", "title", "protocol", "mode", "fraction", "per_class",
    "protocol_hash", "metric", "higher_is_better", "reported", "mean", "low", "high", "sd", "values", "runs", "control", "delta",
    "delta_low", "delta_high", "p_holm", "comparisons", "verdict", "rank_first", "rank_last", "may_be_best", "within_noise",
    "noise_floor", "random_floor", "seen", "published", "source",
)  # fmt: skip


def runs_frame(table: TableData) -> pd.DataFrame:
    """A line for each run, with its file.

    Args:
        table: with its runs.
    """
    records = [
        (
            r.checkpoint, r.label, r.weights, c.task, c.version, c.title, c.protocol, c.mode, c.fraction, c.per_class,
            run.pixels, c.protocol_hash, c.metric, c.reported, None if cell.published else run.seed, run.fold, run.draw,
            "reported" if cell.published else run.status, run.value,
            run.undefined, run.n, run.n_patients, run.n_labels, run.run_id, None if run.path is None else str(run.path),
        )
        for r, c, cell in _placed(table)
        for run in cell.runs
    ]  # fmt: skip
    return _pandas().DataFrame(records, columns=RUNS)


def cells_frame(table: TableData) -> pd.DataFrame:
    """A line for each cell with results: mean, interval, difference to the control, ranks.

    Args:
        table: with its cells.
    """
    records = [_cell_record(r, c, cell) for r, c, cell in _placed(table) if cell.runs]
    return _pandas().DataFrame(records, columns=CELLS)


def wide_frame(table: TableData) -> pd.DataFrame:
    """A line for each checkpoint; mean, sd, interval and number of values of each cell are columns.

    Args:
        table: with its cells.
    """
    pd = _pandas()
    names = pd.MultiIndex.from_tuples(
        [(f"{c.title} {c.heading}", c.how, part) for c in table.columns for part in WIDE],
        names=["task", "protocol", "statistic"],
    )
    data = [[x for cell in cells for x in _wide(cell)] for cells in table.grid]
    return pd.DataFrame(data, index=pd.Index([r.label for r in table.rows], name="checkpoint"), columns=names)


def csv(table: TableData) -> str:
    """A line for each cell, as CSV with all digits.

    Args:
        table: with its cells.
    """
    frame = cells_frame(table)
    texts = {name: frame[name].map(as_text) for name in frame.select_dtypes(["object", "string"])}
    return str(frame.assign(**texts).to_csv(index=False, lineterminator="\n"))


def parquet(table: TableData, folder: Path | None = None) -> bytes:
    """A line for each run, as a Parquet file; equal tables give equal bytes.

    Args:
        table: with its runs.
        folder: of the file; paths of results are relative to it.
    """
    frame = runs_frame(table)
    frame["path"] = [None if path is None else table.link(path, folder) for path in _paths(table)]
    # a column without any value would have no type, and two tables then could not be joined
    whole = ("seed", "fold", "draw", "per_class", "size", "n", "n_patients", "n_labels")
    frame = frame.astype(dict.fromkeys(whole, "Int64") | {"value": "Float64", "undefined": "string"})
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


def _paths(table: TableData) -> list[Any]:
    return [run.path for *_, cell in _placed(table) for run in cell.runs]


def _placed(table: TableData) -> list[tuple[TableRow, Column, TableCell]]:
    return [
        (row, column, cell)
        for row, cells in zip(table.rows, table.grid, strict=True)
        for column, cell in zip(table.columns, cells, strict=True)
    ]


def _cell_record(row: TableRow, column: Column, cell: TableCell) -> tuple[Any, ...]:
    found, interval = cell.statistics, cell.interval
    contrast = None if found is None else found.contrast
    against = None if contrast is None else contrast.difference
    ranks = (None, None) if found is None or found.ranks is None else found.ranks
    floor = None if found is None else found.floor
    random = None if column.statistics is None else column.statistics.random
    return (
        row.checkpoint, row.label, row.weights, column.task, column.version, column.title, column.protocol, column.mode,
        column.fraction, column.per_class, column.protocol_hash, column.metric,
        metrics.metric(column.metric).higher_is_better, column.reported, cell.mean,
        None if interval is None else interval.low, None if interval is None else interval.high, cell.sd,
        *((len(cell.values), len(cell.runs)) if cell.published is None else (cell.published.n, cell.published.n)),
        None if contrast is None else contrast.control,
        *((None,) * 3 if against is None else (against.delta, against.low, against.high)),
        None if contrast is None else contrast.p_adjusted, None if contrast is None else contrast.family,
        None if against is None else against.verdict, *ranks,
        None if found is None or found.ranks is None else found.may_be_best,
        None if found is None or (floor, random) == (None, None) else found.within_noise, floor, random, cell.seen or None,
        None if cell.published is None else cell.published.worded(6), column.source or None,
    )  # fmt: skip


def _wide(cell: TableCell) -> tuple[float | None, ...]:
    low, high = (None, None) if cell.interval is None else (cell.interval.low, cell.interval.high)
    return cell.mean, cell.sd, low, high, len(cell.values)


def _pandas() -> Any:  # noqa: ANN401 - the module
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", "recipes", "A data frame") from error
    return pd
