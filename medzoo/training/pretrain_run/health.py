"""Measures of whether the features of a network carry information, without labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from medzoo.training.pretraining.measures import feature_std

COLLAPSED_SPREAD = (
    0.01  # features of all images are one point, up to a hundredth of the spread of independent directions
)
COLLAPSED_RANK = 1.05


def feature_spread(features: np.ndarray) -> float:
    """The spread of features, as `feature_std`, of arrays and in float64.

    Args:
        features: (N, D).

    >>> feature_spread(np.ones((4, 3)))
    0.0
    """
    return float(feature_std(torch.from_numpy(features).double()))


def rank_me(features: np.ndarray) -> float:
    """The effective rank of features: e to the entropy of their normalised singular values, from 1 to min(N, D).

    Args:
        features: (N, D).

    Source: Garrido et al. 2023, RankMe, https://arxiv.org/abs/2210.02885

    >>> round(rank_me(np.eye(5)), 6), round(rank_me(np.ones((5, 5))), 6)
    (5.0, 1.0)
    """
    return _entropy_rank(np.linalg.svd(features.astype(np.float64), compute_uv=False))


def lidar(views: np.ndarray, *, ridge: float = 1e-4) -> float:
    """The effective rank of the differences between images, relative to those between views of one image.

    Args:
        views: (images, views of each, D).
        ridge: added to the diagonal of the covariance within images.

    Source: Thilak et al. 2024, LiDAR, https://arxiv.org/abs/2312.04000

    >>> draw = np.random.default_rng(0)
    >>> points = np.repeat(np.eye(6)[:, None], 10, axis=1)
    >>> round(lidar(points + 1e-3 * draw.normal(size=points.shape)))
    5
    """
    rows = views.astype(np.float64)
    images, copies, width = rows.shape
    centres = rows.mean(axis=1)
    inside = (rows - centres[:, None]).reshape(-1, width)
    within = inside.T @ inside / max(1, images * (copies - 1)) + ridge * np.eye(width)
    away = centres - centres.mean(axis=0)
    between = away.T @ away / max(1, images - 1)
    values, vectors = np.linalg.eigh(within)
    whiten = (vectors / np.sqrt(values)) @ vectors.T
    return _entropy_rank(np.maximum(np.linalg.eigvalsh(whiten @ between @ whiten), 0.0))


def is_collapsed(values: Mapping[str, float]) -> bool:
    """Whether the features are nearly the same for all images.

    Args:
        values: "feature_spread" and "rank_me"; without them nothing is known, and the answer is no.

    >>> is_collapsed({"feature_spread": 0.0, "rank_me": 1.0}), is_collapsed({})
    (True, False)
    """
    numbers = [values[key] for key in ("feature_spread", "rank_me") if key in values]
    if not all(np.isfinite(numbers)):
        return True
    return values.get("feature_spread", 1.0) < COLLAPSED_SPREAD or values.get("rank_me", 2.0) < COLLAPSED_RANK


def _entropy_rank(values: np.ndarray) -> float:
    """E to the entropy of values that are scaled to the sum 1; 1 where all are 0."""
    total = values.sum()
    if not np.isfinite(total):
        return float("nan")
    shares = values / total if total > 0 else np.array([1.0])
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
