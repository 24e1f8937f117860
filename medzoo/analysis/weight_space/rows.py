"""The rows of the analysis of weights: kernel CKA, uniqueness, distances, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from medzoo.analysis.inputs.sides import null_of
from medzoo.analysis.weight_space.layers import CommonLayers, LayerTensor, distance_and_cosine
from medzoo.analysis.weight_space.rbf_cka import centred_kernel, kernel_cka, some_rows, uniqueness, weight_rows
from medzoo.errors import listed

MOST_ROWS = (
    3200  # of a kernel of a first layer: the 3,136 rows of a 7 x 7 stem with 64 filters and 3 channels are complete
)
MOST_LATER_ROWS = 1600  # of other layers: a transformer has fifty layers with thousands of rows
EARLY = 3  # the first layers; of a ResNet these are conv1, layer1[0].conv1 and layer1[0].conv2, as in the paper
Row = dict[str, Any]
Drawn = Sequence[dict[str, torch.Tensor]]  # weights by name, one dict for each random network


def reuse_rows(pairs: Sequence[tuple[LayerTensor, LayerTensor]], random: Drawn, seed: int) -> list[Row]:
    """The CKA of the weights of each layer in both networks, and of the first network with random weights.

    Args:
        pairs: weights with equal shapes, in network order.
        random: of the first network's architecture.
        seed: of the draw of rows.
    """
    rows = []
    for place, (first, second) in enumerate(pairs):
        most = MOST_ROWS if place < EARLY else MOST_LATER_ROWS
        # the same rows of both networks and of the random ones
        others = [second.values, *(draw[first.name] for draw in random if first.name in draw)]
        kernel = centred_kernel(some_rows(weight_rows(first.values), most, seed))
        value, *drawn = [kernel_cka(kernel, centred_kernel(some_rows(weight_rows(one), most, seed))) for one in others]
        whole = first.values.numel() // first.values.shape[1]
        rows.append(
            {
                "measure": "reuse", "layer": first.layer, "place": place, "value": value,
                **null_of([one for one in drawn if one is not None]), "early": place < EARLY,
                "rows": min(whole, most), "all_rows": whole, "drawn": whole > most,
                "reason": "" if value is not None else "all rows of a layer are equal",
            }
        )  # fmt: skip
    return rows


def uniqueness_rows(tensors: Sequence[LayerTensor], random: Drawn, seed: int) -> list[Row]:
    """The uniqueness of the first layers of a network, and of the same layers with random weights.

    Args:
        tensors: the network's weights, in network order.
        random: of the same architecture.
        seed: of the draw of rows.
    """
    rows = []
    for place, one in enumerate(tensors[:EARLY]):
        whole = weight_rows(one.values)
        values = some_rows(whole, MOST_ROWS, seed)
        found = uniqueness(values)
        others = [weight_rows(draw[one.name]) for draw in random if one.name in draw]
        drawn = [uniqueness(some_rows(other, MOST_ROWS, seed)) for other in others]
        rows.append(
            {
                "measure": "uniqueness", "layer": one.layer, "place": place,
                "value": found and found.mean, "sd": found and found.sd,
                **null_of([draw.mean for draw in drawn if draw is not None]),
                "rows": len(values), "all_rows": len(whole), "drawn": len(whole) > len(values),
                "reason": "" if found else "too few rows, or a block of equal rows",
            }
        )  # fmt: skip
    return rows


def distance_rows(common: CommonLayers, random: Drawn) -> list[Row]:
    """How far each tensor of the second network is from that of the first, next to the distance of random weights.

    Args:
        common: of both networks.
        random: of the first network's architecture.
    """
    rows = []
    for place, (first, second) in enumerate(common.pairs):
        value, cosine = distance_and_cosine(first.values, second.values)
        null = [distance_and_cosine(first.values, draw[first.name])[0] for draw in random if first.name in draw]
        rows.append(
            {
                "measure": "distance", "layer": first.name, "kind": first.kind, "place": place, "value": value,
                "cosine": cosine, **null_of([one for one in null if one is not None]),
                "reason": "" if value is not None else "all values of the first network are zero",
            }
        )  # fmt: skip
    for first, second in common.other_shape:
        reason = f"the shapes differ: {first.shape} and {second.shape}"
        rows.append({"measure": "distance", "layer": first.name, "kind": first.kind, "value": None, "reason": reason})
    return rows


def name_rows(common: CommonLayers, sides: Sequence[tuple[str, str]]) -> list[Row]:
    """The tensors that only one of the networks has.

    Args:
        common: of both networks.
        sides: role and name of each network.
    """
    return [
        {"measure": "only in one network", "role": role, "network": name, "value": len(names),
         "layers": listed(names, 40), "reason": ""}
        for (role, name), names in zip(sides, (common.only_first, common.only_second), strict=True)
        if names
    ]  # fmt: skip
