"""A table as a figure: a panel for each column, a line for each checkpoint, a dot for each run."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.formats.text import text
from medzoo.bench.table.model import Column
from medzoo.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.bench.table.model import TableData

ACROSS = 4  # panels in a row
INK, DOT, FAINT, REPORTED = "#1b1f24", "#1f6fb2", "#e6eaee", "#8a949e"


def figure(table: TableData) -> Figure:
    """Draw the table without pyplot, so that no global state changes."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "recipes", "Drawing a table") from error

    # the size of the figure, from the numbers of panels and lines
    across = min(ACROSS, len(table.columns))
    down = -(-len(table.columns) // across)
    longest = max(len(row.label) for row in table.rows)
    labels = 0.085 * min(longest, 44) + 0.25  # inches
    titles = max(
        1 + len(_words(c.title, 44).splitlines()) + len(_words(c.detail, 44).splitlines()) for c in table.columns
    )
    panel = 0.75 + 0.15 * titles + 0.42 * len(table.rows)
    width, height = labels + 3.5 * across, 0.65 + panel * down
    drawn = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    drawn.suptitle(_words(table.title, int(9 * width)), fontsize=13, fontweight="bold", color=INK, x=0.01, ha="left")

    # a panel for each column
    axes = drawn.subplots(down, across, squeeze=False).ravel()
    for i, (axis, column) in enumerate(zip(axes, table.columns, strict=False)):
        _panel(axis, table, column, [cells[i] for cells in table.grid], first=i % across == 0)
    for axis in axes[len(table.columns) :]:
        axis.set_visible(False)

    # the legend
    cells = [cell for row in table.grid for cell in row]
    legend = "Dots: runs." if any(len(cell.runs) > 1 for cell in cells) else ""
    if any(cell.shows_interval for cell in cells):
        legend += " Bar and line: mean with its 95 % interval, shown as mean [low, high] (n)."
    if any(cell.shows_sd for cell in cells):
        other = "Others" if any(cell.shows_interval for cell in cells) else "Bar and line"
        legend += f" {other}: mean ± sample sd over n runs, shown as mean ± sd (n)."
    if any(column.source for column in table.columns):
        legend += " Grey: published by the study (mean ± standard deviation), not run here."
    if any(column.folds is not None and not column.source for column in table.columns):
        legend = legend.replace("over n runs", "over n runs (or folds)")
    if any(column.drawn for column in table.columns):
        legend = legend.replace("over n runs", "over n runs (or draws)")
    drawn.supxlabel(f"{legend} {table.generator}", fontsize=8, color="#5b6570", x=0.01, ha="left")
    return drawn


def png(table: TableData) -> bytes:
    """The figure as PNG, with the table as plain text in its field "Description"; the same table gives the same bytes."""
    buffer = io.BytesIO()
    figure(table).savefig(buffer, format="png", dpi=150, metadata={"Software": None, "Description": text(table)})
    return buffer.getvalue()


def _panel(axis: Any, table: TableData, column: Column, cells: list[TableCell], *, first: bool) -> None:  # noqa: ANN401 - matplotlib's
    # title, labels and axes
    detail = f"\n{_words(column.detail, 44)}" if column.detail else ""
    axis.set_title(f"{_words(column.title, 44)}\n{column.heading}{detail}", fontsize=10, color=INK, loc="left")
    axis.set_ylim(len(cells) - 0.5, -0.5)
    axis.set_yticks(
        range(len(cells)), [_words(_short(row.label)) for row in table.rows] if first else [""] * len(cells)
    )
    axis.tick_params(axis="y", length=0, labelsize=9, colors=INK)
    axis.tick_params(axis="x", labelsize=8, colors="#5b6570")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color("#b8c0c8")
    axis.locator_params(axis="x", nbins=4)

    # each cell: a bar of its interval or of mean ± sd, a dot for each run, a line for the mean, and the text
    for y, cell in enumerate(cells):
        axis.axhline(y, color=FAINT, linewidth=1, zorder=0)
        values, colour = cell.shown_values, DOT if cell.published is None else REPORTED
        if (ends := cell.ends) is not None:
            axis.plot(ends, [y, y], color=colour, alpha=0.45, linewidth=4, zorder=2)
        if values:
            axis.plot(
                values, [y] * len(values), "o", color=colour, alpha=0.75, markersize=5, markeredgewidth=0, zorder=3
            )
        if cell.mean is not None and len(values) > 1:
            axis.plot([cell.mean, cell.mean], [y - 0.24, y + 0.24], color=INK, linewidth=1.8, zorder=4)
        axis.text(
            1.03,
            y,
            cell.worded(column.digits),
            transform=axis.get_yaxis_transform(),
            va="center",
            ha="left",
            fontsize=9,
            color=INK if cell.mean is not None and cell.published is None else REPORTED,
        )
    if not any(cell.values for cell in cells):
        axis.set_xticks([])
    if column.size:
        axis.set_xlabel(column.size.replace(", mean", ",\nmean"), fontsize=8, color="#5b6570", loc="left")


def _short(label: str, longest: int = 44) -> str:
    """A label in at most two lines; of a longer one, beginning and end, since rows often differ at the end only.

    >>> _short("ResNet-18, CIFAR-10, then SimCLR", 20), _short("abcdefghijklmnop", 4)
    ('ResNet-18, CIFAR-10,\\nthen SimCLR', 'abc…\\nmnop')
    """
    lines = textwrap.wrap(label, longest) or [""]
    return "\n".join(lines) if len(lines) <= 2 else f"{label[: longest - 1]}…\n{label[-longest:]}"


def _words(text: str, longest: int | None = None) -> str:
    """Text with escaped dollar signs, so that it is not read as a formula, and with wrapped lines."""
    lines = textwrap.wrap(text, longest) if longest else [text]
    return "\n".join(lines).replace("$", r"\$")
