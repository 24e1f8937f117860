"""The picture of a run: loss and validation score over steps, from its log."""

from __future__ import annotations

from medzoo import store
from medzoo.training.runs import RunFolder


def draw_curves(run: RunFolder) -> None:
    """Write curves.png beside log.jsonl."""
    from matplotlib.figure import Figure  # no pyplot: nothing global, no display

    rows = run.rows()
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    loss = figure.subplots()
    points = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    if points:
        loss.plot(*zip(*points, strict=True), color="tab:blue", linewidth=1.2)
    loss.set(xlabel="step", title=run.path.name)
    loss.set_ylabel("training loss", color="tab:blue")
    scores = [(row["step"], row["score"]) for row in rows if "score" in row]
    if scores:
        axis = loss.twinx()
        axis.plot(*zip(*scores, strict=True), color="tab:orange", marker="o", markersize=3, linewidth=1)
        axis.set_ylabel("validation score", color="tab:orange")
    with store.atomic_path(run.path / "curves.png") as temporary:
        figure.savefig(temporary, dpi=120, format="png")
