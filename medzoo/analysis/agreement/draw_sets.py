"""The figure of the sets of checkpoints: shares above, members below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import COLOURS, FAINT, GREY, INK, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SETS = 24


def draw_sets(rows: list[dict[str, Any]]) -> Figure:
    """One column for each set, the largest first; at most 24 sets, with "all" and "none" always among them.

    Args:
        rows: of the analysis.

    Source: Lex et al. 2014, UpSet (doi:10.1109/TVCG.2014.2346248).
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    sets = [row for row in rows if row["measure"] == "set"]
    names = [row["label"] for row in sets if row["size"] == 1]
    kept = [sets[0], sets[-1], *sorted(sets[1:-1], key=lambda row: -row["value"])][:MOST_SETS]
    shown = sorted(kept, key=lambda row: -row["value"])
    figure = Figure(figsize=(4.2 + 0.42 * len(shown), 4.2 + 0.34 * len(names)), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 0.34 * len(names)])

    # the shares, on a logarithmic scale: the rare sets are what the question is about
    lowest = [value for row in shown for value in (row["low"], row["value"]) if value]
    empty = [0.5 / row["n_items"] for row in shown if not row["value"]]  # a set without items is below all others
    smallest = max(0.7 * min(lowest + empty), 1e-6)
    for place, row in enumerate(shown):
        low, high = (row["value"] if row[end] is None else row[end] for end in ("low", "high"))
        above.bar(place, max(row["value"], smallest), width=0.62, color=COLOURS[0], alpha=0.35, linewidth=0)
        above.plot([place, place], [max(low, smallest), max(high, smallest)], color=COLOURS[0], linewidth=2)
        label = "right: share and 95 % interval (patients and runs)" if place == 0 else ""
        above.plot(place, max(row["value"], smallest), "o", color=COLOURS[0], markersize=4, label=label)
        label = "if errors were independent" if place == 0 else ""
        above.plot(
            place,
            max(row["expected"], smallest),
            "_",
            color=COLOURS[1],
            markersize=14,
            markeredgewidth=2.5,
            label=label,
        )
    above.set_yscale("log")
    above.set_ylim(smallest, 1.3)
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    above.set_ylabel("share of the items")
    figure.legend(loc="outside upper center", frameon=False, ncols=2, fontsize=9)
    if len(sets) > len(shown):
        rest = sum(row["value"] for row in sets) - sum(row["value"] for row in shown)
        above.set_title(
            f"{len(sets) - len(shown)} smaller sets ({100 * rest:.2g} %) are not shown", fontsize=8, color=GREY
        )

    # the members of each set
    for place, row in enumerate(shown):
        members = row["label"].split(" + ")
        inside = [line for line, name in enumerate(names) if name in members]
        below.plot([place] * len(names), range(len(names)), "o", color=FAINT, markersize=8, zorder=1)
        below.plot([place] * len(inside), inside, "o-", color=INK, markersize=8, linewidth=2, zorder=2)
    below.set_yticks(range(len(names)), [wrapped(name, 40) for name in names], fontsize=9)
    below.set_ylim(len(names) - 0.5, -0.5)
    below.set_xlabel("checkpoints that are right (filled); all others are wrong")
    below.set_xticks([])
    for axis in (above, below):
        for side in ("top", "right", "bottom") if axis is below else ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure
