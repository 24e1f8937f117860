"""Stored images → the batch a network sees: random crops, flips, turns, tones and blur, then the input convention.

Every draw is a function of (seed, epoch, index): see `counter` and `draws`. How crops and blurs are computed is in `resample`:
by sums of a few rows on the CPU, by matrix products elsewhere. Masks go through the same boxes, flips and turns, by the nearest
pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from medzoo.data.transforms.random_params import CROP_TRIES, Augmentation, Draws, blur_radius, crop_boxes, draw
from medzoo.data.transforms.resample import (  # fmt: skip
    Form,
    apply_taps,
    blur_taps,
    exact_type,
    nearest,
    nearest_positions,
    resize_taps,
    rotate,
)

__all__ = [
    "CROP_TRIES", "Augmentation", "InputConvention", "augment", "crop_boxes", "normalise", "to_unit", "view", "view_of_masks",
    "whole", "whole_masks",
]  # fmt: skip

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to L


Rule = Literal["unit", "per_image_minmax"]


@dataclass(frozen=True)
class InputConvention:
    """What a network expects: RGB (or grey) in [0, 1], minus mean, over std.

    Args:
        mean: one value a channel.
        std: one value a channel.
        rule: "unit" takes [0, 1] as it is; "per_image_minmax" stretches each image to [0, 1] first.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    rule: Rule = "unit"

    @classmethod
    def for_channels(cls, mean: Sequence[float], std: Sequence[float], channels: int, rule: Rule) -> InputConvention:
        """The convention of a network whose stem was changed to another number of channels.

        Args:
            mean: of the stored channels.
            std: of the stored channels.
            channels: of the network; where they are not as many, each gets the average of the stored ones.
            rule: as above.

        >>> InputConvention.for_channels([0.25, 0.5, 0.75], [0.5, 0.5, 0.5], 1, "unit").mean
        (0.5,)
        """
        if channels != len(mean):
            mean, std = [sum(mean) / len(mean)] * channels, [sum(std) / len(std)] * channels
        return cls(tuple(mean), tuple(std), rule)

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return len(self.mean)


def to_unit(images: np.ndarray | torch.Tensor, scale: float, rule: str = "unit") -> torch.Tensor:
    """Stored rows as float32 in [0, 1].

    Args:
        images: (N, H, W) or (N, H, W, 3), uint8 or uint16; a tensor on a device holds uint16 as int32.
        scale: what becomes 1.
        rule: of the input convention.

    Returns:
        (N, C, H, W), the channels last in memory.
    """
    if isinstance(images, torch.Tensor):
        batch = images.float() / scale
    else:
        batch = torch.from_numpy(np.asarray(images, dtype=np.float32) / np.float32(scale))
    batch = batch[:, None] if batch.ndim == 3 else batch.permute(0, 3, 1, 2)
    if rule == "per_image_minmax":
        low, high = batch.amin((1, 2, 3), keepdim=True), batch.amax((1, 2, 3), keepdim=True)
        batch = (batch - low) / (high - low).clamp_min(1e-8)
    return batch


def normalise(batch: torch.Tensor, convention: InputConvention, out: torch.Tensor | None = None) -> torch.Tensor:
    """Replicate grey to the network's channels (or average colour to grey), minus mean, over std.

    Args:
        batch: (N, C, H, W) in [0, 1].
        convention: of the network.
        out: (N, channels, H, W) to write to.

    Returns:
        (N, channels, H, W), contiguous.
    """
    if batch.shape[1] != convention.channels and convention.channels == 1:
        batch = _luminance(batch)
    shape = (len(batch), convention.channels, *batch.shape[2:])
    done = torch.empty(shape, device=batch.device) if out is None else out
    torch.sub(batch, _constants(convention.mean, batch.device), out=done)
    return done.div_(_constants(convention.std, batch.device))


def augment(
    batch: torch.Tensor,
    augmentation: Augmentation,
    size: int,
    *,
    seed: int,
    epoch: int,
    indices: np.ndarray,
    stream: str,
    form: Form | None = None,
) -> torch.Tensor:
    """One random view of every image.

    Args:
        batch: (N, C, H, W) float in [0, 1].
        augmentation: what may be drawn.
        size: side of the result, pixels.
        seed: the run's seed.
        epoch: the pass over the data.
        indices: (N,) positions of the images in their split.
        stream: name of the view, so that two views of one image differ.
        form: how crops and blurs are computed; by default the faster way of the batch's device.

    Returns:
        (N, C, size, size) float in [0, 1].

    >>> law = Augmentation(min_area=0.5, flip=0.5)
    >>> augment(torch.rand(2, 1, 32, 32), law, 16, seed=0, epoch=0, indices=np.arange(2), stream="view0").shape
    torch.Size([2, 1, 16, 16])
    """
    height, width = batch.shape[-2:]
    drawn = draw(
        augmentation, (height, width), size, seed=seed, epoch=epoch, indices=indices, stream=stream, device=batch.device
    )
    return view(batch, augmentation, drawn, size, form)


