"""The report of a comparison: one HTML page without network, and each analysis as CSV, Markdown, SVG and PNG."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.analysis.comparison.compare import ComparedCheckpoints
from medzoo.bench.analyses.section import section_html, shown, style, worded
from medzoo.bench.page_style.assemble import COLOURS, template_of
from medzoo.data.files.csv_cells import as_text

FOLDER = Path(__file__).parent


def report_html(outcome: ComparedCheckpoints, command: str = "") -> str:
    """The page: the answers first, then each analysis.

    Args:
        outcome: of a comparison.
        command: that makes it again.
    """
    from markupsafe import Markup

    parts = shown(outcome.made)
    return template_of(FOLDER / "report.html.j2").render(
        title=f"{' and '.join(outcome.titles)} on {outcome.task}",
        parts=parts,
        sections=[Markup(section_html(one)) for one in parts],
        left_out=outcome.left_out,
        command=command,
        style=Markup(
            "\n".join(path.read_text(encoding="utf-8") for path in (COLOURS, FOLDER / "report.css")) + style()
        ),
    )


def write_report(outcome: ComparedCheckpoints, folder: Path, command: str = "") -> Path:
    """Write report.html, and for each analysis its rows (CSV), its table (Markdown) and its figure (SVG, PNG).

    Args:
        outcome: of a comparison.
        folder: is created.
        command: that makes the report again.

    Returns:
        the page.
    """
    page = folder / "report.html"
    store.write_text(page, report_html(outcome, command))
    for one in outcome.made:
        store.write_text(folder / f"{one.name}.csv", _csv(one.rows))
        store.write_text(folder / f"{one.name}.md", _markdown(one.content))
        for form in ("svg", "png"):
            store.write_bytes(folder / f"{one.name}.{form}", one.figure(form).read_bytes())
    return page


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """All rows; a row without a key has an empty cell."""
    text = io.StringIO()
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(as_text, names))
    writer.writerows([as_text(row.get(name, "")) for name in names] for row in rows)
    return text.getvalue()


def _markdown(content: dict[str, Any]) -> str:
    """Question, answer and table."""
    lines = [f"**{content['question']}** {content['sentence']}", ""]
    if table := content["table"]:
        lines += [_line(table[0]), _line(["---"] * len(table[0]))]
        lines += [_line([worded(row.get(key)) for key in table[0]]) for row in table]
    return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:  # noqa: ANN401 - texts, or a dict with texts as keys
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
