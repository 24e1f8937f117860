"""The networks of a comparison with the names that rows use: first, second, and random weights of their architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medzoo.analysis.inputs.inputs import ComparedInputs
from medzoo.analysis.inputs.networks import OpenedNetwork


@dataclass(frozen=True)
class Side:
    """A network of a comparison.

    Args:
        role: "first", "second" or "random".
        name: short, and different for the two networks.
        network: loaded.
    """

    role: str
    name: str
    network: OpenedNetwork


def two_sides(inputs: ComparedInputs) -> tuple[Side, Side]:
    """The two networks with their names.

    Args:
        inputs: of the comparison.
    """
    (first, second), names = inputs.networks, inputs.titles
    return Side("first", names[0], first), Side("second", names[1], second)


def random_sides(inputs: ComparedInputs, draws: int) -> list[Side]:
    """Random weights of both architectures: the null of a measure; one network for each draw if both are of one architecture.

    Args:
        inputs: of the comparison.
        draws: networks of each architecture.
    """
    first, second = inputs.networks
    same = first.architecture == second.architecture and first.convention == second.convention
    places = (0,) if same else (0, 1)
    return [
        Side("random", f"random {inputs.networks[place].architecture}", inputs.random(place, draw))
        for draw in range(draws)
        for place in places
    ]


def null_of(values: Sequence[float]) -> dict[str, float | None]:
    """The mean and the range of a measure over random networks.

    Args:
        values: one for each draw.

    >>> null_of([0.25, 0.75])
    {'baseline': 0.5, 'baseline_low': 0.25, 'baseline_high': 0.75}
    """
    if not values:
        return {"baseline": None, "baseline_low": None, "baseline_high": None}
    return {"baseline": float(np.mean(values)), "baseline_low": min(values), "baseline_high": max(values)}
