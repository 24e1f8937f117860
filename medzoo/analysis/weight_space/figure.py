"""The figure of the analysis of weights: filters, reuse, uniqueness, distances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import FAINT, INK, MARKS, ROLES, plain, role_names, shortened
from medzoo.analysis.weight_space.filters import filter_sheet, pixels_of_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]
KINDS = {  # kind → mark and colour
    "weight": ("o", "#0072B2"), "scale": ("^", "#E69F00"), "shift": ("v", "#CC79A7"),
    "running mean": ("x", "#009E73"), "running variance": ("+", "#7A6A00"),
}  # fmt: skip


def weights_figure(rows: Rows) -> Figure:
    """Draw the rows of the analysis of weights.

    Args:
        rows: of its `run`.
    """
    from matplotlib.figure import Figure  # not pyplot: it needs no display and keeps no figure open

    figure = Figure(figsize=(11, 9.5), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(3, 12, height_ratios=(1.15, 1, 1))
    # the sheets of filters: grey for each network, then colour
    filters = [row for row in rows if row["measure"] == "filters" and row["value"] is not None]
    sheets = [(row, False) for row in filters] + [(row, True) for row in filters if row["channels"] == 3]
    width = 12 // max(len(sheets), 1)
    for place, (row, colour) in enumerate(sheets):
        _filters(figure.add_subplot(grid[0, width * place : width * (place + 1)]), row, colour)
    # the numbers
    _reuse(figure.add_subplot(grid[1, :8]), [row for row in rows if row["measure"] == "reuse"])
    _uniqueness(figure.add_subplot(grid[1, 8:]), [row for row in rows if row["measure"] == "uniqueness"])
    _distance(figure.add_subplot(grid[2, :]), [row for row in rows if row["measure"] == "distance"])
    return figure


def _filters(axes: Axes, row: dict[str, Any], colour: bool) -> None:
    axes.imshow(filter_sheet(pixels_of_row(row), colour=colour), interpolation="nearest")
    axes.set_axis_off()
    kind = "three channels" if colour else "channel 1"
    axes.set_title(f"{shortened(row['network'], 30)}\n{row['layer']}, {kind}", fontsize=9, color=ROLES[row["role"]])


def _reuse(axes: Axes, rows: Rows) -> None:
    shown = [row for row in rows if row["value"] is not None]
    places = [row["place"] for row in shown]
    null = [row for row in shown if row["baseline"] is not None]
    axes.fill_between(
        [row["place"] for row in null], [row["baseline_low"] for row in null], [row["baseline_high"] for row in null],
        color=FAINT, linewidth=0,
    )  # fmt: skip
    axes.plot([row["place"] for row in null], [row["baseline"] for row in null], color=ROLES["random"], marker="D",
              markersize=3, linewidth=1, label="first network and random weights")  # fmt: skip
    axes.plot(
        places,
        [row["value"] for row in shown],
        color=INK,
        marker="o",
        markersize=4,
        linewidth=1.2,
        label="both networks",
    )
    axes.set_ylim(-0.03, 1.05)
    axes.set_ylabel("CKA of weights")
    axes.set_title("Feature reuse of each layer", fontsize=10, loc="left")
    _layer_ticks(axes, shown)
    plain(axes)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _uniqueness(axes: Axes, rows: Rows) -> None:
    layers = list(dict.fromkeys(row["place"] for row in rows))
    for number, role in enumerate(role_names(rows)):
        mine = [row for row in rows if row["role"] == role and row["value"] is not None]
        places = [layers.index(row["place"]) + 0.3 * number - 0.2 for row in mine]
        axes.errorbar(
            places, [row["value"] for row in mine], yerr=[row["sd"] for row in mine], fmt=MARKS[role], color=ROLES[role],
            markersize=5, linewidth=1.2, capsize=3, label=shortened(mine[0]["network"], 24) if mine else None,
        )  # fmt: skip
        axes.plot([place + 0.09 for place in places], [row["baseline"] for row in mine], "D", color=ROLES["random"], markersize=4,
                  label=None if number else "random weights")  # fmt: skip
    names = [next(row["layer"] for row in rows if row["place"] == place) for place in layers]
    axes.set_xticks(range(len(layers)), [shortened(name, 20) for name in names], rotation=20, ha="right")
    axes.set_ylim(-0.03, 1.05)
    axes.set_ylabel("1 − CKA of blocks")
    axes.set_title("Uniqueness of the first layers, mean ± sd", fontsize=10, loc="left")
    plain(axes)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _distance(axes: Axes, rows: Rows) -> None:
    shown = [row for row in rows if row["value"] is not None]
    for kind, (mark, colour) in KINDS.items():
        mine = [row for row in shown if row["kind"] == kind]
        if mine:
            axes.plot([row["place"] for row in mine], [row["value"] for row in mine], mark, color=colour, markersize=5,
                      linestyle="-" if kind == "weight" else "", linewidth=1, label=kind)  # fmt: skip
    null = [row for row in shown if row["kind"] == "weight" and row["baseline"] is not None]
    axes.plot([row["place"] for row in null], [row["baseline"] for row in null], "D", color=ROLES["random"], markersize=3,
              label="weight, random network")  # fmt: skip
    values = [row["value"] for row in shown if row["value"] > 0]
    if values and max(values) > 20 * min(values):
        axes.set_yscale("symlog", linthresh=max(min(values), 1e-3))
    _layer_ticks(axes, [row for row in shown if row["kind"] == "weight"])
    axes.set_ylabel("distance / length of the first")
    axes.set_title("Distance between the networks, tensor by tensor", fontsize=10, loc="left")
    plain(axes)
    axes.legend(fontsize=8, frameon=False, ncols=6, loc="best")


def _layer_ticks(axes: Axes, rows: Rows) -> None:
    """At most 18 names, at equal steps."""
    step = max(1, -(-len(rows) // 18))
    some = rows[::step]
    names = [shortened(row["layer"].removesuffix(".weight"), 26) for row in some]
    axes.set_xticks([row["place"] for row in some], names, rotation=35, ha="right", fontsize=7)
    axes.margins(x=0.02)
