"""From the logits of a segmentation network to masks: the class of each pixel, at any size."""

from __future__ import annotations

import torch
from torch.nn import functional


def classes_of(logits: torch.Tensor) -> torch.Tensor:
    """The class of each pixel: one class where its probability is above 0.5, several by the highest probability.

    Args:
        logits: (N, 1, H, W) for one class, or (N, classes + 1, H, W) with the background first.

    Returns:
        (N, H, W) uint8, 0 is the background.

    >>> classes_of(torch.tensor([[[[-1.0, 2.0]]]])).tolist()
    [[[0, 1]]]
    """
    found = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return found.to(torch.uint8)


def classes_at(logits: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The class of each pixel of an image at its own size; the logits are resized (bilinear), not the classes.

    One output is resized at a time: a large image with many classes needs the memory of two of them.

    Args:
        logits: (outputs, h, w), as for `classes_of`.
        shape: height and width of the image, pixels.

    Returns:
        (H, W) uint8.

    >>> classes_at(torch.tensor([[[-1.0, 2.0]]]), (1, 4)).tolist()
    [[0, 0, 1, 1]]
    """
    planes = (plane[None, None] for plane in logits)
    if tuple(logits.shape[-2:]) != tuple(shape):
        planes = (functional.interpolate(plane, shape, mode="bilinear", align_corners=False) for plane in planes)
    if len(logits) == 1:
        return classes_of(next(planes))[0]
    highest, found = next(planes)[0, 0], torch.zeros(shape, dtype=torch.uint8, device=logits.device)
    for number, plane in enumerate(planes, 1):
        higher = plane[0, 0] > highest
        found[higher] = number
        highest = torch.where(higher, plane[0, 0], highest)
    return found
