"""The rows and columns of a suite, filled from any store of results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medzoo.bench.suite import Suite
from medzoo.bench.table import rows_columns
from medzoo.bench.table.build import NO_CONTROLS, build
from medzoo.bench.table.table import Table, table, with_study


def named_table(
    suite: Suite,
    results: Path | None = None,
    *,
    title: str | None = None,
    metric: str | None = None,
    control: str | None = None,
    margin: float | None = None,
    statistics: bool = True,
    hub: str | os.PathLike[str] | None = None,
    duplicates: Sequence[Path] = (),
) -> Table:
    """The rows and columns of a suite, from any store of results; without results, only the numbers that its study published.

    A result has a place if its checkpoint, task, protocol and mode are those of the suite, whoever ran it.

    Args:
        suite: all its rows and columns appear.
        results: the folder of a store; None for an empty table.
        title: above the table; by default the suite's.
        metric: as for `table`.
        control: as for `table`; by default the suite's, and those of its rows.
        margin: as for `table`; by default the suite's, with its control.
        statistics: as for `table`.
        hub: as for `table`.
        duplicates: as for `table`.

    Raises:
        ResultError: as `table`.
        UsageError: as `table`.

    >>> from medzoo.bench.suites.read import load_suite
    >>> made = named_table(load_suite("juodelyte2023"))
    >>> [column.heading for column in made.columns][:3]
    ['no results yet', 'AUROC ↑ (reported)', 'AUROC ↑ (reported)']
    """
    loaded: list[tuple[Path | None, dict[str, Any]]] = []
    root = Path()
    if results is not None:
        loaded, root = rows_columns.load(results)
    fitting = [{**result, "path": path} for path, result in loaded if _fits(result, suite)]
    own = NO_CONTROLS if control else suite.controls
    chosen, limit = control or suite.control, margin if margin is not None or control else suite.margin
    rows, columns, title = suite.labels(), suite.titles(), title or suite.title
    if fitting:
        made = table(
            fitting,
            checkpoints=rows,
            tasks=columns,
            metric=metric or suite.metrics() or None,
            title=title,
            hub=hub,
            control=chosen,
            controls=own,
            margin=limit,
            statistics=statistics,
            duplicates=duplicates,
        )
    else:
        shown = list(columns.items())
        made = Table(
            *build([], rows=rows, columns=shown, title=title, root=root, control=chosen, controls=own, margin=limit)
        )
    left = len(loaded) - len(fitting)
    note = (f"{left} results of other protocols or modes are not shown.",) * bool(left)
    note += (f"{results} has no results.",) * (results is not None and not loaded)
    return with_study(replace(made, root=root, footnotes=(*made.footnotes, *note)), suite)


def _fits(result: dict[str, Any], suite: Suite) -> bool:
    protocol = result["identity"]["protocol"]
    return protocol["id"] in suite.protocols and protocol["mode"] in suite.modes()
