"""What tells the columns of a table apart: mode, share, folds, size and more, where they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from medzoo.bench.table.model import Column

MODES = {"linear": "linear probe"}  # in words, where the name alone does not say it


def _folds(column: Column) -> str:
    if column.folds is not None:
        return f"{column.folds}-fold cross-validation"
    return "" if column.fold is None else f"fold {column.fold}"


# told in every heading of a table in which they differ
EVERYWHERE: tuple[Callable[[Column], str], ...] = (
    lambda column: MODES.get(column.mode, column.mode),
    lambda column: f"{100 * column.fraction:.3g} % of train",
    _folds,
    lambda column: column.pixels,
    lambda column: f"protocol {column.protocol}",
)
# told where columns of one task differ in them, one after another until all are told apart
AMONG_EQUALS: tuple[Callable[[Column], str], ...] = (
    lambda column: f"uncertain labels: {column.data[2]}" if column.data and column.data[2] else "",
    lambda column: f"version {column.version}",
    lambda column: f"protocol {column.protocol_hash[:8]}",
    lambda column: f"data {column.data[0][:8]}" if column.data else "",
    lambda column: f"split {column.data[1][:8]}" if column.data and column.data[1] else "",
)


def details(columns: Sequence[Column]) -> list[str]:
    """For each column, what its heading says beside task and metric; empty where there is nothing to tell apart.

    Args:
        columns: of one table.
    """
    full = [column for column in columns if column.metric]
    facets = [
        facet
        for facet in EVERYWHERE
        if len({facet(column) for column in full} - (set() if facet is _folds else {""})) > 1
    ]
    told = {column: [text for facet in facets if (text := facet(column))] for column in full}
    for facet in AMONG_EQUALS:
        groups: dict[tuple[str, ...], list[Column]] = {}
        for column in full:
            groups.setdefault((column.title, column.heading, *told[column]), []).append(column)
        for group in groups.values():
            if len({facet(column) for column in group}) > 1:
                for column in group:
                    told[column] += [text] if (text := facet(column)) else []
    return [", ".join(told.get(column, [])) for column in columns]
