"""How much each patient contributes to a metric of each run: the input of every interval and test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medzoo.bench.statistics.placement import placements
from medzoo.errors import ResultError, listed

LEAST_PATIENTS = 10  # of each class: with fewer, 95 % intervals of an AUROC cover far less than 95 %
LOGIT = frozenset({"auroc", "accuracy", "balanced_accuracy"})  # shares, whose intervals must stay within 0 and 1


@dataclass(frozen=True)
class Contributions:
    """The values of a cell's runs, and what each patient contributes to them.

    Args:
        values: (S,) the metric of each run.
        vectors: (S, P) the influence of each patient, whose sum over patients is 0 for each run.
        cases_df: degrees of freedom of the patients' part: about the number of patients in the smaller class, minus 1.
        labels: number of labels or classes in a macro mean; 1 without one.
        left_out: positions of labels with too few patients for an interval; they are not in the mean.
        lacking: why there is no interval; empty if there can be one.
    """

    values: np.ndarray
    vectors: np.ndarray
    cases_df: float
    labels: int = 1
    left_out: tuple[int, ...] = ()
    lacking: str = ""

    @property
    def patients(self) -> int:
        """The number of patients."""
        return int(self.vectors.shape[1])


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


def contributions_of_values(values: np.ndarray, patients: Sequence[object] | np.ndarray) -> Contributions:
    """The contributions of values of images, such as Dice: the mean over images, then over structures.

    Args:
        values: (S, N, structures) of S runs; NaN where undefined.
        patients: (N,) the patient of each image.

    >>> contributions_of_values(np.array([[[0.5], [1.0]]]), ["a", "b"]).vectors
    array([[-0.125,  0.125]])
    """
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    used = counts.min(axis=0) > 0
    if not used.any():
        return Contributions(
            np.full(len(values), np.nan), np.zeros((len(values), int(codes.max()) + 1)), 0.0, lacking="undefined"
        )
    means = np.where(known, values, 0).sum(axis=1) / np.maximum(counts, 1)
    cases = np.where(known, values - means[:, None], 0.0)[..., used] / counts[:, None, used]
    vectors = np.stack([per_patient(run, codes, int(codes.max()) + 1) for run in cases.mean(axis=2)])
    return Contributions(means[:, used].mean(axis=1), vectors, float(codes.max()), int(used.sum()))


def checked(
    labels: np.ndarray, scores: np.ndarray, patients: Sequence[object] | np.ndarray, metric: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with a first axis of runs, and patients as numbers from 0.

    Args:
        labels: as for `contributions`.
        scores: as for `contributions`; (N,) is one run if the labels are (N,).
        patients: as for `contributions`.
        metric: its name.

    Raises:
        ResultError: for other shapes, or numbers that are not finite.
    """
    truth, runs = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if runs.ndim == 1:
        runs = runs[None]
    number = runs.shape[1] if runs.ndim > 1 else 0
    if runs.ndim not in (2, 3) or len(truth) != number or (truth.ndim == 2 and truth.shape[1:] != runs.shape[2:]):
        raise ResultError(
            f"Scores should be (runs, images) or (runs, images, classes) and fit the labels, not {runs.shape} for labels "
            f"{truth.shape}.",
            code="scores-shape-wrong",
        )
    if not np.isfinite(runs).all():
        raise ResultError(
            f"{int((~np.isfinite(runs)).sum())} scores are NaN or infinite.", code="predictions-not-finite"
        )
    names = np.asarray(patients)
    if names.shape != (number,):
        raise ResultError(
            f"There are {len(names)} patients for {number} images. Give the patient of each image.",
            code="groups-length-mismatch",
        )
    if not number or not len(runs):
        raise ResultError(f"There are no cases for {metric}.", code="split-empty")
    return truth, runs, np.unique(names, return_inverse=True)[1]


