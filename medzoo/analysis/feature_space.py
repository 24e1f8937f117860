"""The space of pooled features: a map of both networks, and how well classes and domains can be separated in it.

Source: a domain classifier on features, as the proxy distance of Ben-David et al. 2010 (https://doi.org/10.1007/s10994-009-5152-4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from medzoo.analysis.feature_map.figure import feature_space_figure
from medzoo.analysis.feature_map.groups import class_names, targets
from medzoo.analysis.feature_map.rows import map_rows, separability_rows
from medzoo.analysis.figures.style import interval_of
from medzoo.analysis.inputs.images import image_facts, task_facts
from medzoo.analysis.inputs.sides import Side, random_sides, two_sides
from medzoo.analysis.sites.columns import check_values_differ, column_values, usual_column
from medzoo.errors import UsageError
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs
    from medzoo.data.decode_cache.decoded import Decoded
    from medzoo.data.task import Task

TITLE = "Feature space"
QUESTION = "Do the features of the networks separate the classes, and do they separate where the images come from?"
USES = ("networks", "images")


@dataclass(frozen=True)
class Options:
    """Options of the analysis of the feature space."""

    feature_map: Literal["pca", "umap"] = option("axes of the map: principal components, or UMAP (umap-learn)", "pca")
    domain_task: str | None = option(
        "a second task, for example of natural images: a classifier separates its images from the task's",
        metavar="NAME",
    )
    domain_root: str | None = option("folder of the second task's data", metavar="DIR")
    domain_groups: str | None = option("column with the patients of the second task, or none", metavar="COLUMN")
    domain_column: str | None = option(
        "column of the task whose values are the domains", metavar="COLUMN",
        shown="the first of site, scanner, manufacturer, center, hospital, device, view",
    )  # fmt: skip
    feature_draws: int = option("random networks that separability is compared with", 2, metavar="N", least=1, most=20)


@dataclass(frozen=True)
class _Domains:
    """The domains of images: features by network, names, patients."""

    features: dict[int, np.ndarray]
    names: np.ndarray
    patients: np.ndarray

    def of(self, side: Side) -> np.ndarray:
        """The features of a network."""
        return self.features[id(side)]


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The maps of both networks and of random weights, and the AUROC with which classes and domains can be separated.

    Args:
        inputs: the networks and the images.
        options: see Options.

    Returns:
        rows with a `measure`: "map of classes", "map of domains" (a row for each network and group), "class separability",
        "domain separability" and the differences of the two networks.

    Raises:
        UsageError: for an option outside its limits, an unknown column, or two kinds of domains.
        NotApplicableError: if all images have the same domain.
    """
    _check(options)
    sides, random = two_sides(inputs), random_sides(inputs, options.feature_draws)
    shown, seed, data = (*sides, random[0]), inputs.options.seed, inputs.images
    patients = np.asarray(data.groups)
    # the classes
    task, labels = inputs.task, np.asarray(data.labels)
    names = class_names(task.kind, task.classes, labels)
    rows: list[dict[str, Any]] = []
    for side in shown:
        rows += map_rows("map of classes", side, inputs.outputs(side.network), names, options.feature_map, seed)
    aims, used = targets(task.info, task.classes, labels)
    if aims is None:
        reason = f"the task is {task.kind}, without classes"
        rows += [_missing("class separability", side, reason) for side in sides]
    else:
        rows += separability_rows(
            "class separability", sides, random, lambda side: inputs.outputs(side.network)[used], aims[used], patients[used],
            seed,
        )  # fmt: skip
    # the domains
    domains = _domains(inputs, options, (*sides, *random))
    if domains is None:
        reason = "the task has no column of sites: name one with --domain-column, or another task with --domain-task"
        return rows + [_missing("domain separability", side, reason) for side in sides]
    for side in shown:
        rows += map_rows("map of domains", side, domains.of(side), domains.names, options.feature_map, seed)
    return rows + separability_rows(
        "domain separability", sides, random, domains.of, domains.names, domains.patients, seed
    )


