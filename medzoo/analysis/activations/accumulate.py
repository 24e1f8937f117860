"""What similarity measures need of two networks, summed in one pass over images: covariances, and pooled vectors of some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
import torch

from medzoo.analysis.activations.capture import batches
from medzoo.analysis.activations.grid import as_grid, common_grid
from medzoo.analysis.activations.layers import LayerPair
from medzoo.analysis.inputs.networks import OpenedNetwork
from medzoo.analysis.similarity.moments import CrossMoments, Moments
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.rng import uniform
from medzoo.errors import NotApplicableError, UsageError
from medzoo.progress import Steps

# From the positions of a layer's grid and the number of images: how many images are used, and how many positions of each.
Sampling = Callable[[int, int], tuple[int, int]]


def spread_over_images(rows: int) -> Sampling:
    """About `rows` samples of a layer, spread evenly over all images.

    Args:
        rows: of images x positions.

    >>> spread_over_images(10_000)(49, 1000), spread_over_images(10_000)(12_544, 3000)
    ((1000, 10), (3000, 4))
    """
    return lambda positions, images: (images, min(positions, max(1, ceil(rows / images))))


def whole_images(rows: int) -> Sampling:
    """Whole images, as many as give about `rows` samples of a layer (Juodelyte 2023).

    Args:
        rows: of images x positions.

    >>> whole_images(10_000)(49, 1000), whole_images(10_000)(12_544, 1000)
    ((204, 49), (1, 12544))
    """
    return lambda positions, images: (min(images, max(1, round(rows / positions))), positions)


@dataclass
class LayerSums:
    """The sums of a pair of layers.

    Args:
        pair: the layers.
        units: channels of both that are compared.
        images: that were used.
        positions: of each image.
        grid: positions that there are.
        reduced: whether one of the grids was averaged to the size of the other.
        moments: covariances of the samples.
        nulls: cross covariances in which every image of the second network is another one.
        pooled: means over all positions, (M, C) float32, of the first M images, for both.
        reason: why there is nothing; empty if there is.
    """

    pair: LayerPair
    units: tuple[int, int] = (0, 0)
    images: int = 0
    positions: int = 0
    grid: int = 0
    reduced: bool = False
    moments: Moments | None = None
    nulls: list[CrossMoments] = field(default_factory=list)
    pooled: tuple[list[np.ndarray], list[np.ndarray]] = field(default_factory=lambda: ([], []))
    reason: str = ""


def accumulate(
    networks: tuple[OpenedNetwork, OpenedNetwork],
    pairs: Sequence[LayerPair],
    images: Decoded,
    *,
    size: int,
    device: torch.device,
    batch_size: int,
    sampling: Sampling,
    seed: int,
    pooled: bool = False,
    channels: int | None = None,
    null_draws: int = 1,
    pooled_images: int = 0,
    title: str = "activations",
) -> tuple[list[LayerSums], tuple[np.ndarray, np.ndarray]]:
    """Send images through two networks and sum what the measures need of each pair of layers; no activation is stored.

    Args:
        networks: both see the same images in the same order.
        pairs: of layers.
        images: in random order.
        size: side of the input, pixels.
        device: where to compute.
        batch_size: images of one forward pass.
        sampling: which part of the activations is used.
        seed: of positions, channels and pairings.
        pooled: whether a sample is the mean over all positions of an image.
        channels: at most so many channels of each layer, the same in both networks; None takes all.
        null_draws: how many other pairings of images are summed.
        pooled_images: of how many images the means over positions are kept.
        title: of the progress bar.

    Returns:
        The sums of each pair; and the networks' outputs (N, D) of all images.

    Raises:
        UsageError: if a layer gives something that is not a feature map, tokens or a vector, is not used by the network, or
            gives NaN.
        NotApplicableError: if there are fewer than two images.
    """
    if (count := len(images.ids)) < 2:
        raise NotApplicableError(f"There are {count} images; a comparison needs at least 2.", code="images-too-few")
    sums = [LayerSums(pair) for pair in pairs]
    layers = [[pair.first for pair in pairs], [pair.second for pair in pairs]]
    outputs: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    draw = _Draw(seed, pooled, channels, null_draws, pooled_images)
    done = 0
    with Steps(title, count, "image") as steps:
        for made, held in batches(networks, layers, images, size=size, device=device, batch_size=batch_size):
            for kept, part in zip(outputs, made, strict=True):
                kept.append(part.numpy())
            for place, one in enumerate(sums):
                grids = []
                for network, activations, name in zip(networks, held, (one.pair.first, one.pair.second), strict=True):
                    if name not in activations:
                        raise UsageError(
                            f"{network.label} has the layer {name}, but does not use it for its features. Choose another one.",
                            code="layer-not-used",
                        )
                    grids.append(_finite(as_grid(activations[name], network.module, name), network, name))
                _add(one, place, grids[0], grids[1], done, count, sampling, draw)
            done += len(made[0])
            steps.update(len(made[0]))
    first, second = (np.concatenate(part) for part in outputs)
    return sums, (first, second)


def _finite(grid: torch.Tensor, network: OpenedNetwork, layer: str) -> torch.Tensor:
    """The same activations, unless they have NaN or infinite values."""
    if not torch.isfinite(grid.sum()):  # one number says it for all
        count = int((~torch.isfinite(grid)).sum())
        raise UsageError(
            f"The layer {layer} of {network.label} gives {count:,} values that are NaN or infinite. Check its weights "
            "(medzoo check) and the images.",
            code="activations-not-finite",
        )
    return grid


@dataclass(frozen=True)
class _Draw:
    """What is drawn, and how much is kept."""

    seed: int
    means: bool  # whether a sample is the mean of an image
    channels: int | None
    nulls: int
    kept: int  # images whose means are kept


def _add(
    one: LayerSums,
    place: int,
    x: torch.Tensor,
    y: torch.Tensor,
    done: int,
    count: int,
    sampling: Sampling,
    draw: _Draw,
) -> None:
    """Add the activations of a batch to the sums of a pair of layers."""
    one.reduced = x.shape[1:3] != y.shape[1:3]
    # the means over all positions, of the first images
    if (left := draw.kept - done) > 0:
        for kept, grid in zip(one.pooled, (x, y), strict=True):
            kept.append(grid[:left].float().mean(dim=(1, 2)).cpu().numpy())
    # the samples: some positions of some images, the same in both networks
    x, y = (grid.float().mean(dim=(1, 2), keepdim=True) for grid in (x, y)) if draw.means else common_grid(x, y)
    one.grid = x.shape[1] * x.shape[2]
    one.images, one.positions = sampling(one.grid, count)
    taken = min(len(x), max(0, one.images - done))
    if one.reason or not taken:
        return
    if draw.channels is not None:
        if x.shape[3] != y.shape[3] or x.shape[3] < draw.channels:
            one.reason = (
                f"{x.shape[3]} and {y.shape[3]} channels; it needs the same number in both, at least {draw.channels}"
            )
            return
        keys = uniform(f"channels{place}", draw.seed, 0, np.arange(1), x.shape[3])[0]
        chosen = torch.from_numpy(np.argsort(keys)[: draw.channels].copy()).to(x.device)
        x, y = x[..., chosen], y[..., chosen]
    x, y = (_positions(grid[:taken], one.positions, f"positions{place}", draw.seed, done) for grid in (x, y))
    # the sums, and those of other pairings of the images
    if one.moments is None:
        one.units = (x.shape[2], y.shape[2])
        one.moments = Moments(*one.units)
        one.nulls = [CrossMoments(*one.units) for _ in range(draw.nulls)]
    flat_x = _rows(x)
    one.moments.update(flat_x, _rows(y))
    if taken > 1:
        for number, null in enumerate(one.nulls):
            part = float(uniform("pairings", draw.seed, number, np.array([done]), 1)[0, 0])
            null.update(flat_x, _rows(y.roll(1 + int(part * (taken - 1)), dims=0)))


def _positions(grid: torch.Tensor, count: int, stream: str, seed: int, done: int) -> torch.Tensor:
    """(B, count, C): some positions of each image, drawn by its number, so that the size of a batch changes nothing."""
    flat = grid.flatten(1, 2)
    if count == flat.shape[1]:
        return flat
    keys = uniform(stream, seed, 0, np.arange(done, done + len(flat)), flat.shape[1])
    chosen = torch.from_numpy(np.argpartition(keys, count - 1, axis=1)[:, :count].copy()).to(flat.device)
    return flat.gather(1, chosen[:, :, None].expand(-1, -1, flat.shape[2]))


def _rows(samples: torch.Tensor) -> Any:  # noqa: ANN401 - as Moments.update takes them
    """(B x positions, C): numpy on the CPU, a tensor on a device."""
    rows = samples.flatten(0, 1).float()
    return rows.numpy() if rows.device.type == "cpu" else rows
