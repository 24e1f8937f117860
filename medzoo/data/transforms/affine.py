"""One affine map per image: rotation, shear, zoom and shift, with the conventions of torchvision's `affine`."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

from medzoo.data.transforms.resample import exact_type, full_precision

Interpolation = Literal["bilinear", "nearest"]


def rotate(batch: torch.Tensor, degrees: torch.Tensor, mode: Interpolation = "bilinear") -> torch.Tensor:
    """Rotate every image around its middle; pixels from outside are 0. As torchvision's `rotate` of tensors.

    Args:
        batch: (N, C, H, W) float32.
        degrees: (N,), counter-clockwise.
        mode: "nearest" preserves the values of masks.

    >>> rotate(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([90.0]), "nearest")[0, 0].tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    """
    none = torch.zeros_like(degrees)
    return affine(batch, degrees, none, none, none, none + 1, mode)


def affine(
    batch: torch.Tensor,
    degrees: torch.Tensor,
    right: torch.Tensor,
    down: torch.Tensor,
    shear: torch.Tensor,
    zoom: torch.Tensor,
    mode: Interpolation = "bilinear",
    at: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Zoom, shear and rotate every image around its middle, then shift it; pixels from outside are 0.

    It is torchvision's `affine(image, -degrees, [right, down], zoom, [shear, 0])`; torchvision counts angles clockwise there.

    Args:
        batch: (N, C, H, W) float32.
        degrees: (N,) of the rotation, counter-clockwise.
        right: (N,) shift, pixels.
        down: (N,) shift, pixels.
        shear: (N,) degrees; above 0, the upper rows move to the right.
        zoom: (N,) factor, above 0; above 1, the image becomes larger.
        mode: "nearest" preserves the values of masks.
        at: x and y, each (N, H, W), of the moved image that the pixels of the result take, relative to its middle; by default
            each pixel takes its own.

    >>> image, zero = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.zeros(1)
    >>> affine(image, zero, zero + 1, zero, zero, zero + 1, "nearest")[0, 0].tolist()
    [[0.0, 1.0], [0.0, 3.0]]
    """
    height, width = batch.shape[-2:]
    exact = exact_type(batch.device)
    angle, slope, factor = (value.to(exact)[:, None, None] for value in (degrees, shear, zoom))
    cosine, sine, tangent = (
        torch.cos(torch.deg2rad(angle)),
        torch.sin(torch.deg2rad(angle)),
        torch.tan(torch.deg2rad(slope)),
    )
    # the inverse map: from a pixel of the result to its place in the image, both relative to the middle
    along_x = ((cosine + sine * tangent) / factor).float(), ((cosine * tangent - sine) / factor).float()
    along_y = (sine / factor).float(), (cosine / factor).float()
    if at is None:
        at = _middles(width, batch.device)[None, None, :], _middles(height, batch.device)[None, :, None]
    x, y = at[0] - right.float()[:, None, None], at[1] - down.float()[:, None, None]
    # elementwise, because the rounding of a matrix product may depend on the number of images
    source_x, source_y = (first * x + second * y for first, second in (along_x, along_y))
    grid = torch.stack([source_x * (2 / width), source_y * (2 / height)], dim=-1)
    with full_precision(batch.device):
        return functional.grid_sample(batch, grid, mode=mode, padding_mode="zeros", align_corners=False)


def _middles(side: int, device: torch.device) -> torch.Tensor:
    """Positions of the pixel centres, relative to the image's centre."""
    return torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2
