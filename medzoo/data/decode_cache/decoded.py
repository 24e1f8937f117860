"""The decoded rows of a split with their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medzoo.data.decode_cache.rows import RowArray
from medzoo.data.label_policy import LabelPolicy, draw_soft
from medzoo.data.rng import permutation


@dataclass(frozen=True)
class Decoded:
    """The decoded rows of a split.

    Args:
        images: (N, H, W) or (N, H, W, 3), uint8 or uint16; indexed like an array, and read when indexed.
        labels: as `Task.labels`; zeros for segmentation and for tasks without labels.
        ids: of the rows.
        groups: patient (or group) of the rows.
        scale: 255 or 65535; images / scale is in [0, 1], the relative position in the pixels' range.
        sha256: of everything that decides the rows.
        uncertain: (N, C), the labels that `policy` draws in training; None unless it is "soft".
        policy: of uncertain labels, where the task has some.
        masks: (N, H, W) uint8, 0 is background; None unless the task is segmentation.
    """

    images: RowArray
    labels: np.ndarray
    ids: list[str]
    groups: list[str]
    scale: float
    sha256: str
    uncertain: np.ndarray | None = None
    policy: LabelPolicy | None = None
    masks: RowArray | None = None

    def labels_of(self, rows: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """The training labels of some rows in an epoch: soft ones are drawn by (seed, epoch, row).

        Args:
            rows: (N,) indices.
            seed: of the run.
            epoch: pass over the data.
        """
        labels = np.asarray(self.labels[rows])
        if self.policy is None or self.uncertain is None:
            return labels
        return draw_soft(labels, self.uncertain[rows], self.policy, seed=seed, epoch=epoch, indices=rows)

    def some(self, count: int, seed: int) -> Decoded:
        """A random part of the rows, in memory, in their order; labels without a policy, and no masks.

        Args:
            count: the most rows of the part.
            seed: of the draw.
        """
        chosen = np.sort(permutation("some", seed, 0, len(self.ids))[:count])
        ids, groups = ([names[row] for row in chosen] for names in (self.ids, self.groups))
        return Decoded(
            self.images[chosen],
            np.asarray(self.labels)[chosen],
            ids,
            groups,
            self.scale,
            f"{self.sha256}-some-{count}-{seed}",
        )
