"""A table as one HTML page without network: the template, the styles and the script, joined."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo.bench.analyses.section import section_html
from medzoo.bench.analyses.section import style as section_style
from medzoo.bench.page_style.assemble import (
    BASE,
    COLOURS,
    HELPERS,
    TABS,
    VIEW_STATE,
    PageParts,
    joined,
    packed,
    script_data,
    template_of,
)
from medzoo.bench.table.page.page_analyses import analysis_tabs
from medzoo.bench.table.page.page_data import page_data

if TYPE_CHECKING:
    from medzoo.bench.table.model import TableData

FOLDER = Path(__file__).parent
STYLES = (COLOURS, BASE, FOLDER / "page.css", FOLDER / "plots.css")
SCRIPTS = (
    HELPERS, TABS, FOLDER / "state.js", VIEW_STATE,
    *(FOLDER / f"{name}.js" for name in ("rows", "filters", "cell", "plots", "start")),
)  # fmt: skip


def html(table: TableData, folder: Path | None) -> str:
    """One HTML page; links are relative to `folder`.

    The page forbids every request, and every script but its own, by its Content-Security-Policy.

    Args:
        table: to show.
        folder: of the page; None for the folder of the results.
    """
    from markupsafe import Markup

    content = page_data(table, folder)
    parts, tabs = _parts(), analysis_tabs(table)
    if tabs:
        parts = PageParts(f"{parts.style}\n{packed(section_style())}", parts.script)
    return template_of(FOLDER / "page.html.j2").render(
        table=table,
        content=content,
        tabs=tabs,
        section=lambda part: Markup(section_html(part)),
        data=script_data(content.data),
        style=Markup(parts.style),
        script=Markup(parts.script),
        policy=parts.policy(images=bool(tabs)),
        count=sum(len(cell.runs) for cells in table.grid for cell in cells if cell.published is None),
    )


@cache
def _parts() -> PageParts:
    """The styles and the script of every table."""
    return PageParts(joined(STYLES), joined(SCRIPTS))
