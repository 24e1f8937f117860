"""How well a linear classifier on features separates groups of images: cross-validated by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medzoo.bench import stats
from medzoo.data.rng import permutation
from medzoo.training.probes.ridge import fit_ridge, one_hot

FOLDS = 5
LEAST = 10  # patients of each group: with fewer, an interval of an AUROC does not have its level
PENALTIES = tuple(10.0**power for power in range(-1, 6))


@dataclass(frozen=True)
class Separability:
    """The AUROC with which features separate groups; of more than two groups, the mean of each against the others.

    Args:
        value: of all images; None if it cannot be measured.
        low: lower end of the 95 % interval over patients.
        high: upper end.
        images: number of images.
        patients: number of patients.
        reason: why there is no value; empty if there is one.
    """

    value: float | None
    low: float | None
    high: float | None
    images: int
    patients: int
    reason: str = ""


def enough(labels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Which images belong to a group with enough patients.

    Args:
        labels: (N,) names of groups; images with an empty text belong to none.
        patients: (N,).
    """
    counts = {name: len(set(patients[labels == name])) for name in set(labels.tolist())}
    return np.array([name != "" and counts[name] >= LEAST for name in labels.tolist()], dtype=bool)


def patient_folds(
    labels: np.ndarray, patients: Sequence[str] | np.ndarray, seed: int, folds: int = FOLDS
) -> np.ndarray:
    """The fold of each image: all images of a patient in one fold, and every group spread evenly.

    Args:
        labels: (N,) group numbers; the first image of a patient decides where the patient is counted.
        patients: (N,).
        seed: of the order of the patients.
        folds: number of folds.

    >>> patient_folds(np.array([0, 0, 1, 1]), ["a", "a", "b", "c"], seed=0, folds=2).tolist()[:2] in ([0, 0], [1, 1])
    True
    """
    _, first, codes = np.unique(np.asarray(patients), return_index=True, return_inverse=True)
    order = permutation("separability folds", seed, 0, len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % folds
    return fold[codes]


def left_out_scores(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The scores of ridge regression for images whose patients it has not seen; a column's penalty is chosen by the
    left-out errors of the training folds.

    Args:
        features: (N, D).
        labels: (N,) group numbers, or (N, L) of 0 and 1.
        folds: (N,) of `patient_folds`.

    Returns:
        (N, K) scores, one column for each group or label.
    """
    targets = one_hot(labels, int(labels.max()) + 1) if labels.ndim == 1 else torch.from_numpy(2.0 * labels - 1.0)
    names = np.unique(folds)
    splits = [(torch.from_numpy(folds != fold), folds == fold) for fold in names]
    models = [fit_ridge(features[train.numpy()], targets[train], PENALTIES) for train, _ in splits]
    # One penalty for all folds: scores of different penalties have different scales, and cannot be ranked together.
    errors = sum(
        torch.stack([(model.left_out - targets[train]).square().sum(0) for model in some])
        for some, (train, _) in zip(models, splits, strict=True)
    )
    scores = np.zeros(tuple(targets.shape))
    for column, best in enumerate(torch.as_tensor(errors).argmin(0).tolist()):
        for some, (_, test) in zip(models, splits, strict=True):
            # Without the intercept: a fold with more cases of a group has a lower share of it in training, so that intercepts
            # of several folds together would give an AUROC below 0.5 where features say nothing.
            found = some[best].predict(features[test])[:, column] - some[best].intercepts[column]
            scores[test, column] = found.numpy()
    return scores


@dataclass(frozen=True)
class Scored:
    """Scores of images with their groups, to compare two networks on the same images.

    Args:
        truth: (N,) of 0 and 1, or (N, K).
        scores: (N,) or (N, K).
        patients: (N,).
    """

    truth: np.ndarray
    scores: np.ndarray
    patients: np.ndarray

    def separability(self) -> Separability:
        """The AUROC with its interval over patients."""
        found = stats.interval(self.truth, self.scores[None], self.patients)
        value = float(found.mean) if np.isfinite(found.mean) else None
        reason = "" if value is not None else found.note
        return Separability(value, found.low, found.high, len(self.truth), found.patients, reason)

    def difference(self, other: Scored) -> tuple[float, float | None, float | None]:
        """The AUROC of another network minus this one's, with the ends of its interval.

        Args:
            other: of the same images.
        """
        found = stats.compare(self.truth, other.scores[None], self.scores[None], self.patients)
        return found.delta, found.low, found.high


def scored(features: np.ndarray, labels: np.ndarray, patients: np.ndarray, seed: int) -> Scored:
    """Cross-validate a linear classifier.

    Args:
        features: (N, D).
        labels: (N,) group numbers of two or more groups, or (N, L) of 0 and 1.
        patients: (N,).
        seed: of the folds.
    """
    rare = labels if labels.ndim == 1 else labels[:, labels.sum(0).argmax()]
    scores = left_out_scores(features, labels, patient_folds(rare.astype(np.int64), patients, seed))
    if labels.ndim == 2:
        return Scored(labels.astype(np.float64), scores, patients)
    if scores.shape[1] == 2:
        return Scored(labels, scores[:, 1], patients)
    return Scored(np.eye(scores.shape[1])[labels], scores, patients)
