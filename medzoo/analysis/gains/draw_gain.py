"""The figure of the gain against similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.analysis.figures.style import COLOURS, GREY, MARKERS, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LAYERS = 6


def draw_gain(rows: list[dict[str, Any]]) -> Figure:
    """A row of panels for each checkpoint, a column for each layer; more than six layers are thinned out evenly.

    Args:
        rows: of the analysis.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    points = [row for row in rows if row["measure"] == "point"]
    every = list(dict.fromkeys(row["layer"] for row in points))
    layers = [every[int(place)] for place in np.linspace(0, len(every) - 1, min(len(every), MOST_LAYERS)).round()]
    names = list(dict.fromkeys(row["checkpoint"] for row in points))
    tasks = list(dict.fromkeys(row["task"] for row in points))
    figure = Figure(figsize=(2.2 + 2.35 * len(layers), 1.4 + 2.5 * len(names)), layout="constrained", facecolor="white")
    axes = figure.subplots(len(names), len(layers), squeeze=False, sharey=True)
    for line, name in enumerate(names):
        for place, layer in enumerate(layers):
            axis = axes[line, place]
            some = [row for row in points if (row["checkpoint"], row["layer"]) == (name, layer)]
            _panel(axis, some, tasks)
            found = {row["measure"]: row for row in rows if (row["checkpoint"], row["layer"]) == (name, layer)}
            axis.set_title(f"{wrapped(layer, 22)}\n{_heading(found.get('pearson_r'))}", fontsize=9)
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.0f} %"))
            if line == len(names) - 1:
                axis.set_xlabel("similarity")
        axes[line, 0].set_ylabel(f"{wrapped(name, 24)}\ngain over random weights", fontsize=9)
    handles: dict[str, Any] = {}
    for axis in axes.ravel():
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _panel(axis: Axes, points: list[dict[str, Any]], tasks: list[str]) -> None:
    """Points of one checkpoint and layer with their least-squares line."""
    axis.axhline(0, color=GREY, linewidth=0.8)
    for number, task in enumerate(tasks):
        own = [row for row in points if row["task"] == task]
        if own:
            axis.plot(
                [row["similarity"] for row in own], [row["value"] for row in own],
                MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)], markersize=5,
                alpha=0.8, label=wrapped(task, 30),
            )  # fmt: skip
    x, y = np.array([row["similarity"] for row in points]), np.array([row["value"] for row in points])
    if len(x) > 2 and np.ptp(x) > 0:
        ends = np.array([x.min(), x.max()])
        axis.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=GREY, linewidth=1.5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _heading(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "r is not defined"
    ends = "no interval" if row["low"] is None else f"[{row['low']:.2f}, {row['high']:.2f}]"
    return f"r = {row['value']:.2f} {ends}"
