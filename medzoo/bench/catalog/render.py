"""The catalog as one HTML page without network: every entry is in the page; the script only filters, sorts, opens and copies."""

from __future__ import annotations

import os
import re
from functools import cache
from itertools import zip_longest
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from medzoo.bench.catalog.build import build_catalog
from medzoo.bench.catalog.facets import script_facts
from medzoo.bench.catalog.model import Catalog, ListedScore, ScoreColumn
from medzoo.bench.catalog.shown_facts import WEIGHTS, checkpoint_lines, task_lines, weight_steps
from medzoo.bench.page_style.assemble import (
    BASE,
    COLOURS,
    HELPERS,
    TABS,
    VIEW_STATE,
    PageParts,
    joined,
    script_data,
    template_of,
)
from medzoo.errors import UsageError

if TYPE_CHECKING:
    from markupsafe import Markup

FOLDER = Path(__file__).parent
STYLES = (COLOURS, BASE, FOLDER / "list.css", FOLDER / "entry.css")
SCRIPTS = (
    HELPERS, TABS, FOLDER / "state.js", VIEW_STATE, *(FOLDER / f"{name}.js" for name in ("list", "filters", "entries", "start")),
)  # fmt: skip
LONGEST = 120  # characters of a line in a message
STRIP = 120  # pixels, of the drawing of a score


def catalog(results: str | os.PathLike[str] | None = None) -> str:
    """The HTML page of all checkpoints and all tasks.

    Its content does not depend on the weights, data and entries that are on this machine.

    Args:
        results: the folder of a store, whose scores are shown; None for a page without scores.

    Raises:
        ResultError: if the store has no results.

    >>> "resnet50-radimagenet" in catalog()
    True
    """
    return catalog_html(build_catalog(results))


def catalog_html(content: Catalog) -> str:
    """The HTML page of a catalog.

    Args:
        content: checkpoints and tasks.
    """
    from markupsafe import Markup

    parts = _parts()
    return template_of(FOLDER / "catalog.html.j2").render(
        catalog=content,
        checkpoint_lines=checkpoint_lines,
        task_lines=task_lines,
        weight_steps=weight_steps,
        weights_words=WEIGHTS,
        strip=strip,
        coded=coded,
        plain=plain,
        place=place,
        data=script_data(script_facts(content)),
        style=Markup(parts.style),
        script=Markup(parts.script),
        policy=parts.policy(),
    )


def differing_line(path: Path, page: str) -> str:
    """The first line of a file that differs from a page, in words; empty if they are equal.

    Args:
        path: of the file.
        page: as it should be.

    Raises:
        UsageError: if the file is not text in UTF-8.
    """
    try:
        actual, expected = path.read_text(encoding="utf-8").split("\n"), page.split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not text in UTF-8, so it is not a page of medzoo.", code="catalog-not-text"
        ) from error
    for number, (one, other) in enumerate(zip_longest(actual, expected, fillvalue="(ends)"), start=1):
        if one != other:
            return f"line {number} is {shorten(one, LONGEST)!r}; the facts give {shorten(other, LONGEST)!r}"
    return ""


@cache
def _parts() -> PageParts:
    """The styles and the script of every catalog."""
    return PageParts(joined(STYLES), joined(SCRIPTS))


def plain(text: str) -> Markup:
    """A text between tags, escaped; quotes stay, which `escape` would make five letters long.

    >>> str(plain('a "b" <c>'))
    'a "b" &lt;c&gt;'
    """
    from markupsafe import Markup

    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def coded(text: str) -> Markup:
    """A text between tags, escaped, whose parts between backticks are code.

    >>> str(coded("run `a <b>`"))
    'run <code>a &lt;b&gt;</code>'
    """
    from markupsafe import Markup

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(plain(text))))


def place(column: ScoreColumn, score: ListedScore) -> str:
    """The place of a score in its column, such as "2 of 5".

    Args:
        column: best first.
        score: of the column.
    """
    return f"{column.scores.index(score) + 1} of {len(column.scores)}"


def strip(score: ListedScore, column: ScoreColumn) -> Markup:
    """A small drawing: a dot at the mean, a line for the interval; all scores of a column have one scale.

    Args:
        score: to draw.
        column: with all scores.
    """
    from markupsafe import Markup

    values = [value for one in column.scores for value in (one.mean, one.low, one.high) if value is not None]
    if score.mean is None or len(values) < 2 or max(values) == min(values):
        return Markup("")
    low, width = min(values), max(values) - min(values)

    def x(value: float) -> str:
        return f"{5 + (value - low) / width * (STRIP - 10):.1f}"

    line = "" if score.low is None or score.high is None else f'<path d="M{x(score.low)} 7H{x(score.high)}"/>'
    return Markup(
        f'<svg width="{STRIP}" height="14" aria-hidden="true">{line}<circle cx="{x(score.mean)}" cy="7" r="4"/></svg>'
    )
