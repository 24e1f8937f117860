"""The figure of the data curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import COLOURS, FAINT, GREY, MARKERS, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_curves(rows: list[dict[str, Any]]) -> Figure:
    """Scores over training images on the left; on the right, how many times the images each checkpoint needs.

    Args:
        rows: of the analysis.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["checkpoint"] for row in rows if row["measure"] == "score"))
    figure = Figure(figsize=(10.5, 4.2), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    _curves(left, [row for row in rows if row["measure"] == "score"], names)
    left.set_ylabel(rows[0]["metric"])
    _ratios(right, [row for row in rows if row["measure"] == "ratio"], names)
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xlabel("training images")
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    sizes = sorted({round(row["n_train"]) for row in rows if row["measure"] == "score"})
    for axis in (left, right):
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=45, ha="right")
        axis.minorticks_off()
    figure.legend(loc="outside upper center", frameon=False, ncols=2, fontsize=9)
    return figure


def _curves(axis: Axes, rows: list[dict[str, Any]], names: list[str]) -> None:
    for place, name in enumerate(names):
        own = [row for row in rows if row["checkpoint"] == name]
        sizes = [row["n_train"] * (0.985 if place else 1.015) for row in own]  # apart, where intervals overlap
        values = [row["value"] for row in own]
        low = [row["value"] if row["low"] is None else row["low"] for row in own]
        high = [row["value"] if row["high"] is None else row["high"] for row in own]
        axis.vlines(sizes, low, high, color=COLOURS[place], linewidth=1.5)
        axis.plot(sizes, values, f"{MARKERS[place]}-", color=COLOURS[place], label=wrapped(name, 40))


def _ratios(axis: Axes, rows: list[dict[str, Any]], names: list[str]) -> None:
    """What the second checkpoint needs for each score of the first."""
    from matplotlib.ticker import NullFormatter

    first, second = names
    own = [row for row in rows if row["checkpoint"] == second]
    ends = [one for row in own for one in (row["value"], row["low"], row["high"]) if one is not None]
    least, most = min([0.5, *ends]) / 1.5, max([2.0, *ends]) * 1.5
    axis.axhline(1, color=GREY, linewidth=1)
    for row in own:
        low, high = row["low"] or least, row["high"] or most  # an open end reaches the edge
        axis.vlines(row["n_train"], low, high, color=COLOURS[1], linewidth=2)
        if row["value"] is not None:
            axis.plot(row["n_train"], row["value"], MARKERS[1], color=COLOURS[1])
    axis.set_yscale("log")
    axis.set_ylim(least, most)
    powers = [2.0**power for power in range(-10, 11) if least <= 2.0**power <= most]
    axis.set_yticks(powers, [f"{power:g} x" if power >= 1 else f"1/{1 / power:g} x" for power in powers])
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(axis="y", color=FAINT)
    axis.set_ylabel("multiple of the images (95 % interval)", fontsize=9)
    axis.set_title(f"images that {wrapped(second, 40)} needs\nfor the score of {wrapped(first, 40)}", fontsize=9)
