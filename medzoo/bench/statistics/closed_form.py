"""The metrics whose influences have a closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from medzoo.bench.statistics.influence import (
    LEAST_PATIENTS,
    Contributions,
    checked,
    contributions_of_values,
    joint_df,
    per_patient,
    smaller_class,
    used_labels,
)
from medzoo.errors import ResultError, listed


def contributions(
    labels: np.ndarray, scores: np.ndarray, patients: Sequence[object] | np.ndarray, metric: str
) -> Contributions:
    """The values and the patients' influences of all runs of a cell.

    Args:
        labels: (N,) of 0 and 1, or class numbers; (N, C) of 0, 1 and NaN; (N,) numbers for "mae"; ignored for "mean".
        scores: (S, N), (S, N, K) or (S, N, C), of S runs on the same images; for "mean" the values of the images.
        patients: (N,) the patient of each image.
        metric: a name in `CLOSED_FORM`.

    Raises:
        ResultError: for an unknown metric, other shapes, or numbers that are not finite.

    >>> found = contributions(np.array([0, 1, 1]), np.array([[0.2, 0.4, 0.9]]), ["a", "b", "b"], "accuracy")
    >>> found.values.round(3), found.vectors.round(3)
    (array([0.667]), array([[ 0.111, -0.111]]))
    """
    if metric not in CLOSED_FORM:
        raise ResultError(
            f"{metric!r} has no closed form. Metrics with one: {listed(sorted(CLOSED_FORM))}; use `stats.bootstrap` for others.",
            code="metric-without-closed-form",
        )
    truth, runs, codes = checked(labels, scores, patients, metric)
    return CLOSED_FORM[metric](truth, runs, codes)


def _auroc(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    """One label, or the mean over labels, or over classes against the others."""
    _check_labels(truth, runs)
    if truth.ndim == 2:
        known, positive = ~np.isnan(truth.astype(np.float64)), truth == 1
    elif runs.ndim == 3 and runs.shape[2] > 2:
        positive = truth[:, None] == np.arange(runs.shape[2])
        known = np.ones_like(positive)
    else:
        runs = runs[..., -1] if runs.ndim == 3 else runs
        runs, positive = runs[..., None], (truth == 1)[:, None]
        known = np.ones_like(positive)

    # labels with enough patients of both classes
    count = int(codes.max()) + 1
    smaller = np.array([smaller_class(positive[known[:, k], k], codes[known[:, k]]) for k in range(positive.shape[1])])
    used, left_out, lacking = used_labels(smaller)
    if not len(used):
        return _undefined(len(runs), count, left_out)

    # the mean over labels of values and influences
    values, vectors = np.zeros((len(used), len(runs))), np.zeros((len(used), len(runs), count))
    for place, k in enumerate(used):
        rows = np.flatnonzero(known[:, k])
        for run in range(len(runs)):
            value, cases = placements(positive[rows, k], runs[run, rows, k])
            values[place, run], vectors[place, run] = value, per_patient(cases, codes[rows], count)
    mean = vectors.mean(axis=0)
    return Contributions(
        values.mean(axis=0), mean, joint_df(vectors, mean, smaller[used] - 1.0), len(used), left_out, lacking
    )


def placements(positive: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """The AUROC of one run, and the influence of each image on it.

    The placement of a positive image is the share of negatives with a lower score, and that of a negative image the share of
    positives with a higher score; ties count one half. The influence is the placement minus the AUROC, over the number of
    images of its class.

    Args:
        positive: (N,) booleans, with both values.
        scores: (N,) finite numbers, higher for positives.

    Returns:
        The AUROC, and (N,) influences, whose sum is 0.

    Source: DeLong et al. 1988 (doi:10.2307/2531595); sorting instead of pairs as in Sun and Xu 2014
    (doi:10.1109/LSP.2014.2337313).

    >>> placements(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.4, 0.8]))
    (0.875, array([ 0.0625, -0.0625, -0.0625,  0.0625]))
    """
    order = np.argsort(scores)
    ordered, is_positive = scores[order], positive[order]

    # images with equal scores form a group; counts of each class before its end
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    sizes = np.diff(last, prepend=-1)
    until = np.cumsum(is_positive)[last].astype(np.float64)
    n_pos = until[-1]
    n_neg = len(scores) - n_pos
    negatives_until = (last + 1) - until

    # the middle of a group counts half of the images with the same score
    below = (negatives_until + np.concatenate([[0.0], negatives_until[:-1]])) / 2
    above = n_pos - (until + np.concatenate([[0.0], until[:-1]])) / 2
    placed = np.where(is_positive, np.repeat(below / n_neg, sizes), np.repeat(above / n_pos, sizes))
    auroc = float(placed[is_positive].mean())
    influence = np.empty(len(scores))
    influence[order] = (placed - auroc) / np.where(is_positive, n_pos, n_neg)
    return auroc, influence


def _check_labels(truth: np.ndarray, runs: np.ndarray) -> None:
    """Refuse labels that are not a class, so that they do not count as negatives."""
    classes = np.arange(runs.shape[2]) if truth.ndim == 1 and runs.ndim == 3 else np.arange(2)
    known = truth[~np.isnan(truth.astype(np.float64))] if truth.ndim == 2 else truth
    if not np.isin(known, classes).all():
        text = (
            "0, 1, or NaN for cases without annotation" if truth.ndim == 2 else f"class numbers from 0 to {classes[-1]}"
        )
        raise ResultError(f"Labels must be {text}.", code="labels-invalid")


def _mean_of_cases(cases: np.ndarray, codes: np.ndarray) -> Contributions:
    """A mean over images of a value of each run and image, (S, N); or of each label too, (S, N, C), then over labels."""
    return contributions_of_values(cases[..., None] if cases.ndim == 2 else cases, codes)


def _decided(truth: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Whether the decision of each run on each image (and label) is right; NaN without annotation.

    As in `medzoo.bench.metrics`: the most probable class; at one half itself, several labels are positive and a single one is not.
    """
    if truth.ndim == 2:
        return np.where(np.isnan(truth.astype(np.float64)), np.nan, (runs >= 0.5) == (truth == 1))
    right = runs.argmax(axis=2) == truth if runs.ndim == 3 else (runs > 0.5) == (truth == 1)
    return right.astype(np.float64)


