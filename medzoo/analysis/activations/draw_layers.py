"""The figure of a representation analysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.analysis.figures.style import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS = {
    "Canonical correlation": ("mean_cca", "svcca", "pwcca"),
    "Kernel alignment": ("cka_linear", "cka_debiased", "cka_rbf", "cka_minibatch"),
    "Geometry and neighbours": ("procrustes", "mutual_knn", "cknna"),
}


def draw_layers(rows: list[dict[str, Any]], names: Mapping[str, str]) -> Figure:
    """Values as lines over the layers; dashed lines are random networks, dotted lines are wrong pairs of images.

    Args:
        rows: of the analysis.
        names: of the measures.
    """
    from matplotlib.figure import Figure

    paired = [row for row in rows if row["paired"]]
    layers = list(dict.fromkeys((row["layer"], row["other_layer"]) for row in paired))
    groups = {
        title: shown
        for title, measures in GROUPS.items()
        if (
            shown := [
                one for one in measures if any(row["measure"] == one and row["value"] is not None for row in paired)
            ]
        )
    }
    across = _across(rows, layers)
    panels = len(groups) + (across is not None)
    wide = 2 if panels > 1 else 1
    figure = Figure(figsize=(5.6 * wide, 4.7 * -(-panels // wide)), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(-(-panels // wide), wide)).flat)
    for ax, (title, measures) in zip(axes, groups.items(), strict=False):
        _panel(ax, title, measures, paired, layers, names)
    if across is not None:
        _matrix(axes[len(groups)], across, layers)
    for ax in axes[panels:]:
        ax.set_axis_off()
    return figure


def _panel(
    ax: Axes,
    title: str,
    measures: list[str],
    paired: list[dict[str, Any]],
    layers: list[tuple[str, str]],
    names: Mapping[str, str],
) -> None:
    lowest = 0.0
    for measure, colour, mark in zip(measures, COLOURS, MARKERS, strict=False):
        by_layer = {(row["layer"], row["other_layer"]): row for row in paired if row["measure"] == measure}
        for key, style, shown, size in (("value", "-", mark, 5), ("baseline", "--", "", 0), ("null", ":", "", 0)):
            values = [by_layer[one][key] if one in by_layer else None for one in layers]
            numbers = [np.nan if value is None else value for value in values]
            if np.isfinite(numbers).any():
                lowest = min(lowest, float(np.nanmin(numbers)))
                ax.plot(
                    range(len(layers)), numbers, style, color=colour, marker=shown or None, markersize=size,
                    alpha=1 if key == "value" else 0.75, label=names[measure] if key == "value" else None,
                )  # fmt: skip
    for style, label in (("--", "two random networks"), (":", "wrong pairs of images")):
        ax.plot([], [], style, color="#57616c", label=label)
    ax.set_title(title, fontsize=11)
    ax.set_xticks(range(len(layers)), [a if a == b else f"{a}\n{b}" for a, b in layers], fontsize=8)
    ax.set_ylim(lowest - 0.03, 1.03)
    ax.set_ylabel("similarity")
    ax.grid(axis="y", alpha=0.3)
    ax.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=3)


def _across(rows: list[dict[str, Any]], layers: list[tuple[str, str]]) -> np.ndarray | None:
    """Debiased CKA of each layer of the first network with each of the second; None if it was not measured."""
    if all(row["paired"] for row in rows):
        return None
    values = np.full((len(layers), len(layers)), np.nan)
    firsts, seconds = [a for a, _ in layers], [b for _, b in layers]
    for row in rows:
        if row["measure"] == "cka_debiased" and row["value"] is not None:
            values[firsts.index(row["layer"]), seconds.index(row["other_layer"])] = row["value"]
    return values


def _matrix(ax: Axes, values: np.ndarray, layers: list[tuple[str, str]]) -> None:
    image = ax.imshow(values, vmin=min(0.0, float(np.nanmin(values))), vmax=1, cmap="viridis")
    for i, j in np.ndindex(*values.shape):
        if np.isfinite(values[i, j]):
            ax.text(
                j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=8,
                color="black" if values[i, j] > 0.6 else "white",
            )  # fmt: skip
    ax.set_xticks(range(len(layers)), [b for _, b in layers], fontsize=8, rotation=30)
    ax.set_yticks(range(len(layers)), [a for a, _ in layers], fontsize=8)
    ax.set_xlabel("second network")
    ax.set_ylabel("first network")
    ax.set_title("Debiased CKA of all pairs of layers", fontsize=11)
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
