"""The figure of the analysis of the feature space: maps, and bars of separability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.feature_map.plane import from_text
from medzoo.analysis.figures.style import CLASS_COLOURS, INK, ROLES, plain, role_names, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]
MAPS = ("map of classes", "map of domains")
SHARES = ("class separability", "domain separability")


def feature_space_figure(rows: Rows) -> Figure:
    """Draw the rows of the analysis of the feature space.

    Args:
        rows: of its `run`.
    """
    from matplotlib.figure import Figure  # not pyplot: it needs no display and keeps no figure open

    maps = [measure for measure in MAPS if any(row["measure"] == measure for row in rows)]
    roles = role_names([row for row in rows if row["measure"] in maps])
    figure = Figure(figsize=(3.2 * len(roles) + 2.4, 3.3 * len(maps)), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(maps), len(roles) + 1, width_ratios=[1] * len(roles) + [0.62])
    for down, measure in enumerate(maps):
        mine = [row for row in rows if row["measure"] == measure]
        groups = list(dict.fromkeys(row["group"] for row in mine))
        for across, role in enumerate(roles):
            axes = figure.add_subplot(grid[down, across])
            _points(axes, [row for row in mine if row["role"] == role], groups)
            axes.set_title(shortened(roles[role], 32), fontsize=9, color=ROLES[role])
            if across == 0:
                axes.set_ylabel(measure, fontsize=9)
                axes.legend(fontsize=7, frameon=True, framealpha=0.75, edgecolor="none", loc="best", markerscale=1.6)
        _bars(
            figure.add_subplot(grid[down, -1]), [row for row in rows if row["measure"] == SHARES[MAPS.index(measure)]]
        )
    return figure


def _points(axes: Axes, rows: Rows, groups: list[str]) -> None:
    count = sum(row["value"] for row in rows)
    for row in rows:
        colour = CLASS_COLOURS[groups.index(row["group"]) % len(CLASS_COLOURS)]
        # rasterised: a thousand points as paths would make an SVG large
        axes.scatter(from_text(row["x"]), from_text(row["y"]), s=14 if count < 400 else 7, color=colour, alpha=0.75,
                     linewidths=0, rasterized=True, label=f"{shortened(row['group'], 22)} ({row['value']})")  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    if rows and rows[0]["variance"] is not None:
        axes.set_xlabel(f"two axes have {100 * rows[0]['variance']:.0f} % of the variance", fontsize=8)


def _bars(axes: Axes, rows: Rows) -> None:
    shown = [row for row in rows if row["value"] is not None]
    for place, row in enumerate(shown):
        low, high = row["low"], row["high"]
        reach = None if low is None or high is None else [[row["value"] - low], [high - row["value"]]]
        axes.errorbar([place], [row["value"]], yerr=reach, fmt="o", color=ROLES[row["role"]], capsize=4, markersize=6)
    null = next((row for row in shown if row["baseline"] is not None), None)
    if null is not None:
        axes.axhspan(null["baseline_low"], null["baseline_high"], color=ROLES["random"], alpha=0.25, linewidth=0)
        axes.axhline(null["baseline"], color=ROLES["random"], linewidth=1.2)
        axes.text(len(shown) - 0.55, null["baseline"], "random weights", fontsize=7, color=INK, ha="right", va="bottom")
    elif not shown:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", fontsize=8, color=INK)
    axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xlim(-0.6, max(len(shown), 1) - 0.4)
    axes.set_ylim(0.4, 1.02)
    axes.set_xticks(range(len(shown)), ["first", "second"][: len(shown)])
    axes.set_title(f"{rows[0]['measure'] if rows else 'separability'}\nAUROC, 95 % interval", fontsize=8)
    plain(axes)
