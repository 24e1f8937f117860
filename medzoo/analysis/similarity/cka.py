"""Centred kernel alignment (CKA): of two layers, of all pairs of layers of two networks, and from streamed covariances.

Sources: Kornblith et al. 2019, https://arxiv.org/abs/1905.00414; Nguyen, Raghu, Kornblith 2020,
https://arxiv.org/abs/2010.15327 (minibatches).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from medzoo.analysis.similarity.gram_products import GramProducts, linear_products, rbf_products
from medzoo.analysis.similarity.inputs import Array, constant, numpy_pair
from medzoo.errors import UsageError

Kind = Literal["linear", "debiased", "rbf", "rbf_nonzero_median", "minibatch"]
LEAST = {"linear": 2, "rbf": 2, "rbf_nonzero_median": 2, "debiased": 4, "minibatch": 4}  # samples


def cka_matrix(
    xs: Sequence[Array], ys: Sequence[Array], *, kind: Kind = "linear", threshold: float = 1.0, batch_size: int = 256
) -> np.ndarray:
    """CKA of all pairs of layers of two networks.

    `kind` is one of:

    - `linear`: the biased CKA of linear kernels. With few samples for many units it is too large.
    - `debiased`: linear kernels, the unbiased HSIC in numerator and denominator; may be negative.
    - `rbf`: K = exp(-D / (2 b^2)), D the squared Euclidean distances, b^2 = threshold^2 times the median of all n x n entries
      of D, the zeros of the diagonal included; biased HSIC. Each layer has its own b.
    - `rbf_nonzero_median`: the same with b^2 = the median of the entries of D that are not 0, the lower of the two middle ones
      if their number is even; `threshold` does not count.
    - `minibatch`: linear kernels, the unbiased HSIC of consecutive batches of `batch_size` samples; the means over the batches
      enter numerator and denominator. Samples after the last full batch are left out.

    Args:
        xs: layers of one network, each samples x units.
        ys: layers of the other one, for the same samples in the same order.
        kind: as above.
        threshold: factor of the bandwidth of `rbf`.
        batch_size: samples in a batch of `minibatch`, at least 4.

    Returns:
        layers of xs x layers of ys.

    Raises:
        UsageError: for no layers, a wrong shape, other rows, too few samples, NaN or Inf, constant activations, or a bandwidth
            or a denominator of 0.

    >>> x = np.random.default_rng(0).normal(size=(50, 4))
    >>> cka_matrix([x, x[:, :2]], [2 * x + 1]).round(2).tolist()
    [[1.0], [0.61]]
    """
    if kind not in get_args(Kind):
        raise UsageError(
            f"Unknown kind of CKA {kind!r}. Kinds are {', '.join(get_args(Kind))}.", code="unknown-cka-kind"
        )
    if threshold <= 0 or not np.isfinite(threshold):
        raise UsageError(f"threshold is {threshold}. Give a number above 0.", code="threshold-outside-range")
    if batch_size < 4:
        raise UsageError(
            f"batch_size is {batch_size}. The unbiased HSIC needs at least 4.", code="batch-size-outside-range"
        )
    if not xs or not ys:
        raise UsageError(
            "A network has no layers. Give at least one array for each.", code="activations-without-layers"
        )
    least = max(LEAST[kind], batch_size if kind == "minibatch" else 0)
    # check every layer against the first of the other network, which compares the rows of all
    firsts = numpy_pair(xs[0], ys[0], least=least)
    layers_x = [firsts[0], *(numpy_pair(x, firsts[1], least=least)[0] for x in xs[1:])]
    layers_y = [firsts[1], *(numpy_pair(firsts[0], y, least=least)[1] for y in ys[1:])]
    return _ratio(*_hsics(layers_x, layers_y, kind, threshold, batch_size))


def linear_cka_from_covariances(cxx: np.ndarray, cyy: np.ndarray, cxy: np.ndarray) -> float:
    """Linear (biased) CKA, from the covariances of `Moments`.

    Args:
        cxx: units of x x units of x.
        cyy: units of y x units of y.
        cxy: units of x x units of y.

    Raises:
        UsageError: if a side is constant.

    >>> linear_cka_from_covariances(np.diag([4.0, 0.0]), np.eye(1), np.array([[2.0], [0.0]]))
    1.0
    """
    norms = []
    for side, covariance in (("x", cxx), ("y", cyy)):
        norms.append(float(np.linalg.norm(covariance)))
        if norms[-1] == 0:
            raise constant(side)
    return float(np.linalg.norm(cxy / norms[0] ** 0.5 / norms[1] ** 0.5) ** 2)


def _hsics(
    xs: list[np.ndarray], ys: list[np.ndarray], kind: Kind, threshold: float, batch_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HSIC of each pair, and of each layer with itself."""
    if kind == "rbf":
        return rbf_products(xs, ys, lambda distances: threshold**2 * _positive(float(np.median(distances)))).hsic()
    if kind == "rbf_nonzero_median":
        return rbf_products(xs, ys, _lower_median_of_nonzero).hsic()
    if kind != "minibatch":
        products = linear_products(xs, ys)
        return products.hsic() if kind == "linear" else products.unbiased_hsic()
    batches = range(0, len(xs[0]) - batch_size + 1, batch_size)
    sums = [_of_batch(xs, ys, slice(first, first + batch_size)).unbiased_hsic() for first in batches]
    cross, self_x, self_y = (np.mean(parts, axis=0) for parts in zip(*sums, strict=True))
    return cross, self_x, self_y


def _of_batch(xs: list[np.ndarray], ys: list[np.ndarray], rows: slice) -> GramProducts:
    return linear_products([x[rows] for x in xs], [y[rows] for y in ys])


def _ratio(cross: np.ndarray, self_x: np.ndarray, self_y: np.ndarray) -> np.ndarray:
    """HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y))."""
    if min(self_x.min(), self_y.min()) <= 0:
        raise UsageError(
            "CKA is not defined: the HSIC of a layer with itself is 0. Its samples are almost all the same; use more, or other "
            "images.",
            code="similarity-undefined",
        )
    return cross / np.sqrt(np.outer(self_x, self_y))


def _lower_median_of_nonzero(distances: np.ndarray) -> float:
    found = distances[distances > 0]
    if not len(found):
        return _positive(0.0)
    middle = (len(found) - 1) // 2
    return float(np.partition(found, middle)[middle])


def _positive(median: float) -> float:
    if median <= 0:
        raise UsageError(
            "The median distance of the samples is 0: at least half of the pairs are equal, so that an RBF kernel has no "
            "bandwidth. Use other images, or the linear kind.",
            code="bandwidth-zero",
        )
    return median
