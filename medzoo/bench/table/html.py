"""A table as one HTML page: offline, sortable, light and dark, each cell opens to show its runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench.table.model import Column, TableCell

if TYPE_CHECKING:
    from jinja2 import Template

    from medzoo.bench.table.model import TableData

STRIP = 96  # width of the small plot in a cell, CSS pixels
TEMPLATE = Path(__file__).with_name("table.html.j2")


def html(table: TableData, folder: Path | None) -> str:
    """One HTML page; links are relative to `folder`."""
    scales = [_scale(cells) for cells in zip(*table.grid, strict=True)]
    body = [
        (
            row,
            [_cell(table, c, cell, scale, folder) for c, cell, scale in zip(table.columns, cells, scales, strict=True)],
        )
        for row, cells in zip(table.rows, table.grid, strict=True)
    ]
    protocols = dict.fromkeys(
        f"Protocol {c.protocol} ({c.mode}), hash {c.protocol_hash}: {', '.join(_titles(table, c))}."
        for c in table.columns
        if c.metric
    )
    first = [_first(c) for c in table.columns]
    count = sum(len(cell.runs) for cells in table.grid for cell in cells)
    return _page().render(table=table, body=body, protocols=list(protocols), first=first, count=count)


@cache
def _page() -> Template:
    """The template, compiled."""
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined).from_string(TEMPLATE.read_text(encoding="utf-8"))


def _titles(table: TableData, column: Column) -> list[str]:
    titles = (
        f"{c.title} ({c.detail})" if c.detail else c.title
        for c in table.columns
        if c.protocol_hash == column.protocol_hash
    )
    return list(dict.fromkeys(titles))


def _first(column: Column) -> str:
    """The sort order of the first click: the best value first."""
    return "descending" if "↑" in column.heading else "ascending"


def _scale(cells: tuple[TableCell, ...]) -> tuple[float, float]:
    values = [
        value
        for cell in cells
        for value in [
            *cell.values,
            *([cell.mean - cell.sd, cell.mean + cell.sd] if cell.sd and cell.mean is not None else []),
        ]
    ]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _cell(
    table: TableData, column: Column, cell: TableCell, scale: tuple[float, float], folder: Path | None
) -> dict[str, Any]:
    digits = column.digits
    runs = [
        {"name": run.name, "text": run.worded(digits + 1), "link": table.link(run.path, folder) if run.path else ""}
        for run in cell.runs
    ]
    return {
        "runs": runs,
        "text": cell.worded(digits),
        "value": "" if cell.mean is None else f"{cell.mean:.12g}",
        "hover": "; ".join(f"{run['name']}: {run['text']}" for run in runs),
        "strip": _strip(cell, scale),
    }


def _strip(cell: TableCell, scale: tuple[float, float]) -> Any:  # noqa: ANN401 - jinja's Markup, of numbers only
    """A small plot of the runs on the column's scale."""
    from markupsafe import Markup

    if not cell.values:
        return ""
    low, high = scale

    def x(value: float) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{6 + share * (STRIP - 12):.1f}"

    parts = [f'<line x1="6" x2="{STRIP - 6}" y1="7" y2="7"/>']
    if cell.mean is not None and cell.sd is not None:
        parts.append(f'<line class="sd" x1="{x(cell.mean - cell.sd)}" x2="{x(cell.mean + cell.sd)}" y1="7" y2="7"/>')
    parts += [f'<circle cx="{x(value)}" cy="7" r="3"/>' for value in cell.values]
    if cell.mean is not None:
        parts.append(f'<line class="mean" x1="{x(cell.mean)}" x2="{x(cell.mean)}" y1="1" y2="13"/>')
    return Markup(f'<svg width="{STRIP}" height="14" aria-hidden="true">{"".join(parts)}</svg>')
