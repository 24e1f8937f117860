"""The content of the page: the static rows, and the data for its script. Both come from the same cells."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from medzoo.bench import metrics
from medzoo.bench.contamination.image_sources import task_data
from medzoo.bench.suite import short_task
from medzoo.bench.table.cell import MISSING, Run, TableCell
from medzoo.bench.table.checkpoint_facts import FACETS, CheckpointFacts, checkpoint_facts
from medzoo.bench.table.headings import MODES
from medzoo.bench.table.model import Column, TableData, TableRow
from medzoo.bench.table.statistics import ControlDifference
from medzoo.bench.table.uncertainty.statistics_notes import column_lines

CHECKPOINT = "{checkpoint}"  # stands in a command for the name of the row's checkpoint


@dataclass(frozen=True)
class PageCell:
    """A cell in both forms.

    Args:
        main: the value, or why there is none.
        rest: interval or deviation, and the number of runs.
        marks: verdict and noise.
        tied: whether no checkpoint of the column is significantly better, if some are worse.
        seen: what is known about test images in the pre-training data.
        runs: name, value and link of each run.
        data: for the script; None for a missing cell.
    """

    main: str
    rest: str
    marks: str
    tied: bool
    seen: str
    runs: tuple[tuple[str, str, str], ...]
    data: dict[str, Any] | None


@dataclass(frozen=True)
class PageData:
    """The content of the page.

    Args:
        rows: each with its cells.
        columns: id, column, its parts for the heading, and its lines of statistics.
        data: for the script.
    """

    rows: tuple[tuple[TableRow, CheckpointFacts, tuple[PageCell, ...]], ...]
    columns: tuple[dict[str, Any], ...]
    data: dict[str, Any]

    @property
    def tied(self) -> bool:
        """Whether some cell is marked as one that may be the best."""
        return any(cell.tied for *_, cells in self.rows for cell in cells)

    @property
    def published(self) -> bool:
        """Whether a column has numbers of a publication."""
        return any(column["reported"] for column in self.columns)

    @property
    def seen(self) -> bool:
        """Whether some checkpoint is marked as pre-trained on images of a task."""
        return any(cell.seen for *_, cells in self.rows for cell in cells)


def page_data(table: TableData, folder: Path | None) -> PageData:
    """The content of a table's page.

    Args:
        table: with or without statistics.
        folder: of the page; links are relative to it.
    """
    texts = _Texts()
    below = list(zip(*table.grid, strict=True)) or [()] * len(table.columns)
    separated = [_is_separated(cells) for cells in below]
    rows, for_script = [], []
    for row, cells in zip(table.rows, table.grid, strict=True):
        architecture = next((run.architecture for cell in cells for run in cell.runs if run.architecture), "")
        facts = checkpoint_facts(row.checkpoint, architecture)
        made = tuple(
            _cell(table, row, column, cell, folder, texts, tied)
            for column, cell, tied in zip(table.columns, cells, separated, strict=True)
        )
        rows.append((row, facts, made))
        for_script.append(
            {
                "id": _id(row.checkpoint, row.weights),
                "label": row.label,
                "name": row.checkpoint,
                "word": shlex.quote(row.checkpoint),
                "parameters": facts.parameters,
                "facets": [facts.facets[name] for name in FACETS],
                "cells": [cell.data for cell in made],
            }
        )
    columns = tuple(_column(column, table.rows, cells) for column, cells in zip(table.columns, below, strict=True))
    _make_unique([*columns, *for_script])
    before = ""
    for column in columns:  # published numbers stand next to the column of their task
        base = task_data(column["column"].task)
        column["starts"] = base != before and any(one["reported"] for one in columns)
        before = base
    return PageData(
        tuple(rows),
        columns,
        {
            "title": table.title,
            "facets": [{"name": name, "title": title} for name, title in FACETS.items()],
            "columns": [
                {key: value for key, value in column.items() if key not in ("column", "lines", "starts")}
                for column in columns
            ],
            "rows": for_script,
            "texts": texts.known,
        },
    )


class _Texts:
    """Texts that occur often, by their number."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self._place: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text; a new one is added."""
        if text not in self._place:
            self._place[text] = len(self.known)
            self.known.append(text)
        return self._place[text]


