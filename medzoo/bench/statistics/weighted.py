"""Metrics of one run when each patient counts a number of times, for many such draws at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medzoo.errors import MissingExtraError


class RankSums:
    """The images of one label in the order of their scores, for rank metrics of many draws.

    Between two positives with different scores only the number of negatives counts. So the images are sorted once, and a draw is
    the product of a sparse matrix (gaps between positives x patients) with the patients' counts.

    Args:
        positive: (N,) booleans.
        scores: (N,) numbers.
        codes: (N,) patients as numbers from 0.
        patients: number of patients.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray, codes: np.ndarray, patients: int) -> None:
        try:
            from scipy.sparse import csr_array
        except ImportError as error:
            raise MissingExtraError("scipy", "recipes", "A bootstrap") from error
        levels, place = np.unique(scores[positive], return_inverse=True)

        # a negative is below, at, or above each level: gap 2i is before level i, gap 2i + 1 at level i
        before = np.searchsorted(levels, scores[~positive], side="left")
        equal = np.searchsorted(levels, scores[~positive], side="right") > before
        gap = 2 * before + equal

        def counts(rows: np.ndarray, columns: np.ndarray, height: int) -> csr_array:
            return csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(height, patients))

        self.negatives = counts(gap, codes[~positive], 2 * len(levels) + 1)
        self.positives = counts(place, codes[positive], len(levels))

    def auroc(self, weights: np.ndarray) -> np.ndarray:
        """The AUROC of each draw, NaN where a class is absent.

        Args:
            weights: (P, D) float32, how often each patient occurs.
        """
        positives, until = self.positives @ weights, np.cumsum(self.negatives @ weights, axis=0)
        below = until[0:-1:2] + until[1::2]  # twice the negatives below, with those at the level once
        wins = np.einsum("ld,ld->d", positives, below, dtype=np.float64) / 2
        with np.errstate(invalid="ignore"):
            return wins / (positives.sum(axis=0, dtype=np.float64) * until[-1])

    def auprc(self, weights: np.ndarray) -> np.ndarray:
        """The average precision of each draw, NaN without positives.

        Args:
            weights: (P, D) float32, how often each patient occurs.
        """
        positives = (self.positives @ weights).astype(np.float64)
        until = np.cumsum(self.negatives @ weights, axis=0, dtype=np.float64)
        hits = np.cumsum(positives[::-1], axis=0)[::-1]  # with a score of at least the level
        false_alarms = until[-1] - until[0:-1:2]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(hits > 0, hits / (hits + false_alarms), 0.0)
            return (positives * precision).sum(axis=0) / hits[0]


def confusion(
    positive: np.ndarray, predicted: np.ndarray, codes: np.ndarray, weights: np.ndarray, width: int = 2
) -> np.ndarray:
    """The confusion matrix of each draw.

    Args:
        positive: (N,) class numbers.
        predicted: (N,) class numbers.
        codes: (N,) patients.
        weights: (P, D) counts of patients.
        width: number of classes K.

    Returns:
        (K, K, D): true class, predicted class, draw.
    """
    cells, patients = width * width, len(weights)
    place = codes * cells + positive.astype(np.int64) * width + predicted.astype(np.int64)
    each = np.bincount(place, minlength=patients * cells).reshape(patients, cells)
    return (each.T.astype(np.float64) @ weights).reshape(width, width, -1)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Args: counts: (K, K, D) of `confusion`."""
    return np.einsum("kkd->d", counts) / counts.sum(axis=(0, 1))


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Args: counts: (K, K, D) of `confusion`; draws without one of the classes take the mean of the others."""
    right, of = np.einsum("kkd->kd", counts), counts.sum(axis=1)
    shares = np.where(of > 0, right / np.maximum(of, 1), np.nan)
    mean: np.ndarray = np.where((of > 0).sum(axis=0) > 1, np.nansum(shares, axis=0) / (of > 0).sum(axis=0), np.nan)
    return mean


def f1(counts: np.ndarray) -> np.ndarray:
    """Args: counts: (2, 2, D) of `confusion`."""
    twice = 2 * counts[1, 1]
    return twice / (twice + counts[0, 1] + counts[1, 0])


def sensitivity(counts: np.ndarray) -> np.ndarray:
    """Args: counts: (2, 2, D) of `confusion`."""
    return counts[1, 1] / counts[1].sum(axis=0)


def specificity(counts: np.ndarray) -> np.ndarray:
    """Args: counts: (2, 2, D) of `confusion`."""
    return counts[0, 0] / counts[0].sum(axis=0)


def kappa(counts: np.ndarray, power: int = 0) -> np.ndarray:
    """Args: counts: (K, K, D) of `confusion`; power: 0 for all confusions alike, 2 for the quadratic weights."""
    number = np.arange(len(counts))
    apart = np.abs(number[:, None] - number)
    weight = (apart > 0).astype(np.float64) if power == 0 else apart.astype(np.float64) ** power
    total = counts.sum(axis=(0, 1))
    expected = np.einsum("jd,kd->jkd", counts.sum(axis=1), counts.sum(axis=0)) / total
    return 1 - np.einsum("jk,jkd->d", weight, counts) / np.einsum("jk,jkd->d", weight, expected)


DECISIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
    "kappa": kappa,
    "quadratic_kappa": lambda counts: kappa(counts, power=2),
    "sensitivity": sensitivity,
    "specificity": specificity,
}


def regression(
    name: str, truth: np.ndarray, predicted: np.ndarray, codes: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """A metric of regression of each draw.

    Args:
        name: "mae", "rmse", "r2" or "pearson".
        truth: (N,) numbers.
        predicted: (N,) numbers.
        codes: (N,) patients.
        weights: (P, D) counts of patients.
    """
    x, y = truth - truth.mean(), predicted - truth.mean()  # centred, so that the squares stay exact
    terms = [np.ones_like(x), np.abs(y - x), (y - x) ** 2, x, x * x, y, y * y, x * y]
    each = np.stack([np.bincount(codes, weights=term, minlength=len(weights)) for term in terms])
    n, absolute, squared, sx, sxx, sy, syy, sxy = each @ weights
    if name == "mae":
        return absolute / n
    if name == "rmse":
        return np.sqrt(squared / n)
    total = sxx - sx * sx / n
    if name == "r2":
        return 1 - squared / total
    return (sxy - sx * sy / n) / np.sqrt(total * (syy - sy * sy / n))
