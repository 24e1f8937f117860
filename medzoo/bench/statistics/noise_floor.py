"""The values that a network without any knowledge reaches: permuted labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from medzoo.bench.metrics.probabilities import midranks
from medzoo.bench.statistics.bootstrap import draw_values
from medzoo.bench.statistics.closed_form import CLOSED_FORM
from medzoo.bench.statistics.influence import checked, used_labels
from medzoo.bench.statistics.jackknife import smaller_classes


def permuted_values(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[object] | np.ndarray,
    metric: str,
    *,
    draws: int = 200,
    seed: int = 0,
) -> np.ndarray:
    """The metric of one run when the labels of the patients are exchanged at random.

    The images of a patient keep their neighbours: the labels are moved in blocks of patients.

    Args:
        labels: (N,) or (N, C).
        scores: (N,) or (N, K) of one run.
        patients: (N,) the patient of each image.
        metric: as for `stats.interval` or the bootstrap.
        draws: number of permutations.
        seed: of the permutations.

    Returns:
        (draws,) values; the highest ones are what chance alone can reach.

    >>> values = permuted_values(np.arange(100) % 2, np.linspace(0, 1, 100), np.arange(100), "auroc", draws=50)
    >>> bool(abs(values.mean() - 0.5) < 0.05)
    True
    """
    truth, runs, codes = checked(labels, np.asarray(scores)[None], patients, metric)

    # an order that does not depend on the names of images and patients, so that salted copies give the same values
    columns = np.concatenate([runs[0].reshape(len(truth), -1), truth.reshape(len(truth), -1)], axis=1)
    sorting = np.lexsort(columns.T)
    truth, runs, codes = truth[sorting], runs[:, sorting], codes[sorting]
    first = np.unique(codes, return_index=True)[1]
    codes = np.argsort(np.argsort(first))[codes]

    order = np.argsort(codes, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    rng = np.random.default_rng(seed)
    value = _value_of(truth, runs, codes, metric)
    values = np.empty(draws)
    for draw in range(draws):
        mixed = np.empty_like(truth)
        mixed[order] = truth[np.concatenate([blocks[block] for block in rng.permutation(len(blocks))])]
        values[draw] = value(mixed)
    return values


def _value_of(
    truth: np.ndarray, runs: np.ndarray, codes: np.ndarray, metric: str
) -> Callable[[np.ndarray], float | np.ndarray]:
    """The function of permuted labels that gives the metric."""
    if metric not in CLOSED_FORM:
        if truth.ndim == 1 or not len(smaller := smaller_classes(truth, runs, codes, metric)):
            return lambda mixed: draw_values(mixed, runs, codes, metric, draws=0)[0, 0]
        used = used_labels(smaller)[0]  # those of the mean
        return lambda mixed: draw_values(mixed[:, used], runs[..., used], codes, metric, draws=0)[0, 0]
    if metric == "accuracy" and truth.ndim == 1:  # the decisions stay
        decided = runs[0].argmax(axis=1) if runs.ndim == 3 else (runs[0] > 0.5)
        return lambda mixed: (decided == mixed).mean()
    if metric != "auroc" or np.isnan(truth.astype(np.float64)).any():
        return lambda mixed: CLOSED_FORM[metric](mixed, runs, codes).values[0]

    # the scores stay, so they are ranked once; the labels in the mean are those of the data
    left_out = CLOSED_FORM[metric](truth, runs, codes).left_out
    several = truth.ndim == 2 or (runs.ndim == 3 and runs.shape[2] > 2)
    scores = runs[0] if several else runs[0].reshape(len(truth), -1)[:, -1:]
    kept = [k for k in range(scores.shape[1]) if k not in left_out]
    ranks = np.stack([midranks(scores[:, k]) for k in kept], axis=1)

    def area(mixed: np.ndarray) -> np.ndarray:
        positive = mixed[:, kept] == 1 if mixed.ndim == 2 else mixed[:, None] == (np.array(kept) if several else 1)
        count = positive.sum(axis=0)
        wins = np.where(positive, ranks, 0).sum(axis=0) - count * (count + 1) / 2
        mean: np.ndarray = (wins / (count * (len(mixed) - count))).mean()
        return mean

    return area
