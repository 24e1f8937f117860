"""Two coordinates for each image: principal axes by SVD, or UMAP where it is installed."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from medzoo.errors import UsageError

DIGITS = 3  # of a coordinate in a row; the map is scaled to [-1, 1]


def principal_plane(features: np.ndarray) -> tuple[np.ndarray, float]:
    """The first two principal components, scaled together so that the largest coordinate is 1.

    Args:
        features: (N, D).

    Returns:
        (N, 2) coordinates, and the share of the variance that they have. Each axis points to where its largest loading is
        positive, so that the same features give the same map.

    >>> points, share = principal_plane(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]))
    >>> points[:, 0].round(6).tolist(), round(share, 6)
    ([-1.0, 0.0, 1.0], 1.0)
    """
    centred = np.asarray(features, dtype=np.float64) - np.mean(features, axis=0, dtype=np.float64)
    left, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    total = float((sizes**2).sum())
    if total <= 0:
        return np.zeros((len(features), 2)), 0.0
    points = np.zeros((len(features), 2))
    for axis in range(min(2, len(sizes))):
        sign = np.sign(axes[axis][np.abs(axes[axis]).argmax()]) or 1.0
        points[:, axis] = sign * left[:, axis] * sizes[axis]
    return scaled(points), float((sizes[:2] ** 2).sum() / total)


def umap_plane(features: np.ndarray, seed: int) -> np.ndarray:
    """The coordinates of UMAP.

    Args:
        features: (N, D).
        seed: of its random state.

    Raises:
        UsageError: if umap-learn is not installed.

    Source: McInnes et al. 2018 (https://arxiv.org/abs/1802.03426).
    """
    try:
        make = import_module("umap").UMAP
    except ImportError as error:
        raise UsageError(
            "--feature-map umap needs umap-learn: pip install umap-learn; or use --feature-map pca.",
            code="umap-missing",
        ) from error
    points = make(n_components=2, random_state=seed, n_jobs=1).fit_transform(np.asarray(features, dtype=np.float32))
    return scaled(np.asarray(points, dtype=np.float64) - np.mean(points, axis=0))


def scaled(points: np.ndarray) -> np.ndarray:
    """Points with 1 as their largest absolute coordinate.

    Args:
        points: (N, 2).
    """
    largest = float(np.abs(points).max(initial=0))
    return points / largest if largest > 0 else points


def as_text(values: np.ndarray) -> str:
    """Coordinates as a short text for a row.

    >>> as_text(np.array([0.5, -0.12345]))
    '0.5 -0.123'
    """
    return " ".join(f"{round(float(value), DIGITS):g}" for value in values)


def from_text(text: str) -> np.ndarray:
    """The coordinates of `as_text`.

    >>> from_text("0.5 -0.123").tolist()
    [0.5, -0.123]
    """
    return np.array([float(word) for word in text.split()])