def _accuracy(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    _check_labels(truth, runs)
    return _mean_of_cases(_decided(truth, runs), codes)


def _balanced_accuracy(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    """The mean over the classes that occur of the share of their images that is right; of labels, their mean."""
    _check_labels(truth, runs)
    right, count = _decided(truth, runs), int(codes.max()) + 1
    if truth.ndim == 1:
        one = _of_classes(truth, right, codes, count)
        few = min(one.sizes) < LEAST_PATIENTS
        return Contributions(
            one.values, one.vectors.mean(axis=0), one.df, len(one.sizes),
            lacking=f"a class with fewer than {LEAST_PATIENTS} patients" if few else "",
        )  # fmt: skip

    # labels with enough patients of both classes, as for AUROC
    known = ~np.isnan(truth.astype(np.float64))
    every = [
        _of_classes(truth[rows, k], right[:, rows, k], codes[rows], count)
        for k, rows in ((k, np.flatnonzero(known[:, k])) for k in range(truth.shape[1]))
    ]
    smaller = np.array([min(one.sizes) if len(one.sizes) == 2 else 0 for one in every])
    used, left_out, lacking = used_labels(smaller)
    if not len(used):
        return _undefined(len(runs), count, left_out)
    vectors = np.stack([every[k].vectors.mean(axis=0) for k in used])
    mean, df = vectors.mean(axis=0), np.array([every[k].df for k in used])
    values = np.mean([every[k].values for k in used], axis=0)
    return Contributions(values, mean, joint_df(vectors, mean, df), len(used), left_out, lacking)


class _Classes(NamedTuple):
    """The shares of right images in the classes of one label: values, influences of each class, df, patients of each class."""

    values: np.ndarray
    vectors: np.ndarray
    df: float
    sizes: list[int]


def _of_classes(truth: np.ndarray, right: np.ndarray, codes: np.ndarray, count: int) -> _Classes:
    values, vectors, sizes = [], [], []
    for one in np.unique(truth):
        rows = np.flatnonzero(truth == one)
        share = right[:, rows].mean(axis=1)
        cases = (right[:, rows] - share[:, None]) / len(rows)
        values.append(share)
        vectors.append([per_patient(run, codes[rows], count) for run in cases])
        sizes.append(len(np.unique(codes[rows])))
    if not sizes:
        return _Classes(np.full(len(right), np.nan), np.zeros((1, len(right), count)), 0.0, [])
    stacked = np.array(vectors)
    df = joint_df(stacked, stacked.mean(axis=0), np.array(sizes) - 1.0)
    return _Classes(np.mean(values, axis=0), stacked, df, sizes)


def _undefined(runs: int, patients: int, labels: tuple[int, ...]) -> Contributions:
    """No label has two classes."""
    return Contributions(np.full(runs, np.nan), np.zeros((runs, patients)), 0.0, 0, labels, "only one class")


def _brier(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    _check_labels(truth, runs)
    if truth.ndim == 1 and runs.ndim == 3:
        return _mean_of_cases(((runs - np.eye(runs.shape[2])[truth.astype(np.int64)]) ** 2).sum(axis=2), codes)
    return _mean_of_cases((runs - truth) ** 2, codes)


def _mae(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    return _mean_of_cases(np.abs(runs - truth), codes)


def _mean(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    return _mean_of_cases(runs, codes)


CLOSED_FORM: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Contributions]] = {
    "auroc": _auroc,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "brier": _brier,
    "mae": _mae,
    "mean": _mean,
}
