"""The details in the headings of a table's columns: mode, fraction, folds, size and more, where columns differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from medzoo.bench.table.model import Column

MODES = {  # longer names for modes
    "linear": "linear probe", "knn": "kNN probe", "ridge": "ridge probe", "attentive": "attentive probe",
    "head_grid": "grid of linear heads", "dense": "dense probe", "dense_knn": "dense kNN probe",
}  # fmt: skip


def _folds(column: Column) -> str:
    if column.folds is not None:
        return f"{column.folds}-fold cross-validation"
    return "" if column.fold is None else f"fold {column.fold}"


# in every heading, if any two columns of the table differ in it
EVERYWHERE: tuple[Callable[[Column], str], ...] = (
    lambda column: MODES.get(column.mode, column.mode),
    lambda column: column.part,
    _folds,
    lambda column: column.pixels,
    lambda column: f"protocol {column.protocol}",
)
# only in the headings of columns that are otherwise equal and differ in it
AMONG_EQUALS: tuple[Callable[[Column], str], ...] = (
    lambda column: f"uncertain labels: {column.data[2]}" if column.data and column.data[2] else "",
    lambda column: "random draws" if column.drawn else "",
    lambda column: f"version {column.version}",
    lambda column: f"protocol {column.protocol_hash[:8]}",
    lambda column: f"data {column.data[0][:8]}" if column.data else "",
    lambda column: f"split {column.data[1][:8]}" if column.data and column.data[1] else "",
)


def details(columns: Sequence[Column]) -> list[str]:
    """The details in the heading of each column, in addition to task and metric; empty if no columns differ.

    Args:
        columns: of one table.
    """
    full = [column for column in columns if column.metric]
    facets = [
        facet
        for facet in EVERYWHERE
        if len({facet(column) for column in full} - (set() if facet is _folds else {""})) > 1
    ]
    # a detail that the title already has, as in "BUSI, 5 per class", is not repeated
    parts = {
        column: [text for facet in facets if (text := facet(column)) and text not in column.title.split(", ")]
        for column in full
    }
    for facet in AMONG_EQUALS:
        groups: dict[tuple[str, ...], list[Column]] = {}
        for column in full:
            groups.setdefault((column.title, column.heading, *parts[column]), []).append(column)
        for group in groups.values():
            if len({facet(column) for column in group}) > 1:
                for column in group:
                    parts[column] += [text] if (text := facet(column)) else []
    return [", ".join(parts.get(column, [])) for column in columns]
