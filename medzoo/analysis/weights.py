"""The weights of two networks: first filters, feature reuse and uniqueness, and the distance between the networks in each layer.

Source: Juodelyte et al. 2023 (filters); Jonske et al. 2025 (reuse and uniqueness by CKA of weights with RBF kernels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.analysis.inputs.sides import Side, two_sides
from medzoo.analysis.weight_space.figure import weights_figure
from medzoo.analysis.weight_space.filters import filter_pixels, filter_row, first_convolution
from medzoo.analysis.weight_space.layers import common_layers, dead_filters, layer_tensors, weight_layers
from medzoo.analysis.weight_space.rows import distance_rows, name_rows, reuse_rows, uniqueness_rows
from medzoo.errors import NotApplicableError
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

TITLE = "Weights"
QUESTION = "Which layers have similar weights in both networks, and how far apart are they?"
USES = ("networks",)
CLEAR = (
    0.05  # a few random networks say little about the tail of their values: a layer agrees if it exceeds them by this
)


@dataclass(frozen=True)
class Options:
    """Options of the analysis of weights."""

    weight_draws: int = option(
        "random networks that weights are compared with", 2, metavar="N", least=1, most=20
    )  # a kernel of a wide layer takes about a second


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """Filters, CKA of weights, uniqueness and distances.

    Args:
        inputs: the two networks.
        options: see Options.

    Returns:
        rows with a `measure`: "filters" and "dead filters" (of each network), "reuse" (of each layer with weights),
        "uniqueness" (of the first layers of each network), "distance" (of each tensor), "only in one network".

    Raises:
        NotApplicableError: if the networks have no layer with the same name and shape.
        UsageError: for an option outside its limits.
    """
    check_values(options)
    sides = two_sides(inputs)
    first, second = (layer_tensors(side.network.module) for side in sides)
    common = common_layers(first, second)
    if not any(one.kind == "weight" for one, _ in common.pairs):
        names = " and ".join(side.network.architecture for side in sides)
        raise NotApplicableError(
            f"{names} have no layer with the same name and shape, so their weights cannot be compared.",
            code="no-common-layers",
        )
    draws = [
        [
            {one.name: one.values for one in weight_layers(layer_tensors(inputs.random(place, draw).module))}
            for draw in range(options.weight_draws)
        ]
        for place in range(2)
    ]
    pairs = [pair for pair in common.pairs if pair[0].kind == "weight"]
    rows = [row for side in sides for row in _filters(side)]
    rows += reuse_rows(pairs, draws[0], inputs.options.seed)
    for side, tensors, random in zip(sides, (first, second), draws, strict=True):
        found = uniqueness_rows(weight_layers(tensors), random, inputs.options.seed)
        rows += [{"role": side.role, "network": side.name, **row} for row in found]
    rows += distance_rows(common, draws[0])
    return rows + name_rows(common, [(side.role, side.name) for side in sides])


def _filters(side: Side) -> list[dict[str, Any]]:
    """The filters of the first convolution, and how many filters of all convolutions are dead."""
    of = {"role": side.role, "network": side.name}
    found = first_convolution(side.network.module)
    if found is None:
        return [{"measure": "filters", **of, "value": None, "reason": "the network has no convolution"}]
    convolutions = [one.values for one in weight_layers(layer_tensors(side.network.module)) if one.values.ndim == 4]
    dead = sum(dead_filters(values) for values in convolutions)
    total = sum(len(values) for values in convolutions)
    return [
        {"measure": "filters", **of, **filter_row(filter_pixels(*found)), "reason": ""},
        {"measure": "dead filters", **of, "layer": "all convolutions", "value": dead, "filters": total, "reason": ""},
    ]


def plot(rows: list[dict[str, Any]]) -> Figure:
    """The filters of both networks, reuse and distance of each layer, uniqueness of the first layers.

    Args:
        rows: of `run`.
    """
    return weights_figure(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each layer and measure; filters are in the figure.

    Args:
        rows: of `run`.
    """
    return [
        {
            "measure": row["measure"],
            "layer": row.get("layer", ""),
            "network": row.get("network", "both"),
            "value": row["value"],
            "random weights": row.get("baseline"),
            "note": row["reason"],
        }
        for row in rows
        if row["measure"] != "filters"
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """Where the weights agree more than with random weights, and which layer is farthest away.

    Args:
        rows: of `run`.
    """
    reuse = [row for row in rows if row["measure"] == "reuse" and row["value"] is not None]
    moved = [
        row for row in rows if row["measure"] == "distance" and row["value"] is not None and row["kind"] == "weight"
    ]
    if not reuse or not moved:
        return "No layer has weights that can be compared."
    if all(row["value"] == 0 for row in moved):
        return f"All {len(moved)} layers have the same weights in both networks."
    parts = [_reuse_text(reuse)]
    far, near = max(moved, key=lambda row: row["value"]), min(moved, key=lambda row: row["value"])
    parts.append(
        f"The distance between the weights of a layer is {_median(moved):.2f} times the length of the first network's (median), "
        f"from {near['value']:.2f} in {near['layer']} to {far['value']:.2f} in {far['layer']}."
    )
    dead = {row["network"]: row["value"] for row in rows if row["measure"] == "dead filters" and row["value"]}
    if dead:
        parts.append("Dead filters: " + ", ".join(f"{count} in {name}" for name, count in dead.items()) + ".")
    return " ".join(parts)


def _reuse_text(reuse: list[dict[str, Any]]) -> str:
    """How many layers agree more than random weights do."""
    known = [row for row in reuse if row["baseline_high"] is not None]
    above = [row for row in known if row["value"] > row["baseline_high"] + CLEAR]
    early = ", ".join(f"{row['value']:.2f} in {row['layer']}" for row in reuse if row["early"])
    text = (
        f"Feature reuse (CKA of weights, 1 is equal) is {early}; its median over {len(reuse)} layers is {_median(reuse):.2f}"
        f", random weights give {float(np.median([row['baseline'] for row in known])):.2f}"
        if known
        else f"Feature reuse (CKA of weights, 1 is equal) is {early}"
    )
    if not above:
        return f"{text}. No layer agrees more than random weights do: nothing of the first network can be seen in the second."
    return f"{text}. {len(above)} of {len(known)} layers agree more than random weights do."


def _median(rows: list[dict[str, Any]]) -> float:
    return float(np.median([row["value"] for row in rows]))
