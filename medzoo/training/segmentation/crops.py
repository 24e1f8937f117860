"""Training crops of stored rows that are larger than the network's input, at the scale at which evaluation slides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.rng import uniform
from medzoo.training.inputs.batches import Batches


class CropBatches(Batches):
    """Batches whose images and masks are first cut to a random square of the network's size.

    Without this, an image would be resized to the network's size, which is another scale than that of the windows in evaluation.
    """

    @classmethod
    def from_batches(cls, batches: Batches) -> CropBatches:
        """The same rows, order and augmentation, with crops.

        Args:
            batches: of whole images.
        """
        return cls(
            batches.data, batches.views, batches.convention, size=batches.size, batch_size=batches.batch_size,
            seed=batches.seed, rank=batches.rank, world=batches.world,
        )  # fmt: skip

    def _fill(
        self,
        data: Decoded,
        chosen: np.ndarray,
        indices: np.ndarray,
        views: list[torch.Tensor],
        masks: list[torch.Tensor],
    ) -> None:
        """Write the views of some rows, and their masks."""
        images, size = data.images[chosen], self.size
        height, width = images.shape[1:3]
        drawn = uniform("window", self.seed, self.epoch, indices, 2)
        tops = np.minimum((drawn[:, 0] * (height - size + 1)).astype(int), height - size)
        lefts = np.minimum((drawn[:, 1] * (width - size + 1)).astype(int), width - size)

        def cut(rows: Any) -> Any:  # noqa: ANN401 - an array or a tensor
            parts = [
                row[top : top + size, left : left + size] for row, top, left in zip(rows, tops, lefts, strict=True)
            ]
            return np.stack(parts) if isinstance(rows, np.ndarray) else torch.stack(parts)

        cropped = replace(data, images=cut(images), masks=None if data.masks is None else cut(data.masks[chosen]))
        super()._fill(cropped, np.arange(len(chosen)), indices, views, masks)