def view(batch: torch.Tensor, law: Augmentation, drawn: Draws, size: int, form: Form | None = None) -> torch.Tensor:
    """The views that were drawn.

    Args:
        batch: (N, C, H, W) float in [0, 1].
        law: what could be drawn.
        drawn: of these images.
        size: side of the result, pixels.
        form: how crops and blurs are computed; by default the faster way of the batch's device.

    Returns:
        (N, C, size, size) float in [0, 1].
    """
    form = form or _usual(batch.device)
    height, width = batch.shape[-2:]
    columns = resize_taps(drawn.left, drawn.width, width, size)
    if law.flip:
        columns = columns.flipped(drawn.flip)
    batch = apply_taps(batch, resize_taps(drawn.top, drawn.height, height, size), columns, form)
    if law.rotation:
        batch = rotate(batch, drawn.angle)
    batch = _toned(batch, law, drawn)
    if len(drawn.blurred):
        taps = blur_taps(drawn.sigma, size, blur_radius(size))
        batch[drawn.blurred] = apply_taps(batch[drawn.blurred], taps, taps, form)
    return batch


def view_of_masks(masks: torch.Tensor, law: Augmentation, drawn: Draws, size: int) -> torch.Tensor:
    """The masks under the views: same boxes, flips and turns, by the nearest pixel, 0 outside.

    Args:
        masks: (N, H, W) uint8.
        law: what could be drawn.
        drawn: of these images.
        size: side of the result, pixels.

    Returns:
        (N, size, size) uint8.
    """
    rows = nearest_positions(drawn.top, drawn.height, size)
    columns = nearest_positions(drawn.left, drawn.width, size)
    if law.flip:
        columns = torch.where(drawn.flip[:, None], columns.flip(1), columns)
    masks = nearest(masks, rows, columns)
    if law.rotation:
        masks = rotate(masks[:, None].float(), drawn.angle, "nearest")[:, 0].to(torch.uint8)
    return masks


def whole(batch: torch.Tensor, size: int, form: Form | None = None) -> torch.Tensor:
    """The image as it is, resized (antialiased) where the store's size differs; for evaluation.

    Args:
        batch: (N, C, H, W) float in [0, 1].
        size: side of the result, pixels.
        form: as for `augment`.
    """
    height, width = batch.shape[-2:]
    if (height, width) == (size, size):
        return batch
    zero = torch.zeros(len(batch), device=batch.device)
    rows, columns = (resize_taps(zero, zero + side, side, size) for side in (height, width))
    return apply_taps(batch, rows, columns, form or _usual(batch.device))


def whole_masks(masks: torch.Tensor, size: int) -> torch.Tensor:
    """The masks of `whole`, by the nearest pixel.

    Args:
        masks: (N, H, W) uint8.
        size: side of the result, pixels.
    """
    height, width = masks.shape[-2:]
    if (height, width) == (size, size):
        return masks
    zero = torch.zeros(len(masks), device=masks.device)
    return nearest(masks, *(nearest_positions(zero, zero + side, size) for side in (height, width)))


def _usual(device: torch.device) -> Form:
    return "taps" if device.type == "cpu" else "matmul"


def _toned(batch: torch.Tensor, law: Augmentation, drawn: Draws) -> torch.Tensor:
    """Brightness, contrast, saturation and loss of colour, each clipped to [0, 1]."""

    def factor(values: torch.Tensor) -> torch.Tensor:
        return values.float().view(-1, 1, 1, 1)

    if law.brightness:
        batch = batch.mul_(factor(drawn.brightness)).clamp_(0, 1)
    if law.contrast:
        # in float64, since float32 sums depend on how many images are summed at once
        middle = _luminance(batch).mean((1, 2, 3), keepdim=True, dtype=exact_type(batch.device)).float()
        batch = batch.sub_(middle).mul_(factor(drawn.contrast)).add_(middle).clamp_(0, 1)
    if batch.shape[1] == 3 and (law.saturation or law.grey):
        luma = _luminance(batch)
        batch = batch.sub_(luma).mul_(factor(drawn.saturation)).add_(luma).clamp_(0, 1)
    return batch


def _luminance(batch: torch.Tensor) -> torch.Tensor:
    """(N, 1, H, W)."""
    return batch if batch.shape[1] == 1 else (batch * _constants(_LUMA, batch.device)).sum(1, keepdim=True)


@lru_cache(maxsize=64)
def _constants(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(1, C, 1, 1); made once, since each transfer would wait for the device."""
    with torch.inference_mode(False):  # an evaluation may ask first, and training later
        return torch.tensor(values, device=device).view(1, -1, 1, 1)
