"""A table as one HTML page: offline, sortable, light and dark, each cell open to the runs behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench.table.model import Column, TableCell

if TYPE_CHECKING:
    from medzoo.bench.table.model import TableData

STRIP = 96  # width of the little plot in a cell, CSS pixels

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{{ table.generator }}">
<title>{{ table.title }}</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #d5dae0; --paper: #ffffff; --band: #f5f7f9;
  --dot: #1f6fb2; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa5b1; --line: #343c45; --paper: #14181d;
  --band: #1c2229; --dot: #6cb2ee; --link: #7dbdf5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 90rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; min-width: 40%; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .9rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--ink); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
tbody th { position: sticky; left: 0; background: var(--paper); font-weight: 600; max-width: 22rem; white-space: normal; }
tbody tr:nth-child(even) > * { background: var(--band); }
thead button { all: unset; cursor: pointer; }
thead button:focus-visible, summary:focus-visible { outline: 2px solid var(--dot); outline-offset: 2px; }
thead button::after { content: " ⇅"; color: var(--soft); }
th[aria-sort=ascending] button::after { content: " ▲"; color: inherit; }
th[aria-sort=descending] button::after { content: " ▼"; color: inherit; }
small { display: block; font-weight: 400; font-size: .8rem; color: var(--soft); }
thead small.apart { color: inherit; }
thead small { white-space: normal; max-width: 14rem; margin-left: auto; }
summary { cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary:hover { color: var(--link); }
details ul { margin: .4rem 0 0; padding: .4rem 0 0; list-style: none; border-top: 1px dashed var(--line); font-size: .85rem; }
svg { display: block; margin: .15rem 0 0 auto; }
svg circle { fill: var(--dot); fill-opacity: .65; }
svg line { stroke: var(--line); }
svg .mean { stroke: var(--ink); stroke-width: 2; }
svg .sd { stroke: var(--dot); stroke-width: 2; stroke-opacity: .6; }
a { color: var(--link); }
.none { color: var(--soft); }
ol, .foot { color: var(--soft); font-size: .875rem; max-width: 60rem; }
.foot li { margin: .25rem 0; overflow-wrap: anywhere; }
.tools { margin: 0 0 .75rem; font-size: .875rem; }
.tools button { font: inherit; color: var(--ink); background: var(--band); border: 1px solid var(--line); border-radius: 4px;
  padding: .2rem .7rem; cursor: pointer; }
@media print { .tools { display: none; } body { padding: 0; } }
</style>
</head>
<body>
<h1>{{ table.title }}</h1>
<p class="tools"><button type="button" id="open" hidden>Show all runs</button></p>
<div class="wide">
<table>
<thead><tr>
<th scope="col"><button type="button">checkpoint</button></th>
{%- for c in table.columns %}
<th scope="col" data-first="{{ first[loop.index0] }}"><button type="button">{{ c.title }}<br>{{ c.heading }}</button>
{% if c.detail %}{% for part in c.detail.split(", ") %}<small class="apart">{{ part }}</small>{% endfor %}{% endif %}
{% for part in c.size.split(", ") %}<small>{{ part }}</small>{% endfor %}
<small title="protocol hash {{ c.protocol_hash }}">{{ c.how }}</small></th>
{%- endfor %}
</tr></thead>
<tbody>
{%- for row, cells in body %}
<tr><th scope="row" data-value="{{ row.label }}" title="{{ row.checkpoint }}">{{ row.label }}
{%- if row.label != row.checkpoint %}<small>{{ row.checkpoint }}</small>{% endif %}
{%- if row.weights %}<small title="sha256 {{ row.weights }}">weights {{ row.weights[:8] }}</small>{% endif %}</th>
{%- for cell in cells %}
{%- if cell.runs %}
<td data-value="{{ cell.value }}"><details><summary title="{{ cell.hover }}">{{ cell.text }}{{ cell.strip }}</summary><ul>
{%- for run in cell.runs %}
<li>{{ run.name }}: {% if run.link %}<a href="{{ run.link }}">{{ run.text }}</a>{% else %}{{ run.text }}{% endif %}</li>
{%- endfor %}
</ul></details></td>
{%- else %}
<td data-value="" class="none">—</td>
{%- endif %}
{%- endfor %}
</tr>
{%- endfor %}
</tbody>
</table>
</div>
<ul class="foot">
{%- for note in table.footnotes %}
<li>{{ note }}</li>
{%- endfor %}
<li>Click a heading to sort, a cell to see its runs and their result files. Dots are runs, the upright bar is their mean,
the thick line ± one standard deviation; all cells of a column share one scale.</li>
{%- for line in protocols %}
<li>{{ line }}</li>
{%- endfor %}
<li>Made by {{ table.generator }} from {{ count }} result files; every number is computed from them.</li>
</ul>
<script>
const body = document.querySelector("tbody"), heads = [...document.querySelectorAll("thead th")];
heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
  const now = head.getAttribute("aria-sort"), first = head.dataset.first || "ascending";
  const order = now ? (now === "ascending" ? "descending" : "ascending") : first;
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1, value = row => row.children[i].dataset.value;
  [...body.rows].sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    return sign * (i ? x - y : x.localeCompare(y, "en", {numeric: true}));
  }).forEach(row => body.append(row));
}));
const open = document.getElementById("open");
open.hidden = false;
open.addEventListener("click", () => {
  const all = [...document.querySelectorAll("td details")], shut = all.some(item => !item.open);
  all.forEach(item => { item.open = shut; });
  open.textContent = shut ? "Hide all runs" : "Show all runs";
});
</script>
</body>
</html>
"""


def html(table: TableData, folder: Path | None) -> str:
    """One HTML page; links are relative to `folder`."""
    from jinja2 import Environment, StrictUndefined

    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)
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
    return page.render(
        table=table, body=body, protocols=list(protocols), first=[_first(c) for c in table.columns],
        count=sum(len(cell.runs) for cells in table.grid for cell in cells),
    )  # fmt: skip


def _titles(table: TableData, column: Column) -> list[str]:
    titles = (
        f"{c.title} ({c.detail})" if c.detail else c.title
        for c in table.columns
        if c.protocol_hash == column.protocol_hash
    )
    return list(dict.fromkeys(titles))


def _first(column: Column) -> str:
    """The order of the first click: the best on top."""
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
    """A little plot of the runs on the column's scale."""
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
