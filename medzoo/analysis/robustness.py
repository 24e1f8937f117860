"""How far features move when images are changed as scanners, viewers and archives change them.

Source: transformation invariance of embeddings, as in THUNDER (https://arxiv.org/abs/2507.07860), here relative to the distance
between patients, so that networks can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.analysis.figures.style import interval_of
from medzoo.analysis.inputs.sides import random_sides, two_sides
from medzoo.analysis.invariance.changes import CHANGES, changed
from medzoo.analysis.invariance.drift import Drift, drift
from medzoo.analysis.invariance.figure import drift_figure
from medzoo.analysis.invariance.rows import difference, drift_row, mean_rows
from medzoo.errors import NotApplicableError
from medzoo.progress import Steps
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

TITLE = "Robustness"
QUESTION = "How far do the features move when window, gamma, noise, rotation, JPEG or resolution change?"
USES = ("networks", "images")


@dataclass(frozen=True)
class Options:
    """Options of the analysis of robustness."""

    drift_images: int = option("the most images that are changed", 100, metavar="N", least=3, most=10_000)
    drift_draws: int = option("random networks that drift is compared with", 1, metavar="N", least=1, most=20)


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The drift of the features for seven changes at three strengths, of both networks and of random weights.

    Args:
        inputs: the networks and the images.
        options: see Options.

    Returns:
        rows with a `measure`: "drift" (of each network, change and strength; also with `cosine`, 1 - cosine of the features,
        and `retrieval`, the share of changed images whose nearest original is their own), "drift: difference" (of each change),
        "mean drift" (of each network) and its difference. Intervals are over patients.

    Raises:
        UsageError: for an option outside its limits.
        NotApplicableError: with fewer than three images.
    """
    check_values(options)
    data = inputs.images.some(options.drift_images, inputs.options.seed)
    patients, seed = np.asarray(data.groups), inputs.options.seed
    if len(patients) < 3:
        raise NotApplicableError(f"Drift needs at least 3 images; there are {len(patients)}.", code="too-few-images")
    sides = [*two_sides(inputs), *random_sides(inputs, options.drift_draws)]
    names = {side.role: {"role": side.role, "network": side.name} for side in sides}
    rows: list[dict[str, Any]] = []
    found: dict[tuple[str, str], list[np.ndarray]] = {}  # of a role and a change: (N,) for each network and strength
    passes = 1 + sum(len(change.strengths) for change in CHANGES)
    with Steps("drift", passes * len(sides) * len(patients), "image") as steps:
        before = [inputs.outputs_of(side.network, data, steps.update) for side in sides]
        for change in CHANGES:
            for place, strength in enumerate(change.strengths):
                moved = changed(data, change, strength, seed)
                drifts: dict[str, list[Drift | None]] = {role: [] for role in names}
                for side, features in zip(sides, before, strict=True):
                    one = drift(features, inputs.outputs_of(side.network, moved, steps.update), patients)
                    drifts[side.role].append(one)
                    found.setdefault((side.role, change.name), []).extend([] if one is None else [one.relative])
                rows += [drift_row(names[role], change, place, drifts[role], patients) for role in names]
    # the means over strengths, and over all changes
    means = {key: np.mean(values, axis=0) for key, values in found.items() if values}
    for change in CHANGES:
        if ("first", change.name) in means and ("second", change.name) in means:
            pair = difference(means["first", change.name], means["second", change.name], patients)
            rows.append({"measure": "drift: difference", "change": change.name, **pair})
    of_role = {role: [value for (one, _), value in means.items() if one == role] for role in names}
    overall = {role: np.mean(values, axis=0) for role, values in of_role.items() if values}
    return rows + mean_rows(names, overall, patients)


def plot(rows: list[dict[str, Any]]) -> Figure:
    """A panel for each change: drift above, retrieval below.

    Args:
        rows: of `run`.
    """
    return drift_figure(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each network, change and strength, then the means and differences.

    Args:
        rows: of `run`.
    """
    return [
        {
            "measure": row["measure"],
            "change": row.get("change", ""),
            "strength": row.get("strength"),
            "network": row.get("network", "second minus first"),
            "value": row["value"],
            "low": row.get("low"),
            "high": row.get("high"),
            "own image nearest": row.get("retrieval"),
            "note": row.get("reason", ""),
        }
        for row in rows
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """Which network's features move less, by how much, and which change moves them most.

    Args:
        rows: of `run`.
    """
    means = {row["role"]: row for row in rows if row["measure"] == "mean drift"}
    missing = [row for row in means.values() if row["value"] is None and row["role"] != "random"]
    if missing:
        names = " and ".join(row["network"] for row in missing)
        return f"Drift is not known: {names} gives all images the same features."
    texts = [
        f"{row['value']:.2f}{interval_of(row, 2)} in {row['network']}"
        for role, row in means.items()
        if role != "random"
    ]
    null = means.get("random")
    text = "Averaged over all changes, features move by " + " and ".join(texts)
    text += f", {null['value']:.2f} with random weights" if null and null["value"] is not None else ""
    text += " (1 is the distance between patients)."
    worst = max(
        (row for row in rows if row["measure"] == "drift" and row["role"] != "random"), key=lambda row: row["value"]
    )
    text += (
        f" The largest drift is {worst['value']:.2f}, {worst['change']} {worst['strength']:g} in {worst['network']}."
    )
    overall = next(row for row in rows if row["measure"] == "mean drift: difference")
    if overall["low"] is None:
        return f"{text} The difference has no interval."
    if overall["low"] <= 0 <= overall["high"]:
        return f"{text} The difference of the networks is undecided{interval_of(overall, 2)}."
    less = "second" if overall["value"] < 0 else "first"
    return f"{text} The {less} network's features move less: {overall['value']:+.2f}{interval_of(overall, 2)}."
