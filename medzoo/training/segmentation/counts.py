"""True positive, false positive and false negative pixels of each image and class, and the Dice that selects the epoch."""

from __future__ import annotations

import numpy as np
import torch

from medzoo.training.segmentation.losses import NOT_ANNOTATED
from medzoo.training.segmentation.masks import classes_of

BOTH_EMPTY = 1.0  # the Dice of an image without the class in which the network also finds none


def pixel_counts(logits: torch.Tensor, masks: torch.Tensor, classes: int) -> np.ndarray:
    """Count the pixels of a batch; one class is predicted where its probability is above 0.5, several by the highest one.

    Args:
        logits: (N, 1, H, W) or (N, classes + 1, H, W).
        masks: (N, H, W) uint8, as for `SegmentationLoss`.
        classes: of the task, without the background.

    Returns:
        (N, classes, 3) int64: true positives, false positives, false negatives.

    >>> pixel_counts(torch.ones(1, 1, 2, 2), torch.tensor([[[1, 1], [0, 255]]], dtype=torch.uint8), 1).tolist()
    [[[2, 1, 0]]]
    """
    predicted = classes_of(logits)
    known = masks != NOT_ANNOTATED
    rows = []
    for number in range(1, classes + 1):
        found, true = (predicted == number) & known, (masks == number) & known
        both = (found & true).sum((1, 2))
        rows.append(torch.stack([both, found.sum((1, 2)) - both, true.sum((1, 2)) - both], dim=1))
    return torch.stack(rows, dim=1).cpu().numpy().astype(np.int64)


def dice_of(counts: np.ndarray) -> np.ndarray:
    """Dice of counts (..., 3): 2 tp / (2 tp + fp + fn), and 1 where both masks are empty.

    >>> dice_of(np.array([[2, 1, 1], [0, 0, 0]])).tolist()
    [0.6666666666666666, 1.0]
    """
    hits, wrong, missed = (counts[..., place].astype(np.float64) for place in range(3))
    total = 2 * hits + wrong + missed
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), BOTH_EMPTY)
