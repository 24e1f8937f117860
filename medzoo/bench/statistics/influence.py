"""How much each patient contributes to a metric of each run: the input of every interval and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medzoo.errors import ResultError

LEAST_PATIENTS = 10  # of each class: with fewer, 95 % intervals of an AUROC cover far less than 95 %
ROUNDING = 1e-12  # of a value that is the same for all patients
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

    @property
    def constant(self) -> bool:
        """Whether all patients have the same value, in each run."""
        return not (np.abs(self.vectors) > ROUNDING).any()


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


def smaller_class(positive: np.ndarray, codes: np.ndarray) -> int:
    """Patients with a positive image, or those with a negative one if they are fewer.

    Args:
        positive: (N,) of the images.
        codes: (N,) patients as numbers from 0.

    >>> smaller_class(np.array([True, True, False, False]), np.array([0, 0, 1, 2]))
    1
    """
    return min(len(np.unique(codes[positive])), len(np.unique(codes[~positive])))


def joint_df(vectors: np.ndarray, mean: np.ndarray, each: np.ndarray) -> float:
    """Degrees of freedom of a mean over labels: each label's share of the variance has those of its smaller class.

    Args:
        vectors: (L, S, P) influences on each label.
        mean: (S, P) their mean over labels.
        each: (L,) degrees of freedom of each label.

    >>> one = np.array([[[0.1, -0.1]]])
    >>> joint_df(one, one[0], np.array([1.0]))
    1.0
    """
    shares = np.maximum(np.einsum("lsp,sp->l", vectors, mean), 0.0)
    if not shares.sum() or (each <= 0).any():
        return float(max(each.min(), 0.0))
    return min(float(shares.sum() ** 2 / (shares**2 / each).sum()), mean.shape[1] - 1.0)


def used_labels(smaller: np.ndarray) -> tuple[np.ndarray, tuple[int, ...], str]:
    """The labels that a mean over labels has, those that it leaves out, and why there is no interval (else empty).

    Without a label that has enough patients, the mean is over all labels with two classes, and has no interval.

    Args:
        smaller: (L,) of `smaller_class`.

    >>> used_labels(np.array([12, 3]))
    (array([0]), (1,), '')
    """
    used = np.flatnonzero(smaller >= LEAST_PATIENTS)
    lacking = "" if len(used) else f"fewer than {LEAST_PATIENTS} positive or negative patients"
    used = used if len(used) else np.flatnonzero(smaller > 0)
    return used, tuple(k for k in range(len(smaller)) if k not in set(used.tolist())), lacking
