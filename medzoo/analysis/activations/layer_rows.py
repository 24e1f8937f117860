"""The rows of a representation analysis: every measure of every pair of layers, next to its references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medzoo.analysis.activations.accumulate import LayerSums, Sampling, accumulate, spread_over_images, whole_images
from medzoo.analysis.activations.baseline import Baseline, kept_baseline
from medzoo.analysis.activations.capture import batches
from medzoo.analysis.activations.grid import as_grid, common_grid
from medzoo.analysis.activations.layers import LayerPair
from medzoo.analysis.activations.measured import LayerMeasure, of_covariances, of_pooled
from medzoo.analysis.inputs.inputs import ComparedInputs
from medzoo.analysis.inputs.networks import OpenedNetwork
from medzoo.analysis.similarity.cka import cka_matrix
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.rng import permutation
from medzoo.errors import NotApplicableError

CHANNELS, POSITIONS, DRAWS = 64, 10_000, 5  # of Juodelyte 2023
POOLED_DRAWS = 5  # of the measures on pooled vectors, where a draw costs little
ACROSS = "cka_debiased"  # the measure of layers of different depth

Row = dict[str, Any]
Networks = tuple[OpenedNetwork, OpenedNetwork]


def rows_of_layers(
    inputs: ComparedInputs,
    pairs: Sequence[LayerPair],
    *,
    samples: int,
    pooled: bool,
    null_draws: int,
    kernel_images: int,
) -> list[Row]:
    """All measures of all pairs of layers.

    Args:
        inputs: two networks and images.
        pairs: of layers.
        samples: positions of each layer over all images.
        pooled: whether a sample is the mean of an image.
        null_draws: permutations of the images.
        kernel_images: for the measures that compare all pairs of images.

    Raises:
        NotApplicableError: if no measure is defined for any layer.
    """

    def sums_of(networks: Networks, title: str) -> list[LayerSums]:
        sums, outputs = accumulate(
            networks, pairs, inputs.images, size=inputs.size, device=inputs.device, batch_size=inputs.options.batch_size,
            sampling=spread_over_images(samples), seed=inputs.options.seed, pooled=pooled, null_draws=null_draws,
            pooled_images=kernel_images, title=title,
        )  # fmt: skip
        for network, array in zip(networks, outputs, strict=True):
            inputs.keep_outputs(network, array)
        return sums

    def baseline() -> Baseline:
        random = sums_of(inputs.random_pair, "activations of random networks")
        return [of_covariances(replace(one, nulls=[])) | of_pooled(one, seed=seed, draws=0) for one in random]

    seed = inputs.options.seed
    key = {
        "networks": [network.key for network in inputs.random_pair], "images": inputs.images.sha256,
        "size": inputs.size, "seed": seed, "samples": samples, "pooled": pooled, "kernel_images": kernel_images,
        "layers": [[pair.first, pair.second] for pair in pairs],
    }  # fmt: skip
    rows: list[Row] = []
    sums = sums_of(inputs.networks, "activations")
    for one, random in zip(sums, kept_baseline(key, baseline), strict=True):
        known = of_covariances(one) | of_pooled(one, seed=seed, draws=max(POOLED_DRAWS, null_draws))
        rows += [_row(one, name, measure, random[name]) for name, measure in known.items()]
    if all(row["value"] is None for row in rows):
        raise NotApplicableError(f"No measure is defined: {rows[0]['reason']}", code="no-measure-defined")
    return rows + _across(sums, pairs)


def _across(sums: Sequence[LayerSums], pairs: Sequence[LayerPair]) -> list[Row]:
    """Debiased CKA of layers of different depth."""
    xs, ys = ([np.concatenate(one.pooled[side]) for one in sums] for side in (0, 1))
    if len(sums) < 2 or any((side == side[:1]).all() for side in (*xs, *ys)) or len(xs[0]) < 4:
        return []
    values = cka_matrix(xs, ys, kind="debiased")
    return [
        {
            "measure": ACROSS, "layer": a.first, "other_layer": b.second, "value": float(values[i, j]), "null": None,
            "baseline": None, "sd": None, "samples": len(xs[0]), "images": len(xs[0]), "units": xs[i].shape[1],
            "other_units": ys[j].shape[1], "paired": False, "reason": "",
        }
        for i, a in enumerate(pairs) for j, b in enumerate(pairs) if i != j
    ]  # fmt: skip


def juodelyte_rows(inputs: ComparedInputs, pairs: Sequence[LayerPair], *, null_draws: int) -> list[Row]:
    """Mean CCA in the setting of Juodelyte 2023: 64 random channels, the same in both networks, about 10,000 positions, 5 draws.

    Each draw takes other images and other channels; the study has no seed, here it is the seed of the comparison. Whole images
    are used: 1 for 112 x 112 positions, 204 for 7 x 7. The references are drawn in the same way.

    Args:
        inputs: two networks and images.
        pairs: of layers.
        null_draws: permutations of the images for each draw.

    Raises:
        NotApplicableError: if no layer has 64 channels in both networks.

    Source: Juodelyte et al. 2023, https://arxiv.org/abs/2302.08272; the file CCA.py of their code.
    """
    images = inputs.images
    sampling = whole_images(POSITIONS)
    most = max(sampling(grid, len(images.ids))[0] for grid in _grids(inputs, pairs))
    own: list[list[LayerSums]] = []
    random: list[list[LayerSums]] = []
    for draw in range(DRAWS):
        seed = inputs.options.seed + draw
        part = _part(images, permutation("juodelyte2023", seed, 0, len(images.ids))[:most])
        own.append(_sums(inputs, inputs.networks, pairs, part, sampling, seed, null_draws))
        random.append(_sums(inputs, inputs.random_pair, pairs, part, sampling, seed, null_draws=0))
    rows = []
    for place in range(len(pairs)):
        found = [of_covariances(draw[place], ("mean_cca",))["mean_cca"] for draw in own]
        base = [of_covariances(draw[place], ("mean_cca",))["mean_cca"] for draw in random]
        values = [one.value for one in found if one.value is not None]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        rows.append({**_row(own[0][place], "mean_cca", _mean(found), _mean(base)), "sd": sd})
    if all(row["value"] is None for row in rows):
        raise NotApplicableError(f"No layer can be compared: {rows[0]['reason']}", code="no-measure-defined")
    return rows


def _sums(
    inputs: ComparedInputs,
    networks: Networks,
    pairs: Sequence[LayerPair],
    images: Decoded,
    sampling: Sampling,
    seed: int,
    null_draws: int,
) -> list[LayerSums]:
    return accumulate(
        networks, pairs, images, size=inputs.size, device=inputs.device, batch_size=inputs.options.batch_size,
        sampling=sampling, seed=seed, channels=CHANNELS, null_draws=null_draws,
    )[0]  # fmt: skip


def _grids(inputs: ComparedInputs, pairs: Sequence[LayerPair]) -> list[int]:
    """Positions of each pair of layers, from one image."""
    layers = [[pair.first for pair in pairs], [pair.second for pair in pairs]]
    one = _part(inputs.images, np.arange(1))
    _, held = next(
        batches(
            inputs.networks, layers, one, size=inputs.size, device=inputs.device, batch_size=inputs.options.batch_size
        )
    )
    found = []
    for pair in pairs:
        grids = [
            as_grid(activations[name], network.module, name)
            for network, activations, name in zip(inputs.networks, held, (pair.first, pair.second), strict=True)
        ]
        common = common_grid(grids[0], grids[1])[0]
        found.append(common.shape[1] * common.shape[2])
    return found


def _part(images: Decoded, chosen: np.ndarray) -> Decoded:
    ids, groups = ([names[row] for row in chosen] for names in (images.ids, images.groups))
    return Decoded(images.images[chosen], images.labels[chosen], ids, groups, images.scale, images.sha256)


def _mean(found: Sequence[LayerMeasure]) -> LayerMeasure:
    """The mean over draws; undefined if one of them is."""
    if undefined := [one for one in found if one.value is None]:
        return undefined[0]
    nulls = [one.null for one in found if one.null is not None]
    return LayerMeasure(float(np.mean([one.value for one in found])), float(np.mean(nulls)) if nulls else None)


def _row(sums: LayerSums, measure: str, measured: LayerMeasure, baseline: LayerMeasure) -> Row:
    pooled = measure.startswith(("cka_d", "cka_r", "cka_m", "mutual", "cknna"))
    images = sum(map(len, sums.pooled[0])) if pooled else sums.images
    samples = images if pooled else sums.moments.n if sums.moments is not None else 0
    return {
        "measure": measure,
        "layer": sums.pair.first,
        "other_layer": sums.pair.second,
        "value": measured.value,
        "null": measured.null,
        "baseline": baseline.value,
        "sd": None,
        "samples": samples,
        "images": images,
        "units": sums.units[0],
        "other_units": sums.units[1],
        "paired": True,
        "reason": measured.reason,
    }
