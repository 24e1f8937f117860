"""The curves of a run: loss and validation score over steps, from its log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.training.run_state.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 40  # up to this number of points each has a marker
LOSS, SCORE = "tab:blue", "tab:orange"
# the keys of what a pre-training measures of its features
RANKS, SPREAD, PROBES = ("rank_me", "lidar"), "feature_spread", ("_knn", "_linear")


def curves(run: RunFolder) -> Figure:
    """The figure; a run with a single logged value shows it as a point."""
    from matplotlib.figure import Figure  # not pyplot, which has global state and needs a display
    from matplotlib.ticker import MaxNLocator

    rows = run.rows()
    measured = [key for key in RANKS if _points(rows, key)]
    figure = Figure(figsize=(7, 3.2 * (1 + bool(measured))), layout="constrained")
    # the loss on the left axis, the score on the right one
    loss, *below = figure.subplots(1 + bool(measured), squeeze=False)[:, 0]
    if measured:
        _draw_measured(below[0], rows)
    points = _points(rows, "loss")
    if points:
        marker = "o" if len(points) <= FEW else ""
        loss.plot(*zip(*points, strict=True), color=LOSS, linewidth=1.2, marker=marker, markersize=4)
    loss.set(xlabel="step", title=run.path.name.replace("$", r"\$"))
    loss.set_ylabel("training loss", color=LOSS)
    loss.xaxis.set_major_locator(MaxNLocator(integer=True))
    scores = _points(rows, "score")
    if scores:
        axis = loss.twinx()
        marker = "s" if len(scores) <= FEW else "."
        axis.plot(*zip(*scores, strict=True), color=SCORE, marker=marker, markersize=4, linewidth=1)
        axis.set_ylabel("validation score", color=SCORE)
        _set_off_centre(loss, points, 1.0, 2.0)  # else a single loss and a single score would overlap in the middle
        _set_off_centre(axis, scores, 2.0, 1.0)
    if steps := [step for step, _ in [*points, *scores]]:
        loss.set_xlim(0, 1.05 * max(steps))
    if not points and not scores:
        loss.text(0.5, 0.5, "nothing was logged", transform=loss.transAxes, ha="center", va="center", color="grey")
    return figure


def _draw_measured(axis: Axes, rows: list[dict[str, float]]) -> None:
    """What a pre-training measured after its epochs: shares on the left axis, effective ranks on the right one."""
    from matplotlib.ticker import MaxNLocator

    names = dict.fromkeys(key for row in rows if RANKS[0] in row for key in row if key.endswith(PROBES))
    for key in [SPREAD, *names]:
        label = key.replace("$", r"\$") if len(key) < 40 else f"...{key[-37:]}"
        axis.plot(*zip(*_points(rows, key), strict=True), marker="o", markersize=4, linewidth=1, label=label)
    axis.set(xlabel="step", ylabel="spread of features, AUROC of probes")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    other = axis.twinx()
    for key, colour in zip(RANKS, ("black", "grey"), strict=True):
        points = _points(rows, key)
        if points:
            other.plot(
                *zip(*points, strict=True),
                color=colour,
                linestyle="--",
                marker="s",
                markersize=3,
                linewidth=1,
                label=key,
            )
    other.set_ylabel("effective rank (dashed)")
    lines = [*axis.get_lines(), *other.get_lines()]
    axis.legend(lines, [str(line.get_label()) for line in lines], fontsize=7, loc="best")


def _set_off_centre(axis: Axes, points: list[tuple[float, float]], below: float, above: float) -> None:
    """Move a single value away from the middle of its axis, by the shares of space below and above it."""
    heights = {value for _, value in points}
    if len(heights) == 1:
        (value,) = heights
        space = max(0.02 * abs(value), 1e-3)
        axis.set_ylim(value - below * space, value + above * space)


def _points(rows: list[dict[str, float]], key: str) -> list[tuple[float, float]]:
    """Steps and values, without values that are not finite."""
    return [(row["step"], row[key]) for row in rows if key in row and math.isfinite(row[key])]


def draw_curves(run: RunFolder) -> None:
    """Write curves.png into the run folder."""
    figure = curves(run)
    with store.atomic_path(run.path / "curves.png") as temporary:
        figure.savefig(temporary, dpi=120, format="png")
