"""The figure of the prediction similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import COLOURS, FAINT, GREY, INK, MARKERS, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"similarity": "both right or both wrong (share of images)", "error_kappa": "kappa of the errors"}
MOST_LABELS = 20


def draw_similarity(rows: list[dict[str, Any]]) -> Figure:
    """One panel for the similarity and one for the kappa; a line for each pair, and for each label of a multilabel task.

    Args:
        rows: of the analysis.
    """
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(row["label"] for row in rows))[: MOST_LABELS + 1]
    pairs = list(
        dict.fromkeys(
            (row["pairs"], row["first"], row["second"]) for row in rows if row["pairs"] in ("between", "within")
        )
    )
    lines = [(pair, "") for pair in pairs] if len(labels) == 1 else [(pairs[0], label) for label in labels]
    if len(labels) > 1:  # the pairs for the mean, then the labels of the compared pair
        lines = [(pair, labels[0]) for pair in pairs] + [(pairs[0], label) for label in labels[1:]]
    figure = Figure(figsize=(10, 1.6 + 0.48 * len(lines)), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(PANELS), sharey=True)
    for axis, (measure, title) in zip(axes, PANELS.items(), strict=True):
        _panel(axis, [_row(rows, pair, label, measure) for pair, label in lines], [pair[0] for pair, _ in lines])
        axis.set_xlabel(title)
        axis.set_ylim(len(lines) - 0.5, -0.5)
    axes[0].set_yticks(range(len(lines)), [_name(pair, label, len(labels) > 1) for pair, label in lines])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _row(rows: list[dict[str, Any]], pair: tuple[str, str, str], label: str, measure: str) -> dict[str, Any] | None:
    key = (*pair, label, measure)
    names = ("pairs", "first", "second", "label", "measure")
    return next((row for row in rows if tuple(row[name] for name in names) == key), None)


def _name(pair: tuple[str, str, str], label: str, several: bool) -> str:
    kind, first, second = pair
    if several and label and not label.startswith("mean over"):
        return wrapped(label, 30)
    return (
        f"{wrapped(first, 36)}\nwith {wrapped(second, 31)}"
        if kind == "between"
        else f"two runs of\n{wrapped(first, 36)}"
    )


def _panel(axis: Axes, rows: list[dict[str, Any] | None], kinds: list[str]) -> None:
    seen: set[str] = set()
    for place, (row, kind) in enumerate(zip(rows, kinds, strict=True)):
        axis.axhline(place, color=FAINT, zorder=0)
        if row is None or row["value"] is None:
            axis.text(
                0.02, place, "not defined", va="center", fontsize=8, color=GREY, transform=axis.get_yaxis_transform()
            )
            continue
        colour, name = (
            (COLOURS[0], "two checkpoints") if kind == "between" else (COLOURS[1], "two runs of one checkpoint")
        )
        low, high = (row["value"] if row[end] is None else row[end] for end in ("low", "high"))
        axis.plot([low, high], [place, place], color=colour, linewidth=2)
        axis.plot(row["value"], place, MARKERS[kind != "between"], color=colour, label="" if name in seen else name)
        seen.add(name)
        if row["expected"] is not None:
            text = "independent errors"
            axis.plot(row["expected"], place, "|", color=INK, markersize=13, label="" if text in seen else text)
            seen.add(text)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)
