"""The values that a network without any knowledge reaches: permuted labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medzoo.bench.statistics.bootstrap import draw_values
from medzoo.bench.statistics.influence import CLOSED_FORM, checked


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
    values = np.empty(draws)
    for draw in range(draws):
        mixed = np.empty_like(truth)
        mixed[order] = truth[np.concatenate([blocks[block] for block in rng.permutation(len(blocks))])]
        if metric in CLOSED_FORM:
            values[draw] = CLOSED_FORM[metric](mixed, runs, codes).values[0]
        else:
            values[draw] = draw_values(mixed, runs, codes, metric, draws=0)[0, 0]
    return values
