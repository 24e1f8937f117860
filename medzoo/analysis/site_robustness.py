"""Whether the neighbours of an image share its class or its site: the robustness index of PathoROB, for any column of a task.

Source: Kömen et al. 2025 (https://arxiv.org/abs/2507.17845).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.analysis.figures.style import interval_of
from medzoo.analysis.inputs.sides import random_sides, two_sides
from medzoo.analysis.sites.columns import USUAL, check_values_differ, column_values, usual_column
from medzoo.analysis.sites.figure import sites_figure
from medzoo.analysis.sites.neighbours import nearest_neighbours, neighbour_counts
from medzoo.analysis.sites.rows import difference_row, index_row
from medzoo.errors import NotApplicableError
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

TITLE = "Robustness to sites"
QUESTION = "Do the nearest neighbours of an image share its class or its site?"
USES = ("networks", "images")
LEAST = 10  # patients of a class that has a row of its own


@dataclass(frozen=True)
class Options:
    """Options of the analysis of sites."""

    site_column: str | None = option(
        "column of the task with the site, scanner or view of each image",
        metavar="COLUMN",
        shown="the first of " + ", ".join(USUAL),
    )
    site_neighbours: int = option("neighbours of each image", 10, metavar="K", least=1, most=1000)
    site_draws: int = option("random networks that the index is compared with", 5, metavar="N", least=1, most=50)


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The robustness index of both networks, next to chance and to random weights; `balanced` is 0.5 at chance.

    Args:
        inputs: the networks and the images.
        options: see Options.

    Returns:
        rows with a `measure`: "robustness index" (of each network), "robustness index of a class" (classes with at least ten
        patients), and the difference of the networks. Intervals are over patients.

    Raises:
        UsageError: for an option outside its limits, or an unknown column.
        NotApplicableError: if the task has no such column, only one site, or no classes.
    """
    check_values(options)
    task, data, split, seed = inputs.task, inputs.images, inputs.options.split, inputs.options.seed
    if task.kind not in ("binary", "multiclass", "multilabel"):
        raise NotApplicableError(f"The task is {task.kind}: the index needs classes.", code="index-needs-classes")
    column = options.site_column or usual_column(task, split)
    if column is None:
        raise NotApplicableError(
            f"{task.name} has none of the columns {', '.join(USUAL)}. Name the column of the sites with --site-column.",
            code="no-site-column",
        )
    sites = column_values(task, split, data.ids, column, "--site-column")
    check_values_differ(sites, column)
    known = sites != ""
    labels, patients, sites = np.asarray(data.labels)[known], np.asarray(data.groups)[known], sites[known]
    # the index of all images
    sides, random = two_sides(inputs), random_sides(inputs, options.site_draws)

    near = {
        side: nearest_neighbours(inputs.outputs(side.network)[known], patients, options.site_neighbours)
        for side in (*sides, *random)
    }
    found = {side: neighbour_counts(rows_near, labels, sites, patients) for side, rows_near in near.items()}
    of = {"column": column, "sites": len(set(sites.tolist())), "neighbours": options.site_neighbours}
    null = [found[side] for side in random]
    rows = [
        index_row({"measure": "robustness index", "role": side.role, "network": side.name, **of}, found[side], null, seed)
        for side in sides
    ]  # fmt: skip
    paired = difference_row(found[sides[0]], found[sides[1]], seed)
    rows += [] if paired is None else [paired]
    # the index of each class: the images of one class, with all images as possible neighbours
    for place, name in enumerate(task.classes):
        mine = labels[:, place] == 1 if labels.ndim == 2 else labels == place
        if len(set(patients[mine])) < LEAST:
            continue
        one = (labels[:, place] if labels.ndim == 2 else labels == place).astype(np.float64)[:, None]
        several = {
            side: neighbour_counts(rows_near, one, sites, patients).part(mine) for side, rows_near in near.items()
        }
        of_class = {"measure": "robustness index of a class", "label": name, **of}
        null = [several[side] for side in random]
        rows += [
            index_row({**of_class, "role": side.role, "network": side.name}, several[side], null, seed)
            for side in sides
        ]
    return rows


def plot(rows: list[dict[str, Any]]) -> Figure:
    """The index of both networks for all images and for each class.

    Args:
        rows: of `run`.
    """
    return sites_figure(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each network, of all images and of each class.

    Args:
        rows: of `run`.
    """
    return [
        {
            "measure": row["measure"],
            "class": row.get("label", ""),
            "network": row.get("network", "second minus first"),
            "value": row["value"],
            "low": row.get("low"),
            "high": row.get("high"),
            "random neighbours": row.get("chance"),
            "random weights": row.get("baseline"),
            "balanced": row.get("balanced"),
            "note": row.get("reason", ""),
        }
        for row in rows
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """The index of both networks against chance and random weights, and their difference.

    Args:
        rows: of `run`.
    """
    mine = [row for row in rows if row["measure"] == "robustness index"]
    shown = [row for row in mine if row["value"] is not None]
    if len(shown) < 2:
        return f"The robustness index is not known: {next(row['reason'] for row in mine if row['reason'])}."
    first = shown[0]
    texts = [f"{row['value']:.2f}{interval_of(row, 2)} in {row['network']} ({_against_chance(row)})" for row in shown]
    text = f"The robustness index for {first['column']} is {' and '.join(texts)}"
    text += f"; neighbours drawn at random give {first['chance']:.2f}"
    text += "" if first["baseline"] is None else f", random weights {first['baseline']:.2f}"
    paired = next((row for row in rows if row["measure"] == "balanced robustness index: difference"), None)
    if paired is None or paired["low"] is None:
        return f"{text}. The difference has no interval."
    if paired["low"] <= 0 <= paired["high"]:
        return f"{text}. The difference of the networks is undecided{interval_of(paired, 2)}, in the balanced index."
    better = "second" if paired["value"] > 0 else "first"
    return (
        f"{text}. The {better} network depends less on {first['column']}: the balanced index differs by {paired['value']:+.2f}"
        f"{interval_of(paired, 2)}."
    )


def _against_chance(row: dict[str, Any]) -> str:
    if row["balanced_low"] is None:
        return "no interval"
    if row["balanced_low"] > 0.5:
        return "more than chance: neighbours share the class"
    return "less than chance: neighbours share the site" if row["balanced_high"] < 0.5 else "like chance"
