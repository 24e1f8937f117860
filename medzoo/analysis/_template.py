"""TEMPLATE of an analysis. FILL IN: the question that it answers, in one sentence.

Source: FILL IN: authors, year, link of the measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

# FILL IN: the heading of its part of a report, the question that it answers, and what decides its numbers (the names are in
# medzoo/analysis/inputs/inputs.py: USES): the stored rows are used again as long as these do not change.
TITLE = "Template"
QUESTION = "How bright are the images of each class?"
USES = ("images",)


# FILL IN: what the user chooses. Each becomes a command-line option, with its help line, default and limits.
@dataclass(frozen=True)
class Options:
    """Options of the template."""

    share: float = option("part of the range that counts as bright", 0.5, metavar="SHARE", above=0, most=1)


# FILL IN: what is measured. A row is a dict of texts and numbers: what was measured, on what, and the value.
def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The share of bright pixels of each class.

    Args:
        inputs: the task and its images; networks and stored runs are there too.
        options: see Options.

    Returns:
        one row for each class: class, images, value.

    Raises:
        UsageError: for an option outside its limits.
    """
    check_values(options)
    data = inputs.images
    bright = (np.asarray(data.images) > options.share * data.scale).reshape(len(data.ids), -1).mean(axis=1)
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(inputs.task.classes):
        values = bright[np.asarray(data.labels) == place]
        value = float(values.mean()) if len(values) else None
        rows.append({"class": name, "images": len(values), "value": value, "reason": "" if len(values) else "no image"})
    return rows


# FILL IN: how the rows are drawn. Rows may come from a file: compute nothing here that is not in them.
def plot(rows: list[dict[str, Any]]) -> Figure:
    """One bar for each class.

    Args:
        rows: of `run`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")  # not pyplot: it needs no display and keeps no figure open
    axes = figure.subplots()
    shown = [row for row in rows if row["value"] is not None]
    axes.bar([row["class"] for row in shown], [row["value"] for row in shown])
    axes.set_ylabel("share of bright pixels")
    return figure


# FILL IN: the rows that a page shows; the keys are the headings.
def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each class.

    Args:
        rows: of `run`.
    """
    return [{"class": row["class"], "images": row["images"], "share of bright pixels": row["value"]} for row in rows]


# FILL IN: the answer to QUESTION, computed from the rows.
def sentence(rows: list[dict[str, Any]]) -> str:
    """The brightest class.

    Args:
        rows: of `run`.

    >>> sentence([{"class": "normal", "images": 3, "value": 0.25, "reason": ""}])
    'The brightest class is normal: 25 % of its pixels are bright.'
    """
    shown = [row for row in rows if row["value"] is not None]
    if not shown:
        return "No class has an image."
    best = max(shown, key=lambda row: row["value"])
    return f"The brightest class is {best['class']}: {best['value']:.0%} of its pixels are bright.".replace(
        "%", " %", 1
    )
