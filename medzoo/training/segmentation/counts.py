"""True positive, false positive and false negative pixels of each image and structure, and the Dice that selects the epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from medzoo.training.segmentation.losses import NOT_ANNOTATED

BOTH_EMPTY = 1.0  # the Dice of an image without the class in which the network also finds none


def pixel_counts(predicted: torch.Tensor, masks: torch.Tensor, structures: Sequence[Sequence[int]]) -> np.ndarray:
    """Count the pixels of a batch.

    Args:
        predicted: (N, H, W) uint8, from `masks.classes_of`.
        masks: (N, H, W) uint8, as for `SegmentationLoss`.
        structures: the mask values that each structure combines.

    Returns:
        (N, structures, 3) int64: true positives, false positives, false negatives.

    >>> masks = torch.tensor([[[1, 1], [0, 255]]], dtype=torch.uint8)
    >>> pixel_counts(torch.ones_like(masks), masks, [(1,)]).tolist()
    [[[2, 1, 0]]]
    """
    known = masks != NOT_ANNOTATED
    rows = []
    for values in structures:
        found, true = is_one_of(predicted, values) & known, is_one_of(masks, values) & known
        both = (found & true).sum((1, 2))
        rows.append(torch.stack([both, found.sum((1, 2)) - both, true.sum((1, 2)) - both], dim=1))
    return torch.stack(rows, dim=1).cpu().numpy().astype(np.int64)


def is_one_of(masks: torch.Tensor, values: Sequence[int]) -> torch.Tensor:
    """Where a mask has one of some values.

    Args:
        masks: of any shape.
        values: of a structure.

    >>> is_one_of(torch.tensor([0, 1, 2]), (1, 2)).tolist()
    [False, True, True]
    """
    found = masks == values[0]
    for value in values[1:]:
        found = found | (masks == value)
    return found


def dice_of(counts: np.ndarray) -> np.ndarray:
    """Dice of counts (..., 3): 2 tp / (2 tp + fp + fn), and 1 where both masks are empty.

    >>> dice_of(np.array([[2, 1, 1], [0, 0, 0]])).tolist()
    [0.6666666666666666, 1.0]
    """
    hits, wrong, missed = (counts[..., place].astype(np.float64) for place in range(3))
    total = 2 * hits + wrong + missed
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), BOTH_EMPTY)
