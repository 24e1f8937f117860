"""The figure of the analysis of invariance: a panel for each change, drift above and retrieval below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import INK, MARKS, ROLES, plain, role_names, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]


def drift_figure(rows: Rows) -> Figure:
    """Draw the rows of the analysis of invariance.

    Args:
        rows: of its `run`.
    """
    from matplotlib.figure import Figure  # not pyplot: it needs no display and keeps no figure open

    shown = [row for row in rows if row["measure"] == "drift" and row["value"] is not None]
    changes = list(dict.fromkeys(row["change"] for row in rows if row["measure"] == "drift"))
    figure = Figure(figsize=(1.75 * len(changes) + 1, 4.8), layout="constrained", facecolor="white")
    axes = figure.subplots(2, len(changes), squeeze=False, sharey="row", sharex="col")
    names = role_names(shown)
    for column, change in enumerate(changes):
        mine = [row for row in shown if row["change"] == change]
        for role in names:
            lines = sorted((row for row in mine if row["role"] == role), key=lambda row: row["place"])
            _line(axes[0, column], lines, role, "value", names[role])
            _line(axes[1, column], lines, role, "retrieval", None)
        ticks = {row["place"]: f"{row['strength']:g}" for row in mine}
        axes[1, column].set_xticks(list(ticks), list(ticks.values()))
        unit = next(row["unit"] for row in rows if row.get("change") == change).split(", share")[0]
        axes[1, column].set_xlabel(unit, fontsize=8)
        axes[0, column].set_title(change, fontsize=10)
        axes[0, column].axhline(1, color=INK, linewidth=0.8, linestyle=":")
    for axis in axes.ravel():
        axis.margins(x=0.15)
        plain(axis)
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("drift (1: another patient)", fontsize=9)
    axes[1, 0].set_ylim(-0.03, 1.05)
    axes[1, 0].set_ylabel("finds its own image", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=9, frameon=False)
    return figure


def _line(axes: Axes, rows: Rows, role: str, key: str, name: str | None) -> None:
    if not rows:
        return
    places = [row["place"] for row in rows]
    axes.plot(places, [row[key] for row in rows], color=ROLES[role], marker=MARKS[role], markersize=4, linewidth=1.4,
              label=name and shortened(name))  # fmt: skip
    if key == "value" and all(row["low"] is not None for row in rows):
        axes.fill_between(places, [row["low"] for row in rows], [row["high"] for row in rows], color=ROLES[role], alpha=0.18,
                          linewidth=0)  # fmt: skip
