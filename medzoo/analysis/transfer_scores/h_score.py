"""The H-score: how much of the variance of features is between classes, in the metric of their covariance.

It is tr(cov(f)^-1 cov(E[f | y])). With few images the covariance is shrunk towards a multiple of the identity.

Source: Bao et al. 2019 (https://doi.org/10.1109/ICIP.2019.8803726); shrunk by the rule of Ledoit and Wolf 2004:
Ibrahim et al. 2022 (https://arxiv.org/abs/2110.06893).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HScores:
    """Both H-scores of features, one for each set of labels.

    Args:
        plain: (L,) H-scores; NaN if there are not more images than features.
        regularised: (L,) H-scores with the shrunk covariance.
        shrinkage: of the covariance, from 0 (none) to 1.
    """

    plain: np.ndarray
    regularised: np.ndarray
    shrinkage: float


def h_scores(features: np.ndarray, labels: np.ndarray) -> HScores:
    """The H-scores of some features.

    Args:
        features: (N, D), not all constant.
        labels: (N, L) class numbers; each column has its own score.

    >>> features, labels = np.array([[0.0, 1.0], [0.0, 0.0], [2.0, 1.0], [2.0, 0.0]]), np.array([[0], [0], [1], [1]])
    >>> h_scores(features, labels).plain.round(6).tolist()
    [1.0]
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    values = np.asarray(features, dtype=np.float64)
    values = values - values.mean(0)
    values = values[:, values.std(0) > 0]
    count, width = values.shape
    shrinkage = float(ledoit_wolf_shrinkage(values, assume_centered=True)) if width > 1 else 0.0
    sizes, axes = np.linalg.eigh(values.T @ values / count)
    shrunk = (1 - shrinkage) * sizes + shrinkage * sizes.mean()
    kept = sizes > sizes[-1] * width * 1e-12
    plain, regularised = [], []
    for column in labels.T:
        classes, numbers = np.unique(column, return_inverse=True)
        shares = np.bincount(numbers) / count
        means = np.stack([values[numbers == place].mean(0) for place in range(len(classes))])
        between = shares @ (means @ axes) ** 2  # (D,) the variance of the class means along each axis
        plain.append(float((between[kept] / sizes[kept]).sum()) if count > width else np.nan)
        alive = shrunk > 1e-300
        regularised.append(float((1 - shrinkage) * (between[alive] / shrunk[alive]).sum()))
    return HScores(np.array(plain), np.array(regularised), shrinkage)
