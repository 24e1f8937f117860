"""The figure of the analysis of transferability: scores of features, measured gains, gaps between domains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import FAINT, INK, MARKS, ROLES, plain, shortened
from medzoo.analysis.transfer_scores.gains import metric_title
from medzoo.analysis.transfer_scores.scores import SCORES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]
DOMAINS = {"intra": "#009E73", "mixed": "#CC79A7", "cross": "#E69F00", "unknown": "#7A6A00"}


def transferability_figure(rows: Rows) -> Figure:
    """Draw the rows of the analysis of transferability.

    Args:
        rows: of its `run`.
    """
    from matplotlib.figure import Figure  # not pyplot: it needs no display and keeps no figure open

    gains = [row for row in rows if row["measure"] == "gain over random weights" and row["value"] is not None]
    gaps = [row for row in rows if row["measure"] == "domain gap of a pair" and row["value"] is not None]
    parts = [(draw, some) for draw, some in ((_gains, gains), (_gaps, gaps)) if some]
    heights = [3.0] + [1.0 + 0.36 * len(some) for _, some in parts]
    figure = Figure(figsize=(10, 0.3 + sum(heights)), layout="constrained", facecolor="white")
    above, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, name in zip(above.subplots(1, 3), SCORES, strict=True):
        _score(axes, name, rows)
    for part, (draw, some) in zip(below, parts, strict=True):
        draw(part.subplots(), some)
    return figure


def _score(axes: Axes, name: str, rows: Rows) -> None:
    shown = [row for row in rows if row["measure"] == name]
    for place, row in enumerate(shown):
        if row["value"] is None:
            axes.text(place, 0.5, "no value", ha="center", fontsize=8, color=INK, transform=axes.get_xaxis_transform())
            continue
        reach = None if row["low"] is None else [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        axes.errorbar([place], [row["value"]], yerr=reach, fmt=MARKS[row["role"]], color=ROLES[row["role"]], capsize=4)
    null = next((row for row in shown if row.get("baseline") is not None), None)
    if null is not None:
        axes.axhspan(null["baseline_low"], null["baseline_high"], color=ROLES["random"], alpha=0.25, linewidth=0)
        axes.axhline(null["baseline"], color=ROLES["random"], linewidth=1.2, label="random weights")
        axes.legend(fontsize=7, frameon=False)
    axes.set_xlim(-0.6, 1.6)
    axes.set_xticks(range(len(shown)), [shortened(row["network"], 22) for row in shown])
    axes.set_title(name, fontsize=10, loc="left")
    plain(axes)


def _gains(axes: Axes, rows: Rows) -> None:
    for place, row in enumerate(rows):
        _interval(axes, place, row, DOMAINS[row["domain"]])
    axes.set_yticks(range(len(rows)), [_named(row) for row in rows])
    for domain, colour in DOMAINS.items():
        if any(row["domain"] == domain for row in rows):
            axes.plot([], [], "o", color=colour, label=f"{domain}-domain" if domain in ("intra", "cross") else domain)
    axes.legend(fontsize=7, frameon=False, loc="best", title="pre-training", title_fontsize=7)
    _frame(axes, len(rows), f"measured gain over random weights, {metric_title(rows[0]['metric'])}" if rows else "")


def _gaps(axes: Axes, rows: Rows) -> None:
    for place, row in enumerate(rows):
        _interval(axes, place, row, INK if row["sizes"] == "equal" else ROLES["random"])
    names = [f"{shortened(row['network'], 52)}\nnumbers of images: {row['sizes']}" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    _frame(axes, len(rows), "intra-domain − cross-domain")


def _interval(axes: Axes, place: int, row: dict[str, Any], colour: str) -> None:
    if row["low"] is not None:
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
    axes.plot([row["value"]], [place], MARKS.get(row.get("role", ""), "o"), color=colour, markersize=6)


def _named(row: dict[str, Any]) -> str:
    mark = {"first": " (first)", "second": " (second)"}.get(row["role"], "")
    return shortened(row["network"], 30) + mark


def _frame(axes: Axes, lines: int, label: str) -> None:
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_ylim(lines - 0.4, -0.6)
    axes.set_xlabel(label, fontsize=9)
    plain(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
