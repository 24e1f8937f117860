"""The loss of iBOT on masked patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class MaskedPatches:
    """Masks of patches, and where the masked ones are.

    The positions are computed where the masks are made, on the CPU, so that no step waits for the device.

    Args:
        mask: (N, rows, columns) bool.
        positions: (M,) of the masked patches in all N * rows * columns patches.
        weights: (M,) one divided by the number of masked patches of the image.
    """

    mask: torch.Tensor
    positions: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, mask: torch.Tensor, device: torch.device) -> MaskedPatches:
        """The masked patches of a mask.

        Args:
            mask: (N, rows, columns) bool, on the CPU.
            device: that computes.

        >>> MaskedPatches.of(torch.tensor([[[True, False], [True, False]]]), torch.device("cpu")).positions
        tensor([0, 2])
        """
        positions = mask.flatten().nonzero()[:, 0]
        counts = mask.sum((1, 2)).clamp(min=1)
        weights = (1 / counts).repeat_interleave(mask[0].numel())[positions]
        return cls(*(part.to(device, non_blocking=True) for part in (mask, positions, weights)))


def patch_loss(
    teacher: torch.Tensor, student: torch.Tensor, weights: torch.Tensor, *, images: int, temperature: float
) -> torch.Tensor:
    """The cross-entropy between teacher and student: a mean over the masked patches of an image, then over all images.

    Images without a masked patch count as 0.

    Args:
        teacher: (M, K) outputs at the masked patches, centred and divided by the temperature.
        student: (M, K) outputs at the masked patches.
        weights: (M,) one divided by the number of masked patches of the image.
        images: their number.
        temperature: of the student.

    Source: https://arxiv.org/abs/2111.07832. lightly's IBOTPatchLoss selects with a mask, for which the processor waits for the
        device, and its center is not a number after a batch without masked patches.

    >>> float(patch_loss(torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0), images=2, temperature=0.1))
    0.0
    """
    entropy = -(F.softmax(teacher, dim=-1) * F.log_softmax(student / temperature, dim=-1)).sum(-1)
    return (entropy * weights).sum() / images
