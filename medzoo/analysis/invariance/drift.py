"""How far features move when images change, in units that do not depend on the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drift:
    """What a change does to the features of each image.

    Args:
        relative: (N,) the distance between the features of an image and of its changed version, over the mean distance
            between images of different patients: 0 means no change, 1 another patient.
        cosine: (N,) 1 - cosine of both vectors, without centring.
        own: (N,) whether the nearest original of a changed image is the image itself.
    """

    relative: np.ndarray
    cosine: np.ndarray
    own: np.ndarray


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The Euclidean distances of all pairs.

    Args:
        first: (N, D).
        second: (M, D).

    Returns:
        (N, M) float64.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    middle = one.mean(0)  # distances stay, and squares lose fewer digits
    one, other = one - middle, other - middle
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0))


def spread(features: np.ndarray, patients: np.ndarray) -> float | None:
    """The mean distance between images of different patients; None if the network gives all images the same features.

    Args:
        features: (N, D).
        patients: (N,); if all images are of one patient, all pairs of images count.
    """
    codes = np.unique(patients, return_inverse=True)[1]
    pairs = codes[:, None] != codes[None]
    if not pairs.any():
        pairs = ~np.eye(len(codes), dtype=bool)
    found = distances(features, features)[pairs]
    mean = float(found.mean()) if found.size else 0.0
    size = float(np.abs(np.asarray(features, dtype=np.float64)).max(initial=0))
    return mean if mean > 1e-6 * size and size > 0 else None


def drift(features: np.ndarray, moved: np.ndarray, patients: np.ndarray) -> Drift | None:
    """Compare the features of images and of their changed versions.

    Args:
        features: (N, D) of the images.
        moved: (N, D) of their changed versions.
        patients: (N,).

    Returns:
        The drift of each image; None if the network gives all images the same features.

    >>> found = drift(np.array([[0.0, 1.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [3.0, 5.0]]), np.array(["a", "b"]))
    >>> found.relative.tolist(), found.own.tolist()
    ([0.2, 0.0], [True, True])
    """
    unit = spread(features, patients)
    if unit is None:
        return None
    before, after = np.asarray(features, dtype=np.float64), np.asarray(moved, dtype=np.float64)
    relative = np.linalg.norm(after - before, axis=1) / unit
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = 1 - (before * after).sum(1) / np.maximum(lengths, 1e-300)
    to_all = distances(after, before)
    own = np.diag(to_all) <= to_all.min(1) + 1e-9 * unit  # an equal image of the data counts as the image itself
    return Drift(relative, np.where(lengths > 0, cosine, 1.0), own)