def per_patient(cases: np.ndarray, codes: np.ndarray, count: int) -> np.ndarray:
    """The sums of influences over the images of each patient.

    Args:
        cases: (N,) influences of the images.
        codes: (N,) patients as numbers from 0.
        count: number of patients.

    >>> per_patient(np.array([1.0, 2.0, 4.0]), np.array([0, 1, 1]), 2)
    array([1., 6.])
    """
    return np.bincount(codes, weights=cases, minlength=count)


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
    smaller = np.array([_smaller_class(positive[known[:, k], k], codes[known[:, k]]) for k in range(positive.shape[1])])
    defined = np.flatnonzero(smaller > 0)
    used = np.flatnonzero(smaller >= LEAST_PATIENTS)
    lacking = "" if len(used) else f"fewer than {LEAST_PATIENTS} positive or negative patients"
    used = used if len(used) else defined
    if not len(used):
        empty = np.full(len(runs), np.nan)
        return Contributions(empty, np.zeros((len(runs), count)), 0.0, 0, tuple(range(len(smaller))), "only one class")

    # the mean over labels of values and influences
    values, vectors = np.zeros((len(used), len(runs))), np.zeros((len(used), len(runs), count))
    for place, k in enumerate(used):
        rows = np.flatnonzero(known[:, k])
        for run in range(len(runs)):
            value, cases = placements(positive[rows, k], runs[run, rows, k])
            values[place, run], vectors[place, run] = value, per_patient(cases, codes[rows], count)
    mean = vectors.mean(axis=0)
    left_out = tuple(int(k) for k in range(len(smaller)) if k not in set(used))
    return Contributions(
        values.mean(axis=0), mean, _joint_df(vectors, mean, smaller[used] - 1.0), len(used), left_out, lacking
    )


def _check_labels(truth: np.ndarray, runs: np.ndarray) -> None:
    """Refuse labels that are not a class, so that they do not count as negatives."""
    classes = np.arange(runs.shape[2]) if truth.ndim == 1 and runs.ndim == 3 else np.arange(2)
    known = truth[~np.isnan(truth.astype(np.float64))] if truth.ndim == 2 else truth
    if not np.isin(known, classes).all():
        text = (
            "0, 1, or NaN for cases without annotation" if truth.ndim == 2 else f"class numbers from 0 to {classes[-1]}"
        )
        raise ResultError(f"Labels must be {text}.", code="labels-invalid")


def _smaller_class(positive: np.ndarray, codes: np.ndarray) -> int:
    """Patients with a positive image, or those with a negative one if they are fewer."""
    return min(len(np.unique(codes[positive])), len(np.unique(codes[~positive])))


def _joint_df(vectors: np.ndarray, mean: np.ndarray, each: np.ndarray) -> float:
    """Degrees of freedom of a mean over labels: each label's share of the variance has those of its smaller class."""
    shares = np.maximum(np.einsum("lsp,sp->l", vectors, mean), 0.0)
    if not shares.sum() or (each <= 0).any():
        return float(max(each.min(), 0.0))
    return min(float(shares.sum() ** 2 / (shares**2 / each).sum()), mean.shape[1] - 1.0)


def _mean_of_cases(cases: np.ndarray, codes: np.ndarray) -> Contributions:
    """A mean over images of a value of each run and image, (S, N)."""
    return contributions_of_values(cases[..., None], codes)


def _decided(truth: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Whether the decision of each run on each image is right, (S, N): the most probable class, or above one half."""
    if runs.ndim == 3:
        return runs.argmax(axis=2) == truth
    return (runs > 0.5) == (truth == 1)


def _accuracy(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    _check_labels(truth, runs)
    return _mean_of_cases(_decided(truth, runs).astype(np.float64), codes)


def _balanced_accuracy(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    """The mean over the classes that occur of the share of their images that is right."""
    _check_labels(truth, runs)
    right, count = _decided(truth, runs).astype(np.float64), int(codes.max()) + 1
    classes = np.unique(truth)
    values, vectors, sizes = [], [], []
    for one in classes:
        rows = np.flatnonzero(truth == one)
        share = right[:, rows].mean(axis=1)
        values.append(share)
        vectors.append(
            [
                per_patient((run[rows] - mean) / len(rows), codes[rows], count)
                for run, mean in zip(right, share, strict=True)
            ]
        )
        sizes.append(len(np.unique(codes[rows])))
    stacked = np.array(vectors)
    mean = stacked.mean(axis=0)
    few = min(sizes) < LEAST_PATIENTS
    return Contributions(
        np.mean(values, axis=0), mean, _joint_df(stacked, mean, np.array(sizes) - 1.0), len(classes),
        lacking=f"a class with fewer than {LEAST_PATIENTS} patients" if few else "",
    )  # fmt: skip


def _brier(truth: np.ndarray, runs: np.ndarray, codes: np.ndarray) -> Contributions:
    _check_labels(truth, runs)
    if runs.ndim == 3:
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
