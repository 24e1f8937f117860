"""Do neighbours in the feature space share the class or the site? The robustness index of PathoROB.

The index is SO / (SO + OS) over the k nearest neighbours: SO counts neighbours of the same class and another site, OS those of
another class and the same site. Neighbours of the same patient do not count.

Source: Kömen et al. 2025 (https://arxiv.org/abs/2507.17845), whose data sets have equally many images of each class
and site. Where the numbers differ, neighbours drawn at random do not give 0.5; the balanced index divides SO and OS by their means
at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NeighbourCounts:
    """Counts of neighbours of each image.

    Args:
        counts: (N, 4): SO, OS, and what both would be on average if neighbours were drawn at random.
        patients: (N,) of the images.
    """

    counts: np.ndarray
    patients: np.ndarray

    @property
    def index(self) -> float | None:
        """SO / (SO + OS); None if both are 0."""
        return _known(shares(self.counts.sum(0)[None])[0, 0])

    @property
    def chance(self) -> float | None:
        """The index of neighbours that are drawn at random."""
        return _known(shares(np.tile(self.counts.sum(0)[2:], 2)[None])[0, 0])

    @property
    def balanced(self) -> float | None:
        """The index of SO and OS, each relative to neighbours that are drawn at random, which give 0.5."""
        return _known(shares(self.counts.sum(0)[None])[0, 1])

    def part(self, chosen: np.ndarray) -> NeighbourCounts:
        """The counts of some images.

        Args:
            chosen: (N,) bool.
        """
        return NeighbourCounts(self.counts[chosen], self.patients[chosen])

    def drawn(self, draws: int, seed: int) -> np.ndarray:
        """Index and balanced index with patients drawn with replacement; the images that can be neighbours stay.

        Args:
            draws: number of draws.
            seed: of the draws; the same seed draws the same patients for another network.

        Returns:
            (draws, 2); NaN where no neighbour counts.
        """
        codes = np.unique(self.patients, return_inverse=True)[1]
        sums = np.stack([np.bincount(codes, weights=column) for column in self.counts.T], axis=1)
        rng = np.random.default_rng(seed)
        even = np.full(len(sums), 1 / len(sums))
        return shares(
            np.concatenate([rng.multinomial(len(sums), even, size=part) @ sums for part in parts(draws, 100)])
        )


def shares(sums: np.ndarray) -> np.ndarray:
    """The index and the balanced index of sums of counts.

    Args:
        sums: (D, 4).

    Returns:
        (D, 2); NaN where nothing was counted.

    >>> shares(np.array([[30.0, 10.0, 10.0, 10.0]])).tolist(), shares(np.array([[1.0, 9.0, 1.0, 9.0]])).tolist()
    ([[0.75, 0.75]], [[0.1, 0.5]])
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = sums[:, 0] / (sums[:, 0] + sums[:, 1])
        relative = sums[:, :2] / sums[:, 2:]
        return np.stack([plain, relative[:, 0] / relative.sum(1)], axis=1)


def nearest_neighbours(features: np.ndarray, patients: np.ndarray, neighbours: int) -> np.ndarray:
    """The nearest images of other patients, by the cosine.

    Args:
        features: (N, D).
        patients: (N,).
        neighbours: k.

    Returns:
        (N, k) row numbers, the nearest first; -1 where an image has fewer images of other patients.
    """
    unit = np.asarray(features, dtype=np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-300)
    near = np.full((len(unit), neighbours), -1)
    for row in range(len(unit)):
        pool = np.flatnonzero(patients != patients[row])
        found = pool[np.argsort(-(unit[pool] @ unit[row]), kind="stable")[:neighbours]]
        near[row, : len(found)] = found
    return near


def neighbour_counts(near: np.ndarray, labels: np.ndarray, sites: np.ndarray, patients: np.ndarray) -> NeighbourCounts:
    """Count neighbours by class and site.

    Args:
        near: (N, k) of `nearest_neighbours`.
        labels: (N,) classes, or (N, L) of 0, 1 and NaN: an image then counts once for each label that it has, and "the same
            class" means that the neighbour has this label too.
        sites: (N,).
        patients: (N,).

    >>> near = nearest_neighbours(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]), np.arange(4), 1)
    >>> neighbour_counts(near, np.array([0, 0, 1, 1]), np.array(["x", "y", "x", "y"]), np.arange(4)).index
    1.0
    """
    other = patients[:, None] != patients[None]
    here = sites[:, None] == sites[None]
    inside = near >= 0
    share = inside.sum(1) / np.maximum(other.sum(1), 1)  # of the possible neighbours that are neighbours
    counts = np.zeros((len(near), 4))
    for column in labels.T if labels.ndim == 2 else [labels]:
        alike = column[:, None] == column[None]
        differ = ~alike if labels.ndim == 1 else (column[:, None] == 1) & (column[None] == 0)
        both = [alike & ~here & other, differ & here & other]
        mine = np.ones(len(near), dtype=bool) if labels.ndim == 1 else column == 1
        for place, mask in enumerate(both):
            counts[mine, place] += (np.take_along_axis(mask, near, axis=1) & inside).sum(1)[mine]
            counts[mine, place + 2] += (mask.sum(1) * share)[mine]
    return NeighbourCounts(counts, np.asarray(patients))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def parts(total: int, most: int) -> list[int]:
    """A number as a sum of parts.

    >>> parts(250, 100)
    [100, 100, 50]
    """
    return [min(most, total - done) for done in range(0, total, most)]
