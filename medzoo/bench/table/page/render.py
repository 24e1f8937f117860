"""A table as one HTML page without network: the template, the styles and the script, joined."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench.analyses.section import section_html
from medzoo.bench.analyses.section import style as section_style
from medzoo.bench.table.page.page_analyses import analysis_tabs
from medzoo.bench.table.page.page_data import page_data

if TYPE_CHECKING:
    from jinja2 import Template

    from medzoo.bench.table.model import TableData

FOLDER = Path(__file__).parent
STYLES = ("page.css", "plots.css")
SCRIPTS = ("tabs.js", "state.js", "rows.js", "filters.js", "cell.js", "plots.js", "start.js")  # in this order


def html(table: TableData, folder: Path | None) -> str:
    """One HTML page; links are relative to `folder`.

    The page forbids every request, and every script but its own, by its Content-Security-Policy.

    Args:
        table: to show.
        folder: of the page; None for the folder of the results.
    """
    from markupsafe import Markup

    content = page_data(table, folder)
    template, style, script = _parts()
    tabs = analysis_tabs(table)
    images = ""
    if tabs:
        style, images = f"{style}\n{_lines(section_style())}", " img-src data:;"
    return template.render(
        table=table,
        content=content,
        tabs=tabs,
        section=lambda part: Markup(section_html(part)),
        data=Markup(_json(content.data)),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}';{images} base-uri 'none'; "
        "form-action 'none'",
        count=sum(len(cell.runs) for cells in table.grid for cell in cells if cell.published is None),
    )


@cache
def _parts() -> tuple[Template, str, str]:
    """The template, compiled, with the texts of styles and script."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["breaks"] = _breaks
    template = environment.from_string(_read("page.html.j2"))
    return template, _packed(STYLES), _packed(SCRIPTS)


def _packed(names: tuple[str, ...]) -> str:
    """Files as one text, without indents and without lines that are comments."""
    return _lines("\n".join(map(_read, names)))


def _lines(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def _breaks(text: str) -> str:
    """A name, escaped, that may be broken after its joints."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[\w.])([_/-])(?=\w)", r"\1<wbr>", str(escape(text))))


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(data: dict[str, Any]) -> str:
    """JSON that no text can leave: `<`, `>` and `&` are written as escapes."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
