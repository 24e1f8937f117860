"""Whether the same samples are neighbours in two layers: mutual k nearest neighbours, and CKA of nearest neighbours.

Source of both: Huh, Cheung, Wang, Isola 2024, "The Platonic Representation Hypothesis", https://arxiv.org/abs/2405.07987.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from medzoo.analysis.similarity.inputs import Array, numpy_pair
from medzoo.errors import UsageError

Metric = Literal["euclidean", "cosine"]
ROWS = 1_024  # samples whose similarities to all others are in memory at a time


def mutual_knn(x: Array, y: Array, k: int = 10, *, metric: Metric = "euclidean") -> float:
    """The mean share of the k nearest neighbours of a sample in x that are also among its k nearest in y.

    A sample is not its neighbour. Which of equally near samples count is arbitrary. Independent layers have about k / (n - 1).

    Args:
        x: samples x units.
        y: the same samples x other units.
        k: number of neighbours, below the number of samples.
        metric: `euclidean` distance, which shifts, rotations and scales do not change; or `cosine` similarity, as in the
            paper, for rows of length 1.

    Raises:
        UsageError: for a wrong shape, other rows, k outside its limits, NaN or Inf, or constant activations.

    >>> x = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> mutual_knn(x, -3 * x, k=1), mutual_knn(x, x[[0, 2, 1, 3]], k=1)
    (1.0, 0.0)
    """
    if metric not in get_args(Metric):
        raise UsageError(f"Unknown metric {metric!r}. Give euclidean or cosine.", code="unknown-neighbour-metric")
    x, y = numpy_pair(x, y, least=2)
    _check_k(k, 1, len(x))
    x, y = ((_unit_rows(side) if metric == "cosine" else side - side.mean(axis=0)) for side in (x, y))
    common = 0
    for first in range(0, len(x), ROWS):
        rows = slice(first, min(first + ROWS, len(x)))
        masks = [_nearest(_similarities(side, rows, metric), first, k) for side in (x, y)]
        common += int(np.count_nonzero(masks[0] & masks[1]))
    return common / (k * len(x))


def cknna(x: Array, y: Array, k: int = 10) -> float:
    """CKA that counts only pairs of samples that are neighbours in both layers (CKNNA), with the unbiased HSIC.

    Rows are scaled to length 1, without centring; K and L are their inner products. M_x[i, j] is 1 if j is among the k samples
    with the largest K[i, j], without i, else 0; M_y the same for L. With A(x, y) = the unbiased HSIC of M_x * M_y * K and
    M_x * M_y * L (elementwise products), CKNNA is A(x, y) / sqrt(A(x, x) * A(y, y)), where A(x, x) uses M_x alone. These are the
    definitions of the authors' code, which differs from the paper's formula in the HSIC; its 1e-6 in the denominator is left out.
    With k = n - 1 this is the debiased CKA of rows of length 1. It may be negative, and shifts of the activations change it. The
    masks are not symmetric matrices, so that cknna(x, y) and cknna(y, x) differ a little (about 1e-4).

    Args:
        x: samples x units.
        y: the same samples x other units.
        k: number of neighbours, at least 2 and below the number of samples. Memory: six n x n matrices.

    Raises:
        UsageError: for a wrong shape, other rows, k outside its limits, NaN or Inf, constant activations, or a denominator
            that is not positive.

    >>> x = np.random.default_rng(0).normal(size=(30, 4))
    >>> round(cknna(x, 2 * x), 6)
    1.0
    """
    x, y = (_unit_rows(side) for side in numpy_pair(x, y, least=4))
    _check_k(k, 2, len(x))
    grams = [side @ side.T for side in (x, y)]
    masks = [_nearest(gram.copy(), 0, k) for gram in grams]
    both = masks[0] & masks[1]
    cross = _unbiased_hsic(grams[0] * both, grams[1] * both)
    selves = [
        _unbiased_hsic(masked, masked) for masked in (gram * mask for gram, mask in zip(grams, masks, strict=True))
    ]
    if min(selves) <= 0:
        raise UsageError(
            f"CKNNA is not defined for these activations with k={k}: the HSIC of a layer with itself is not positive. Use more "
            "neighbours or more samples.",
            code="similarity-undefined",
        )
    return float(cross / np.sqrt(selves[0] * selves[1]))


def _check_k(k: int, least: int, samples: int) -> None:
    if not least <= k < samples:
        raise UsageError(
            f"k is {k}, and there are {samples:,} samples. Give a k from {least} to {samples - 1:,}.",
            code="neighbours-outside-range",
        )


def _similarities(x: np.ndarray, rows: slice, metric: Metric) -> np.ndarray:
    """Larger is nearer: cosines, or minus half of the squared distance plus a number that is the same for a whole row."""
    found: np.ndarray = x[rows] @ x.T
    if metric == "euclidean":
        found -= 0.5 * np.einsum("nd,nd->n", x, x)
    return found


def _nearest(similarities: np.ndarray, first: int, k: int) -> np.ndarray:
    """Which samples are among the k nearest of each row; row 0 is sample `first`. The argument is changed."""
    rows = np.arange(len(similarities))
    similarities[rows, first + rows] = -np.inf
    places = np.argpartition(similarities, -k, axis=1)[:, -k:]
    mask = np.zeros(similarities.shape, dtype=bool)
    np.put_along_axis(mask, places, True, axis=1)
    return mask


def _unit_rows(x: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    found: np.ndarray = x / np.where(lengths > 0, lengths, 1.0)
    return found


def _unbiased_hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741 - K and L as in the paper
    """The unbiased HSIC of two matrices with zeros on the diagonal, which need not be symmetric (Song et al. 2012, equation 4)."""
    n = len(k)
    total = float(np.einsum("ij,ji->", k, l)) + k.sum() * l.sum() / ((n - 1) * (n - 2))
    return float((total - 2 / (n - 2) * (k.sum(axis=0) @ l.sum(axis=1))) / (n * (n - 3)))
