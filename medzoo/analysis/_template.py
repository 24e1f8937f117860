"""TEMPLATE of an analysis. FILL IN: the question that it answers, in one sentence.

Source: FILL IN: authors, year, link of the measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.task_registry import load_task
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# FILL IN: what the user chooses. Each becomes a command-line option, with its help line, default and limits.
@dataclass(frozen=True)
class Options:
    """Options of the template."""

    task: str = option("the images to look at", "phantom_oct", metavar="TASK")
    root: str | None = option("folder of their data", None, metavar="DIR")
    images: int = option("how many images of each split", 16, metavar="N", least=2)


# FILL IN: what is measured. A row is a dict of texts and numbers: what was measured, on what, and the value.
def run(options: Options) -> list[dict[str, Any]]:
    """The mean brightness of each class in each split, in shares of the full range.

    Args:
        options: see Options.

    Returns:
        one row for each split and class: split, class, images, brightness.

    Raises:
        UsageError: for an option outside its limits.
    """
    check_values(options)
    task = load_task(options.task, root=options.root)
    rows: list[dict[str, Any]] = []
    for split, table in task.tables.items():
        found: dict[str, list[float]] = {}
        for index in range(min(options.images, table.num_rows)):
            pixels, label = task.read(split, index)
            low, high = pixels.range
            found.setdefault(task.classes[int(label)], []).append((float(np.mean(pixels.array)) - low) / (high - low))
        rows += [
            {"split": split, "class": name, "images": len(values), "brightness": sum(values) / len(values)}
            for name, values in sorted(found.items())
        ]
    return rows


# FILL IN: how the rows are drawn. Rows may come from a file: compute nothing here that is not in them.
def plot(rows: list[dict[str, Any]]) -> Figure:
    """One line for each split, over the classes.

    Args:
        rows: of `run`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")  # not pyplot: it needs no display and keeps no figure open
    axes = figure.subplots()
    for split in dict.fromkeys(row["split"] for row in rows):
        shown = [row for row in rows if row["split"] == split]
        axes.plot([row["class"] for row in shown], [row["brightness"] for row in shown], marker="o", label=split)
    axes.set_xlabel("class")
    axes.set_ylabel("brightness (share of the full range)")
    axes.legend()
    return figure
