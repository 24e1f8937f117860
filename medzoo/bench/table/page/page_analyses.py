"""The stored analyses of a table's tasks, as tabs of its page."""

from __future__ import annotations

from dataclasses import dataclass

from medzoo.bench.analyses.record import StoredAnalysis, stored_analyses
from medzoo.bench.analyses.section import ShownAnalysis, shown
from medzoo.bench.table.model import TableData

DEPTH = 3  # folders of a result in its store: task, checkpoint, protocol


@dataclass(frozen=True)
class AnalysisTab:
    """A tab with all comparisons of one analysis.

    Args:
        id: for the address.
        title: of the analysis.
        parts: one for each comparison.
    """

    id: str
    title: str
    parts: tuple[ShownAnalysis, ...]


def analysis_tabs(table: TableData) -> tuple[AnalysisTab, ...]:
    """The analyses in the stores of the table's results, of its tasks, by analysis.

    Args:
        table: with results of stores; other results have no analyses.
    """
    paths = [run.path for cells in table.grid for cell in cells for run in cell.runs if run.path]
    roots = dict.fromkeys(path.parents[DEPTH] for path in paths if len(path.parents) > DEPTH)
    tasks = {column.task for column in table.columns}
    found = [one for root in roots for one in stored_analyses(root) if one.content["identity"]["task"]["id"] in tasks]
    grouped: dict[str, list[StoredAnalysis]] = {}
    for one in sorted(found, key=lambda one: (one.content["identity"]["task"]["id"], one.subjects)):
        grouped.setdefault(one.name, []).append(one)
    return tuple(
        AnalysisTab(name, ones[0].content["title"], tuple(shown(ones))) for name, ones in sorted(grouped.items())
    )
