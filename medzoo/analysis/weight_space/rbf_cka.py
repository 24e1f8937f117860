"""CKA of weights with RBF kernels: how much of the structure of a layer's weights two networks share.

Source: Jonske et al. 2025, feature reuse and feature uniqueness; CKA: Kornblith et al. 2019 (https://arxiv.org/abs/1905.00414).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from medzoo.data.rng import permutation

BLOCKS = 8  # of the rows of a layer whose uniqueness is measured
ZERO = 1e-12  # squared distances up to this share of the largest one are rounding


@dataclass(frozen=True)
class Uniqueness:
    """How different the parts of a layer's weights are.

    Args:
        mean: of 1 - CKA over all pairs of blocks.
        sd: over the pairs (population standard deviation).
        pairs: number of pairs.
    """

    mean: float
    sd: float
    pairs: int


def weight_rows(weights: torch.Tensor) -> torch.Tensor:
    """The weights of a layer as rows: (out x height x width, in) of a convolution, (out, in) of a linear layer.

    Args:
        weights: (out, in, height, width) or (out, in).

    >>> weight_rows(torch.zeros(64, 3, 7, 7)).shape
    torch.Size([3136, 3])
    """
    return weights.double().movedim(1, -1).flatten(end_dim=-2)


def some_rows(rows: torch.Tensor, most: int, seed: int) -> torch.Tensor:
    """The rows, or a random part of them; the part depends only on the number of rows and the seed.

    Args:
        rows: (N, D).
        most: the most rows that are kept, because a kernel has N x N values.
        seed: of the draw.
    """
    if len(rows) <= most:
        return rows
    return rows[np.sort(permutation("weight rows", seed, 0, len(rows))[:most])]


def centred_kernel(rows: torch.Tensor) -> torch.Tensor | None:
    """The centred RBF kernel; its width is the root of the lower median of the squared distances that are not zero.

    Args:
        rows: (N, D).

    Returns:
        (N, N); None if all rows are equal, so that there is no width.
    """
    squares = (rows * rows).sum(1)
    distances = (squares[:, None] + squares[None] - 2 * rows @ rows.T).clamp_min_(0)
    distances.fill_diagonal_(0)
    above = distances[tuple(torch.triu_indices(len(rows), len(rows), 1))]  # each pair once has the same lower median
    above = above[above > ZERO * max(float(squares.max()), 1e-300)]
    if not len(above):
        return None
    kernel = torch.exp(distances.div_(-2 * above.median()))
    mean = kernel.mean(0)
    return kernel.sub_(mean).sub_(mean[:, None]).add_(mean.mean())


def kernel_cka(first: torch.Tensor | None, second: torch.Tensor | None) -> float | None:
    """The CKA of two centred kernels; None if one is missing or constant.

    Args:
        first: (N, N) of `centred_kernel`.
        second: (N, N).
    """
    if first is None or second is None:
        return None
    below = float((first * first).sum()) * float((second * second).sum())
    return float((first * second).sum()) / below**0.5 if below > 0 else None


def weight_cka(first: torch.Tensor, second: torch.Tensor) -> float | None:
    """The CKA of two matrices of weights; each has the width of its kernel. None if all rows of one are equal.

    Args:
        first: (N, D) of `weight_rows`.
        second: (N, E).

    >>> rows = torch.arange(12.0).reshape(6, 2)
    >>> weight_cka(rows, 3 * rows + 1)
    1.0
    """
    return kernel_cka(centred_kernel(first), centred_kernel(second))


def uniqueness(rows: torch.Tensor, blocks: int = BLOCKS) -> Uniqueness | None:
    """The mean of 1 - CKA over the pairs of equal blocks of a layer's rows; None with fewer than two rows in a block.

    Args:
        rows: (N, D) of `weight_rows`; the last N modulo `blocks` rows are left out.
        blocks: number of blocks.
    """
    each = len(rows) // blocks
    if each < 2:
        return None
    kernels = [centred_kernel(rows[number * each : (number + 1) * each]) for number in range(blocks)]
    values = [kernel_cka(one, other) for one, other in combinations(kernels, 2)]
    known = np.array([1 - value for value in values if value is not None])
    return Uniqueness(float(known.mean()), float(known.std()), len(known)) if len(known) else None
