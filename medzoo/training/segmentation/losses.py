"""The losses of a segmentation: cross-entropy or focal loss per pixel, soft Dice per image or per batch, and sums of both.

Each loss is a sum of terms divided by the number of terms of the whole batch, so that a batch that is computed in parts, or by
several processes, gives the same loss as in one piece. Only Dice over a batch needs the whole batch in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from medzoo.training.distributed import gathered
from medzoo.training.losses import weights_on

LossName = Literal["dice_ce", "dice", "ce", "dice_focal", "focal"]
DiceOver = Literal["image", "batch"]
NOT_ANNOTATED = 255  # a mask value: the pixel counts neither in the loss nor in a score
SMOOTH = 1.0  # pixels added to both sides of the fraction, so that two empty masks have a Dice of 1


def outputs_of(classes: int) -> int:
    """The channels of a network: one for a single class, else one per class and one for the background.

    Args:
        classes: of the task, without the background.

    >>> outputs_of(1), outputs_of(2)
    (1, 3)
    """
    return 1 if classes == 1 else classes + 1


@dataclass(frozen=True)
class SegmentationLoss:
    """The loss between logits and masks.

    Args:
        classes: of the task, without the background.
        name: "ce" is binary cross-entropy for one class and cross-entropy for several; "focal" reduces its weight on pixels that
            are already right; "dice" is 1 - soft Dice, the mean over the classes; "dice_ce" and "dice_focal" are the sums.
        over: the pixels of a soft Dice: those of each image, or of the whole batch.
        gamma: of the focal loss.
        weights: of the background and of each class in the cross-entropy, which is a weighted mean; all 1 if empty.

    Source: https://arxiv.org/abs/1606.04797 (Dice), https://arxiv.org/abs/1708.02002 (focal)

    >>> loss = SegmentationLoss(1, "ce")
    >>> round(float(loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.uint8))), 4)
    0.6931
    """

    classes: int
    name: LossName = "dice_ce"
    over: DiceOver = "image"
    gamma: float = 2.0
    weights: tuple[float, ...] = ()

    @property
    def is_sum_over_images(self) -> bool:
        """Whether a batch can be computed in parts."""
        return self.over == "image" or "dice" not in self.name

    def terms(self, masks: torch.Tensor) -> torch.Tensor:
        """The number (or weight) of annotated pixels and the number of images: what the two sums are divided by.

        Args:
            masks: (N, H, W) uint8.
        """
        known = self._weight(masks).sum()
        # torch.tensor would wait for the device
        return torch.stack([known, torch.full((), len(masks), device=masks.device)]).float()

    def __call__(self, logits: torch.Tensor, masks: torch.Tensor, terms: torch.Tensor | None = None) -> torch.Tensor:
        """The loss of a batch.

        Args:
            logits: (N, 1, H, W) or (N, classes + 1, H, W), float32.
            masks: (N, H, W) uint8: 0 is background, 1 ... classes, and 255 for pixels without annotation.
            terms: of the whole batch, if this is a part of it; by default of this batch.
        """
        count = self.terms(masks) if terms is None else terms
        return (self.sums(logits, masks) / count.clamp_min(torch.finfo(torch.float32).tiny)).sum()

    def sums(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """The sum over pixels and the sum over images, as (2,).

        Args:
            logits: as for the call.
            masks: as for the call.
        """
        zero = logits.new_zeros(())
        pixels = zero if self.name == "dice" else self._pixel_sum(logits, masks)
        return torch.stack([pixels, self._dice_sum(logits, masks) if "dice" in self.name else zero])

    def _pixel_sum(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        weight = self._weight(masks)
        if self.classes == 1:
            target = (masks == 1).to(logits.dtype)
            each = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
        else:
            each = F.cross_entropy(logits, masks.long(), ignore_index=NOT_ANNOTATED, reduction="none")
        if "focal" in self.name:  # exp(-each) is the probability of the true class
            each = each * (1 - torch.exp(-each)) ** self.gamma
        return (each * weight).sum()

    def _weight(self, masks: torch.Tensor) -> torch.Tensor:
        """The weight of each pixel: 0 without annotation."""
        known = masks != NOT_ANNOTATED
        if not self.weights:
            return known
        table = weights_on(tuple(self.weights), masks.device)
        return table[masks.long().clamp_max(self.classes)] * known

    def _dice_sum(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        known = (masks != NOT_ANNOTATED)[:, None]
        numbers = torch.arange(1, self.classes + 1, device=masks.device).view(1, -1, 1, 1)
        target = (masks[:, None] == numbers).to(logits.dtype)
        shares = (logits.sigmoid() if self.classes == 1 else logits.softmax(1)[:, 1:]) * known
        both, total = (shares * target).sum((2, 3)), shares.sum((2, 3)) + target.sum((2, 3))
        if self.over == "batch":  # the batch of all processes
            sums = gathered(torch.stack([both, total]).sum(1)[None]).sum(0)
            return (1 - (2 * sums[0] + SMOOTH) / (sums[1] + SMOOTH)).mean() * len(masks)
        return (1 - (2 * both + SMOOTH) / (total + SMOOTH)).mean(1).sum()
