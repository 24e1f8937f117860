"""The contributions of patients to any metric: what it changes if a patient is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medzoo.bench.statistics.bootstrap import CHUNK, RANKS, WHOLE, Part, prepared_parts
from medzoo.bench.statistics.influence import (
    LEAST_PATIENTS,
    Contributions,
    checked,
    joint_df,
    smaller_class,
    used_labels,
)
from medzoo.bench.statistics.weighted import DECISIONS


def jackknife(
    labels: np.ndarray, scores: np.ndarray, patients: Sequence[object] | np.ndarray, metric: str
) -> Contributions:
    """The values and the patients' influences of all runs of a cell, for metrics without a closed form.

    As for AUROC, a class needs 10 patients: a label with fewer is not in the mean over labels, and one label or several exclusive
    classes have no interval then.

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
    truth, runs, codes = checked(labels, scores, patients, metric)
    left_out: tuple[int, ...] = ()
    smaller, lacking = smaller_classes(truth, runs, codes, metric), ""
    if truth.ndim == 2 and len(smaller):
        used, left_out, lacking = used_labels(smaller)
        truth, runs, smaller = truth[:, used], runs[..., used], smaller[used]
    elif len(smaller) and smaller.min() < LEAST_PATIENTS:
        lacking = f"a class with fewer than {LEAST_PATIENTS} patients"

    # the influences on each label (or class), and on their mean
    parts, count = prepared_parts(truth, runs, codes, metric)
    if not all(parts):
        return Contributions(np.full(len(runs), np.nan), np.zeros((len(runs), count)), 0.0, 0, left_out, "undefined")
    found = [[_influences(part, count) for part in some] for some in parts]
    values = np.array([[value for value, _ in some] for some in found])
    vectors = np.array([[influence for _, influence in some] for some in found]).swapaxes(0, 1)
    if not lacking and np.isnan(vectors).any():
        lacking = "only one class without one of the patients"
    vectors = np.nan_to_num(vectors)
    mean = vectors.mean(axis=0)
    each = smaller - 1.0 if len(smaller) == len(vectors) else np.full(len(vectors), count - 1.0)
    return Contributions(values.mean(axis=1), mean, joint_df(vectors, mean, each), len(vectors), left_out, lacking)


def smaller_classes(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray, metric: str) -> np.ndarray:
    """Patients in the smaller class of each label or class; empty if the metric has no classes, or takes all classes together.

    Args:
        truth: labels.
        runs: scores, with a first axis of runs.
        codes: (N,) patients as numbers from 0.
        metric: its name.
    """
    if metric not in (*RANKS, *DECISIONS):
        return np.empty(0)
    if truth.ndim == 2:
        known = ~np.isnan(truth.astype(np.float64))
        return np.array([smaller_class(truth[rows, k] == 1, codes[rows]) for k, rows in enumerate(known.T)])
    if runs.ndim == 2:
        return np.array([smaller_class(truth == 1, codes)])
    if metric in WHOLE:
        return np.empty(0)
    return np.array([smaller_class(truth == k, codes) for k in range(runs.shape[2])])


def _influences(part: Part, count: int) -> tuple[float, np.ndarray]:
    """The value of a part of the metric, and the influence of each patient on it, (P,)."""
    without = np.empty(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(part(np.ones((count, 1), dtype=np.float32))[0])
        for start in range(0, count, CHUNK):
            end = min(start + CHUNK, count)
            weights = np.ones((count, end - start), dtype=np.float32)
            weights[np.arange(start, end), np.arange(end - start)] = 0
            without[start:end] = part(weights)
    return value, (count - 1) / count * (without.mean() - without)
