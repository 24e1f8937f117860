"""The views of an image that an evaluation averages: the whole image, its centre, its mirror image, or ten crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from medzoo.data.transforms.apply import whole

View = Callable[[torch.Tensor], torch.Tensor]
AugmentedTest = Literal["none", "flip", "ten_crop"]


def stored_side(size: int, crop_share: float) -> int:
    """The side to which images are resized before a centre crop.

    Args:
        size: side of the network's input, pixels.
        crop_share: share of the side that the crop keeps.

    >>> stored_side(224, 0.875), stored_side(224, 1.0)
    (256, 224)
    """
    return max(size, round(size / crop_share))


def evaluation_views(size: int, crop_share: float = 1.0, augmented: AugmentedTest = "none") -> list[View]:
    """Functions from rows (N, C, H, W) in [0, 1] to one view (N, C, size, size) each.

    Args:
        size: side of the network's input, pixels.
        crop_share: the image is resized to `size / crop_share` before it is cropped.
        augmented: "none": the centre crop; "flip": also its mirror image; "ten_crop": the four corners and the centre, each
            with its mirror image.

    Source: https://proceedings.neurips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html (ten crops)

    >>> [view(torch.rand(2, 1, 64, 64)).shape[-1] for view in evaluation_views(56, 0.875, "flip")]
    [56, 56]
    """
    side = stored_side(size, crop_share)
    middle, last = round((side - size) / 2), side - size
    corners = [(middle, middle)]
    if augmented == "ten_crop":
        corners += [(0, 0), (0, last), (last, 0), (last, last)]
    flips = (False, True) if augmented != "none" else (False,)
    return [_view(size, side, corner, flip) for corner in corners for flip in flips]


def centre_place(size: int, crop_share: float) -> float:
    """The part of the side of the whole image that the centre crop covers, as it is in whole pixels.

    Args:
        size: side of the network's input, pixels.
        crop_share: as for `evaluation_views`.

    >>> centre_place(224, 0.875), centre_place(64, 1.0)
    (0.875, 1.0)
    """
    return size / stored_side(size, crop_share)


def _view(size: int, side: int, corner: tuple[int, int], flip: bool) -> View:
    top, left = corner

    def view(unit: torch.Tensor) -> torch.Tensor:
        cropped = whole(unit, side)[..., top : top + size, left : left + size]
        return cropped.flip(-1) if flip else cropped

    return view
