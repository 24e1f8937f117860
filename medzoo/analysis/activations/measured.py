"""The similarity measures of a pair of layers from its sums, each with its value under wrong pairs of images (the null)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from medzoo.analysis.activations.accumulate import LayerSums
from medzoo.analysis.similarity.cca import (
    Whitening,
    coefficients,
    mean_and_pwcca,
    principal_components,
    whitening,
)
from medzoo.analysis.similarity.cka import linear_cka_from_covariances
from medzoo.analysis.similarity.measures import cka
from medzoo.analysis.similarity.neighbours import cknna, mutual_knn
from medzoo.analysis.similarity.procrustes import procrustes_from_covariances
from medzoo.data.rng import permutation
from medzoo.errors import UsageError

OF_COVARIANCES = ("mean_cca", "svcca", "pwcca", "cka_linear", "procrustes")
OF_POOLED = ("cka_debiased", "cka_rbf", "cka_minibatch", "mutual_knn", "cknna")
NEIGHBOURS = ("mutual_knn", "cknna")
UNDEFINED = ("samples-too-few", "activations-constant")  # codes of errors that are a property of a layer, not a mistake
MINIBATCH = 64


@dataclass(frozen=True)
class LayerMeasure:
    """A measure of a pair of layers.

    Args:
        value: None if it is undefined.
        null: its mean over wrong pairs of images; None if there are none.
        reason: why it is undefined.
    """

    value: float | None
    null: float | None = None
    reason: str = ""


def of_covariances(sums: LayerSums, measures: tuple[str, ...] = OF_COVARIANCES) -> dict[str, LayerMeasure]:
    """The measures that need covariances only.

    Args:
        sums: of a pair of layers.
        measures: names from `OF_COVARIANCES`.

    Raises:
        UsageError: for NaN or infinite activations.
    """
    if sums.moments is None or sums.reason:
        return {name: LayerMeasure(None, None, sums.reason or "no samples") for name in measures}
    cxx, cyy, cxy = sums.moments.covariances()
    n = sums.moments.n
    nulls = [null.covariance() for null in sums.nulls if null.n > 1]
    # each side is prepared once; the null needs another cross covariance only
    sides: dict[str, tuple[Whitening, Whitening]] = {}

    def prepared(kind: Callable[..., Whitening]) -> tuple[Whitening, Whitening]:
        if kind.__name__ not in sides:
            sides[kind.__name__] = kind(cxx, n, side="x"), kind(cyy, n, side="y")
        return sides[kind.__name__]

    both: dict[int, tuple[float, float]] = {}  # of each cross covariance, by its object

    def cca(cross: np.ndarray, place: int) -> float:
        if id(cross) not in both:
            both[id(cross)] = mean_and_pwcca(*prepared(whitening), cxx, cyy, cross)
        return both[id(cross)][place]

    functions: Mapping[str, Callable[[np.ndarray], float]] = {
        "mean_cca": lambda cross: cca(cross, 0),
        "svcca": lambda cross: float(coefficients(*prepared(principal_components), cross).mean()),
        "pwcca": lambda cross: cca(cross, 1),
        "cka_linear": lambda cross: linear_cka_from_covariances(cxx, cyy, cross),
        "procrustes": lambda cross: procrustes_from_covariances(cxx, cyy, cross),
    }
    return {name: _with_null(functions[name], cxy, nulls) for name in measures}


def of_pooled(
    sums: LayerSums, *, seed: int, draws: int, neighbours: int = 10, measures: tuple[str, ...] = OF_POOLED
) -> dict[str, LayerMeasure]:
    """The measures that need a vector of each image.

    Args:
        sums: of a pair of layers, with pooled vectors.
        seed: of the wrong pairs.
        draws: how many permutations of the images are averaged.
        neighbours: of the measures that count common neighbours.
        measures: names from `OF_POOLED`.
    """
    x, y = (np.concatenate(side) for side in sums.pooled)
    functions: Mapping[str, Callable[[np.ndarray], float]] = {
        "cka_debiased": lambda other: cka(x, other, kind="debiased"),
        "cka_rbf": lambda other: cka(x, other, kind="rbf"),
        "cka_minibatch": lambda other: cka(x, other, kind="minibatch", batch_size=MINIBATCH),
        "mutual_knn": lambda other: mutual_knn(x, other, k=neighbours),
        "cknna": lambda other: cknna(x, other, k=neighbours),
    }
    few = f"{len(x)} images; the {neighbours} nearest of each need at least {neighbours + 1}"
    skipped = {name: LayerMeasure(None, None, few) for name in NEIGHBOURS if len(x) <= neighbours and name in measures}
    wrong = [y[permutation("wrong pairs", seed, draw, len(y))] for draw in range(draws)]
    return {name: skipped.get(name) or _with_null(functions[name], y, wrong) for name in measures}


def _with_null(function: Callable[[np.ndarray], float], right: np.ndarray, wrong: list[np.ndarray]) -> LayerMeasure:
    """A measure of the right pairs, and its mean over wrong ones."""
    try:
        value = function(right)
        return LayerMeasure(value, float(np.mean([function(one) for one in wrong])) if wrong else None)
    except UsageError as error:
        if error.code not in UNDEFINED:
            raise
        return LayerMeasure(None, None, str(error))
