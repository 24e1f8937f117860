"""Stored images → the batch a network sees: random crops, flips, tones and blur, then the input convention.

Every draw is a function of (seed, epoch, index): see `counter`. A crop with its antialiased resize is
two matrix products per image, whose rows are the triangle filter over the crop; a flip reverses the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from medzoo.data.counter import uniform

CROP_TRIES = 10  # as torchvision's RandomResizedCrop
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to L


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
    rule: Literal["unit", "per_image_minmax"] = "unit"

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return len(self.mean)


@dataclass(frozen=True)
class Augmentation:
    """What may be done to a training image; the default does nothing.

    Args:
        min_area: smallest share of the area a crop keeps; 1 keeps the image whole.
        aspect: widest aspect ratio of a crop, w/h in [1/aspect, aspect].
        flip: chance of a left-right flip.
        brightness: factor drawn from [1 - b, 1 + b].
        contrast: factor drawn from [1 - c, 1 + c], about the image's mean.
        saturation: factor drawn from [1 - s, 1 + s], for colour images.
        tone: chance that brightness, contrast and saturation are drawn at all.
        grey: chance of losing colour.
        blur: chance of a Gaussian blur with sigma up to `size`/32 pixels.
    """

    min_area: float = 1.0
    aspect: float = 4 / 3
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    tone: float = 1.0
    grey: float = 0.0
    blur: float = 0.0


def to_unit(images: np.ndarray, scale: float, rule: str = "unit") -> torch.Tensor:
    """Stored rows (N,H,W) or (N,H,W,3) of uint8/uint16 as float32 (N,C,H,W) in [0, 1]."""
    batch = torch.from_numpy(np.asarray(images, dtype=np.float32) / np.float32(scale))
    batch = batch[:, None] if batch.ndim == 3 else batch.permute(0, 3, 1, 2)
    if rule == "per_image_minmax":
        low, high = batch.amin((1, 2, 3), keepdim=True), batch.amax((1, 2, 3), keepdim=True)
        batch = (batch - low) / (high - low).clamp_min(1e-8)
    return batch.contiguous()


def normalise(batch: torch.Tensor, convention: InputConvention) -> torch.Tensor:
    """Replicate grey to the network's channels (or average colour to grey), minus mean, over std."""
    if batch.shape[1] != convention.channels:
        if convention.channels == 1:
            batch = (batch * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        else:
            batch = batch.expand(-1, convention.channels, -1, -1)
    shape = (1, convention.channels, 1, 1)
    return (batch - torch.tensor(convention.mean).view(shape)) / torch.tensor(convention.std).view(shape)


def crop_boxes(draws: np.ndarray, height: int, width: int, min_area: float, aspect: float) -> np.ndarray:
    """Boxes (top, left, height, width) by the law of torchvision's RandomResizedCrop.

    Args:
        draws: (N, 2 * CROP_TRIES + 2) uniform numbers.
        height: of the stored image, pixels.
        width: of the stored image, pixels.
        min_area: smallest share of the area.
        aspect: widest aspect ratio.

    Source: https://arxiv.org/abs/1409.4842 (the law), torchvision (ten tries, then the largest centred box)
    """
    area = height * width * (min_area + (1 - min_area) * draws[:, :CROP_TRIES])
    ratio = np.exp(np.log(aspect) * (2 * draws[:, CROP_TRIES : 2 * CROP_TRIES] - 1))
    widths, heights = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first, rows = fits.argmax(1), np.arange(len(draws))
    none = ~fits.any(1)
    box_w = np.where(none, min(width, round(height * aspect)), widths[rows, first]).astype(int)
    box_h = np.where(none, min(height, round(width * aspect)), heights[rows, first]).astype(int)
    place = draws[:, -2:]
    top = np.where(none, (height - box_h) // 2, np.floor(place[:, 0] * (height - box_h + 1))).astype(int)
    left = np.where(none, (width - box_w) // 2, np.floor(place[:, 1] * (width - box_w + 1))).astype(int)
    return np.stack([top, left, box_h, box_w], axis=1)


def resample_rows(start: np.ndarray, length: np.ndarray, source: int, target: int) -> torch.Tensor:
    """The (N, target, source) matrices that resize [start, start + length) to `target` pixels, antialiased bilinear."""
    step = length[:, None, None] / target
    support = np.maximum(step, 1.0)
    centre = start[:, None, None] + (np.arange(target)[None, :, None] + 0.5) * step
    position = np.arange(source)[None, None, :]
    weights = np.maximum(0.0, 1.0 - np.abs(position + 0.5 - centre) / support)
    inside = (position >= start[:, None, None]) & (position < (start + length)[:, None, None])
    weights = np.where(inside, weights, 0.0)
    return torch.from_numpy((weights / weights.sum(-1, keepdims=True)).astype(np.float32))


def _blur_rows(sigma: np.ndarray, size: int) -> torch.Tensor:
    """(N, size, size) matrices of a Gaussian blur; the weight beyond the border is given to the pixels inside."""
    distance = np.arange(size)[:, None] - np.arange(size)[None, :]
    weights = np.exp(-0.5 * (distance[None] / sigma[:, None, None]) ** 2)
    return torch.from_numpy((weights / weights.sum(-1, keepdims=True)).astype(np.float32))


def _apply_rows(batch: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return rows[:, None] @ batch @ columns[:, None].transpose(-1, -2)


def augment(
    batch: torch.Tensor,
    augmentation: Augmentation,
    size: int,
    *,
    seed: int,
    epoch: int,
    indices: np.ndarray,
    stream: str,
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

    Returns:
        (N, C, size, size) float in [0, 1].
    """
    count, channels, height, width = batch.shape
    law = augmentation
    draws = uniform(stream, seed, epoch, indices, 2 * CROP_TRIES + 2 + 8)
    boxes = np.tile(np.array([0, 0, height, width]), (count, 1))
    if law.min_area < 1:
        boxes = crop_boxes(draws[:, : 2 * CROP_TRIES + 2], height, width, law.min_area, law.aspect)
    flip, bright, contrast, saturation, tone, grey, blur, sigma = draws[:, 2 * CROP_TRIES + 2 :].T
    columns = resample_rows(boxes[:, 1], boxes[:, 3], width, size)
    columns = torch.where(torch.from_numpy(flip < law.flip)[:, None, None], columns.flip(1), columns)
    batch = _apply_rows(batch, resample_rows(boxes[:, 0], boxes[:, 2], height, size), columns)

    def factor(draw: np.ndarray, strength: float) -> torch.Tensor:
        drawn = np.where(tone < law.tone, 1 + strength * (2 * draw - 1), 1.0)
        return torch.from_numpy(drawn.astype(np.float32)).view(-1, 1, 1, 1)

    if law.brightness:
        batch = (batch * factor(bright, law.brightness)).clamp(0, 1)
    if law.contrast:
        middle = batch.mean((1, 2, 3), keepdim=True)
        batch = (middle + (batch - middle) * factor(contrast, law.contrast)).clamp(0, 1)
    if channels == 3 and (law.saturation or law.grey):
        luma = (batch * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        keep = factor(saturation, law.saturation)
        keep = torch.where(torch.from_numpy(grey < law.grey).view(-1, 1, 1, 1), torch.zeros_like(keep), keep)
        batch = (luma + (batch - luma) * keep).clamp(0, 1)
    chosen = np.flatnonzero(blur < law.blur)
    if len(chosen):
        rows = _blur_rows(0.1 + sigma[chosen] * size / 32, size)
        batch[torch.from_numpy(chosen)] = _apply_rows(batch[torch.from_numpy(chosen)], rows, rows)
    return batch


def whole(batch: torch.Tensor, size: int) -> torch.Tensor:
    """The image as it is, resized (antialiased) where the store's size differs; for evaluation."""
    count, _, height, width = batch.shape
    if (height, width) == (size, size):
        return batch
    zero = np.zeros(count, dtype=int)
    rows = resample_rows(zero, np.full(count, height), height, size)
    return _apply_rows(batch, rows, resample_rows(zero, np.full(count, width), width, size))
