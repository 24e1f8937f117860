"""The figure of the analysis of sites: the index of both networks, and of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import FAINT, INK, MARKS, ROLES, plain, role_names, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]


def sites_figure(rows: Rows) -> Figure:
    """Draw the rows of the analysis of sites.

    Args:
        rows: of its `run`.
    """
    from matplotlib.figure import Figure  # not pyplot: it needs no display and keeps no figure open

    whole = [row for row in rows if row["measure"] == "robustness index" and row["balanced"] is not None]
    classes = [row for row in rows if row["measure"] == "robustness index of a class" and row["balanced"] is not None]
    labels = list(dict.fromkeys(row["label"] for row in classes))
    figure = Figure(figsize=(8.5, max(3.0, 1.4 + 0.42 * (len(labels) + 1))), layout="constrained", facecolor="white")
    axes = figure.subplots()
    groups = [("all images", whole)] + [(label, [row for row in classes if row["label"] == label]) for label in labels]
    for place, (_, some) in enumerate(groups):
        _group(axes, place, some)
    names = role_names(whole)
    for role, name in names.items():
        axes.plot([], [], MARKS[role], color=ROLES[role], label=shortened(name, 40))
    axes.plot([], [], "D", color=ROLES["random"], label="random weights")
    axes.axvline(0.5, color=INK, linewidth=1.2, label="neighbours drawn at random")
    axes.set_yticks(range(len(groups)), [shortened(name, 30) for name, _ in groups])
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("balanced robustness index: 0 neighbours share the site, 1 neighbours share the class")
    plain(axes)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    figure.legend(loc="outside upper left", ncols=2, fontsize=8, frameon=False)
    return figure


def _group(axes: Axes, place: int, rows: Rows) -> None:
    for row in rows:
        height = place + {"first": -0.16, "second": 0.16}[row["role"]]
        if row["balanced_low"] is not None:
            ends = [row["balanced_low"], row["balanced_high"]]
            axes.plot(ends, [height, height], color=ROLES[row["role"]], linewidth=1.8)
        axes.plot([row["balanced"]], [height], MARKS[row["role"]], color=ROLES[row["role"]], markersize=6)
    if rows and rows[0]["balanced_baseline"] is not None:
        ends = [rows[0]["balanced_baseline_low"], rows[0]["balanced_baseline_high"]]
        axes.plot(ends, [place, place], color=ROLES["random"], linewidth=4, alpha=0.4)
        axes.plot([rows[0]["balanced_baseline"]], [place], "D", color=ROLES["random"], markersize=4)