def _id(*facts: object) -> str:
    """A short name for an address, the same for every table."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def _make_unique(parts: Sequence[dict[str, Any]]) -> None:
    """Give equal columns, as two requested names of one task have, different ids."""
    seen: dict[str, int] = {}
    for part in parts:
        seen[part["id"]] = count = seen.get(part["id"], 0) + 1
        part["id"] += f"-{count}" if count > 1 else ""


def _column(column: Column, rows: Sequence[TableRow], cells: Sequence[TableCell]) -> dict[str, Any]:
    """The facts of a column."""
    same = (column.task, column.version, column.data[:1], column.data[2:], column.protocol_hash, column.mode)
    curve = (*same, column.metric, column.per_class is None)
    found = metrics.metric(column.metric) if column.metric else None
    return {
        "column": column,
        "id": _id(*same, column.data, column.fraction, column.per_class, column.metric, column.reported, column.fold,
                  column.folds),
        "title": column.title,
        "task": short_task(column.task),
        "metric": found.title if found else "",
        "mode": MODES.get(column.mode, column.mode),
        "heading": column.heading,
        "detail": [part for part in column.detail.split(", ") if part],
        "best": 0 if found is None else 1 if found.higher_is_better else -1,
        "digits": column.digits + bool(column.source),
        "reported": column.reported,
        "curve": "" if column.reported or not column.metric else _id(*curve),
        "per_class": column.per_class is not None,
        "part": column.per_class if column.per_class is not None else column.fraction,
        "lines": column_lines(column, rows, cells),
    }  # fmt: skip


def _is_separated(cells: Sequence[TableCell]) -> bool:
    """Whether the statistics show that some checkpoint of a column is not the best."""
    ranked = [cell.statistics for cell in cells if cell.statistics is not None and cell.statistics.ranks is not None]
    return any(not one.may_be_best for one in ranked)


def _cell(
    table: TableData,
    row: TableRow,
    column: Column,
    cell: TableCell,
    folder: Path | None,
    texts: _Texts,
    separated: bool,
) -> PageCell:
    if not cell.runs:
        return PageCell(MISSING, "", "", False, "", (), None)
    marks = cell.marks if cell.mean is not None and not cell.reported else ""
    main, _, rest = cell.worded(column.digits).removesuffix(cell.seen_mark).removesuffix(marks).partition(" ")
    runs = tuple(
        (run.name, run.worded(column.digits + 1), table.link(run.path, folder) if run.path else "") for run in cell.runs
    )
    tied = separated and cell.statistics is not None and cell.statistics.may_be_best
    return PageCell(main, rest, marks.strip(), tied, cell.seen, runs, _cell_data(row, cell, main, texts, tied))


def _cell_data(row: TableRow, cell: TableCell, main: str, texts: _Texts, tied: bool) -> dict[str, Any]:
    """A cell for the script, with short keys and without what is absent."""
    data: dict[str, Any] = {"m": _short(cell.mean, 8), "n": cell.count, "sd": _short(cell.sd, 4)}
    if cell.mean is None:
        data["w"] = main
    if cell.interval is not None:
        data["i"] = [_short(cell.interval.low, 5), _short(cell.interval.high, 5)]
        data["why"] = texts.number(cell.interval.note) if cell.interval.note else None
    if (one := cell.statistics) is not None:
        data |= {"r": one.ranks, "t": tied, "noise": one.within_noise}
        data["v"] = [_short(value, 5) for value in one.run_values] or None
        data["rel"] = [_short(x, 3) for pair in one.reliability for x in pair] or None
        made = [_contrast(contrast, texts) for contrast in one.contrasts]
        data["d"], data["more"] = made[0] if made else None, made[1:] or None
    data["seen"] = texts.number(cell.seen) if cell.seen else None
    clocks = {f"{run.device}{', time of the device' * run.on_device}" for run in cell.runs if run.device}
    data["dev"] = texts.number("; ".join(sorted(clocks))) if clocks else None
    data["runs"] = [_run(row, run, texts) for run in cell.runs]
    return {key: value for key, value in data.items() if value is not None and value is not False and value != ""}


def _contrast(one: ControlDifference, texts: _Texts) -> list[Any]:
    """Difference, its ends, adjusted p, first letter of the verdict, and the number of the control's label."""
    found = one.difference
    numbers = [_short(value, 5) for value in (found.delta, found.low, found.high)]
    return [*numbers, _short(one.p_adjusted, 4), found.verdict[0], texts.number(one.control)]


def _run(row: TableRow, run: Run, texts: _Texts) -> list[Any]:
    """Value, seconds, predictions, and the numbers of both parts of the command; an inexact one has a third number."""
    facts: list[Any] = [_short(run.value, 5), _short(run.seconds, 3), int(run.has_predictions)]
    if run.command is not None:
        shared = [CHECKPOINT if word == row.checkpoint else word for word in run.command.shared]
        words = " ".join(word if word == CHECKPOINT else shlex.quote(word) for word in shared)
        facts += [texts.number(words), texts.number(shlex.join(run.command.own))]
        facts += [] if run.command.exact else [0]
    return facts


def _short(value: float | None, digits: int) -> float | None:
    """A number with fewer digits; None if it is not finite."""
    return None if value is None or not isfinite(value) else float(f"{value:.{digits}g}")