def other_inputs(inputs: ComparedInputs, options: Options) -> dict[str, Any]:
    """The images of the second task, for the identity; nothing without one.

    Args:
        inputs: of the comparison.
        options: see Options.
    """
    _check(options)
    if options.domain_task is None:
        return {}
    second, images = _second(inputs, options.domain_task, options)
    return {"domain_images": {**task_facts(second), **image_facts(images, inputs.options.split, inputs.options.seed)}}


def _check(options: Options) -> None:
    check_values(options)
    if options.domain_task and options.domain_column:
        raise UsageError("Give --domain-task or --domain-column, not both.", code="two-kinds-of-domains")


def _second(inputs: ComparedInputs, task: str, options: Options) -> tuple[Task, Decoded]:
    """The second task, with as many images at most."""
    return inputs.other_images(task, root=options.domain_root, groups=options.domain_groups)


def _missing(measure: str, side: Side, reason: str) -> dict[str, Any]:
    return {"measure": measure, "role": side.role, "network": side.name, "value": None, "reason": reason}


def _domains(inputs: ComparedInputs, options: Options, sides: tuple[Side, ...]) -> _Domains | None:
    """The images of two tasks, or the images of the task by a column; None without either."""
    data, split = inputs.images, inputs.options.split
    own = np.array([f"1 {group}" for group in data.groups])
    if options.domain_task is None:
        column = options.domain_column or usual_column(inputs.task, split)
        if column is None:
            return None
        values = column_values(inputs.task, split, data.ids, column, "--domain-column")
        check_values_differ(values, column)
        known = values != ""
        features = {id(side): inputs.outputs(side.network)[known] for side in sides}
        return _Domains(features, np.array([f"{column} {value}" for value in values[known]]), own[known])
    second, images = _second(inputs, options.domain_task, options)
    features = {
        id(side): np.concatenate([inputs.outputs(side.network), inputs.outputs_of(side.network, images)])
        for side in sides
    }
    tasks = [inputs.task.name.rpartition("/")[2], second.name.rpartition("/")[2]]
    names = np.repeat(
        tasks if tasks[0] != tasks[1] else ["first task", "second task"], [len(data.ids), len(images.ids)]
    )
    return _Domains(features, names, np.concatenate([own, np.array([f"2 {group}" for group in images.groups])]))


def plot(rows: list[dict[str, Any]]) -> Figure:
    """A row of maps for classes and one for domains, each with its separability.

    Args:
        rows: of `run`.
    """
    return feature_space_figure(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each separability; the maps are in the figure.

    Args:
        rows: of `run`.
    """
    return [
        {
            "measure": row["measure"],
            "network": row.get("network", "second minus first"),
            "value": row["value"],
            "low": row.get("low"),
            "high": row.get("high"),
            "random weights": row.get("baseline"),
            "note": row["reason"],
        }
        for row in rows
        if not row["measure"].startswith("map of")
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """How well classes and domains are separated, against random weights, and which network does it better.

    Args:
        rows: of `run`.
    """
    return " ".join(_part(rows, measure, what) for measure, what in (
        ("class separability", "the classes"), ("domain separability", "the domains")
    ))  # fmt: skip


def _part(rows: list[dict[str, Any]], measure: str, what: str) -> str:
    mine = [row for row in rows if row["measure"] == measure]
    shown = [row for row in mine if row["value"] is not None]
    if not shown:
        return f"Separability of {what} is not known: {mine[0]['reason']}."
    texts = [f"AUROC {row['value']:.2f}{interval_of(row, 2)} in {row['network']}" for row in shown]
    null = "" if shown[0]["baseline"] is None else f", {shown[0]['baseline']:.2f} with random weights"
    text = f"A linear classifier separates {what} with {' and '.join(texts)}{null}."
    difference = next((row for row in rows if row["measure"] == f"{measure}: difference"), None)
    if difference is None or difference["low"] is None:
        return f"{text} The difference has no interval."
    if difference["low"] <= 0 <= difference["high"]:
        return f"{text} The difference of the networks is undecided{interval_of(difference, 2)}."
    better = "second" if difference["value"] > 0 else "first"
    return f"{text} The {better} network separates them more clearly: {difference['value']:+.2f}{interval_of(difference, 2)}."
