"""How a page shows stored analyses: question, answer, figure and table; by the report of a comparison and by a table's page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo.bench.analyses.record import StoredAnalysis
from medzoo.bench.page_style.assemble import template_of

FOLDER = Path(__file__).parent
STYLE = FOLDER / "section.css"
LARGEST_SVG = 300_000  # bytes; a larger drawing is shown as PNG
LARGEST_PAGE = (
    8_000_000  # bytes of all figures of a page; further ones are left out, with a line that says where they are
)
LONGEST_TABLE = 200  # rows


@dataclass(frozen=True)
class ShownAnalysis:
    """A stored analysis in the form of a page.

    Args:
        id: short, for an address.
        stored: the analysis.
        figure: data URL; empty if the page has no room for it.
        headings: of its table.
        lines: of its table, as texts.
        numeric: whether a column has numbers only.
        left_out: rows of the table that are not shown.
        facts: how it was made.
    """

    id: str
    stored: StoredAnalysis
    figure: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    left_out: int
    facts: tuple[tuple[str, str], ...]


def shown(analyses: Sequence[StoredAnalysis]) -> list[ShownAnalysis]:
    """Stored analyses for a page.

    Args:
        analyses: in their order on the page.
    """
    made, used = [], 0
    for one in analyses:
        figure = _figure(one)
        used += len(figure)
        table = one.content["table"]
        headings = tuple(table[0]) if table else ()
        lines = tuple(tuple(worded(row.get(key)) for key in headings) for row in table[:LONGEST_TABLE])
        numeric = tuple(all(not isinstance(row.get(key), str) or not row[key] for row in table) for key in headings)
        made.append(
            ShownAnalysis(
                f"{one.name}-{one.content['id'][:8]}", one, figure if used <= LARGEST_PAGE else "", headings, lines, numeric,
                max(0, len(table) - LONGEST_TABLE), _facts(one.content),
            )
        )  # fmt: skip
    return made


def section_html(one: ShownAnalysis) -> str:
    """The section of an analysis as HTML.

    Args:
        one: of `shown`.
    """
    return template_of(FOLDER / "section.html.j2").render(one=one, content=one.stored.content)


def style() -> str:
    """The styles of sections."""
    return STYLE.read_text(encoding="utf-8")


def worded(value: object) -> str:
    """A value in a cell.

    >>> worded(0.123456), worded(12), worded(None), worded("a"), worded(1234567), worded(1e-9)
    ('0.123', '12', '—', 'a', '1,234,567', '1.00e-09')
    """
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return (
            f"{value:.2e}"
            if value and abs(value) < 0.0005
            else f"{value:,.3f}"
            if abs(value) < 1000
            else f"{value:,.0f}"
        )
    return str(value)


def _figure(one: StoredAnalysis) -> str:
    """A data URL of the figure; empty if there is none."""
    svg, png = one.figure("svg"), one.figure("png")
    if svg.is_file() and svg.stat().st_size <= LARGEST_SVG:
        return f"data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode()}"
    if png.is_file():
        return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"
    return ""


def _facts(content: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """How it was made, in lines."""
    identity, environment = content["identity"], content["environment"]
    options = ", ".join(f"{key.replace('_', '-')} {worded(value)}" for key, value in identity["options"].items())
    images = identity["inputs"].get("images") or identity["inputs"].get("training_images")
    rows = [
        ("compared", " and ".join(identity["subjects"])),
        ("task", f"{identity['task']['id']} {identity['task']['version']}"),
    ]
    if images:
        rows.append(("images", f"{images['count']:,} of the {images['split']} split, seed {images['seed']}"))
    if "size" in identity["inputs"]:
        rows.append(("input", f"{identity['inputs']['size']} px"))
    if options:
        rows.append(("options", options))
    rows.append(
        ("made by", f"medzoo {environment['medzoo']}, torch {environment['torch']}, {environment['device']['name']}")
    )
    return tuple(rows)
