"""Which checkpoints of a column differ clearly: rank intervals, the best ones, and the winner's corrected value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from medzoo.bench.statistics.crossed import estimate
from medzoo.bench.statistics.hypothesis_tests import holm
from medzoo.bench.statistics.influence import Contributions

DRAWS = 20_000


@dataclass(frozen=True)
class Ranking:
    """The places of the checkpoints of a column.

    Args:
        ranks: the first and last possible place of each; 1 is the best.
        best: positions of the checkpoints that may be the best one.
        winner: position of the highest mean.
        winner_value: its mean, corrected for having been chosen as the best of several.
    """

    ranks: tuple[tuple[int, int], ...]
    best: tuple[int, ...]
    winner: int
    winner_value: float


def ranking(
    cells: Sequence[Contributions],
    p_values: dict[tuple[int, int], float],
    higher_is_better: bool = True,
    level: float = 0.95,
) -> Ranking:
    """The rank interval of each cell, from all pairs with Holm's correction.

    A cell is at least behind all that are significantly better, and at least before all that are significantly worse.

    Args:
        cells: of one column, on the same patients.
        p_values: of each pair (i, j) with i < j.
        higher_is_better: of the metric.
        level: 1 - level is the level of all tests together.

    Source: Neuhof and Benjamini 2026, https://arxiv.org/abs/2606.08679.
    """
    means = np.array([cell.values.mean() for cell in cells]) * (1 if higher_is_better else -1)
    pairs = list(combinations(range(len(cells)), 2))
    adjusted = holm([p_values[pair] for pair in pairs])
    ahead, behind = [0] * len(cells), [0] * len(cells)
    for (i, j), p in zip(pairs, adjusted, strict=True):
        if p < 1 - level and means[i] != means[j]:
            better, worse = (i, j) if means[i] > means[j] else (j, i)
            ahead[worse] += 1
            behind[better] += 1
    ranks = tuple((1 + ahead[k], len(cells) - behind[k]) for k in range(len(cells)))
    winner = int(means.argmax())
    corrected = winner_mean(cells, higher_is_better)
    return Ranking(ranks, tuple(k for k in range(len(cells)) if not ahead[k]), winner, corrected)


def covariance(cells: Sequence[Contributions]) -> np.ndarray:
    """The covariance of the cells' means: their common patients, and the variance of each cell's own seeds.

    Args:
        cells: of one column, on the same patients.
    """
    means = np.stack([cell.vectors.mean(axis=0) for cell in cells])
    patients = means.shape[1]
    joint = means @ means.T * (patients / max(patients - 1, 1))
    own = [estimate(cell.values, cell.vectors, cell.cases_df).run_variance / len(cell.values) for cell in cells]
    matrix: np.ndarray = joint + np.diag(own)
    return matrix


def winner_mean(cells: Sequence[Contributions], higher_is_better: bool = True) -> float:
    """The mean of the best cell without what it owes to having been chosen.

    The best of several noisy means is too good on average. How much is found by drawing means around the measured ones.

    Args:
        cells: of one column, on the same patients.
        higher_is_better: of the metric.
    """
    sign = 1 if higher_is_better else -1
    means = sign * np.array([cell.values.mean() for cell in cells])
    noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(cells)), covariance(cells), size=DRAWS, method="svd"
    )
    drawn = means + noise
    chosen = drawn.argmax(axis=1)
    bias = float((noise[np.arange(DRAWS), chosen]).mean())
    return float(sign * (means.max() - max(bias, 0.0)))
