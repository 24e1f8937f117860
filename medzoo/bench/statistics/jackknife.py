"""The contributions of patients to any metric: what it changes if a patient is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medzoo.bench.statistics.bootstrap import CHUNK, prepared_parts, values_of
from medzoo.bench.statistics.influence import Contributions


def jackknife(
    labels: np.ndarray, scores: np.ndarray, patients: Sequence[object] | np.ndarray, metric: str
) -> Contributions:
    """The values and the patients' influences of all runs of a cell, for metrics without a closed form.

    Args:
        labels: as for `contributions`.
        scores: as for `contributions`.
        patients: as for `contributions`.
        metric: a name in `bootstrap.METRICS`.

    Raises:
        ResultError: for an unknown metric or other shapes.

    Source: Efron and Stein 1981 (doi:10.1214/aos/1176345462).

    >>> cell = jackknife(np.arange(60) % 2, np.arange(60) % 3 / 2, np.arange(60), "kappa")
    >>> cell.values.round(2), cell.vectors.shape
    (array([0.]), (1, 60))
    """
    parts, count = prepared_parts(labels, scores, patients, metric)
    whole = values_of(parts, np.ones((count, 1), dtype=np.float32))[:, 0]
    without = np.empty((len(parts), count))
    for start in range(0, count, CHUNK):
        end = min(start + CHUNK, count)
        weights = np.ones((count, end - start), dtype=np.float32)
        weights[np.arange(start, end), np.arange(end - start)] = 0
        without[:, start:end] = values_of(parts, weights)
    lacking = "only one class without one of the patients" if np.isnan(without).any() else ""
    changes = (count - 1) / count * (without.mean(axis=1, keepdims=True) - without)
    return Contributions(whole, np.nan_to_num(changes), count - 1.0, lacking=lacking)
