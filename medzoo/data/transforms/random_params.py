"""Random parameters of a view: its box, maps and tones, for example. They depend only on (seed, epoch, index).

They are drawn on the host, so the numbers are the same for every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medzoo.data.rng import uniform
from medzoo.data.transforms.augmentation_law import Augmentation
from medzoo.data.transforms.distortion import Distortion, draw_distortion
from medzoo.data.transforms.resample import to_device

CROP_TRIES = 10  # as torchvision's RandomResizedCrop
_BOX = 2 * CROP_TRIES + 2
_OTHERS = 22  # of these, in this order; append new ones at the end, so that the earlier ones keep their numbers:
# flip, brightness, contrast, saturation, tone, grey, blur, sigma, angle, crop, right, down, shear, zoom, hue, gamma, sharpen,
# distort, solarize, window, window's middle, window's width


@dataclass(frozen=True)
class Draws:
    """Random parameters, one row per image; the tensors are on the device of the views.

    Args:
        top: (N,) of the box, pixels.
        left: (N,).
        height: (N,).
        width: (N,).
        flip: (N,) bool.
        angle: (N,) degrees, counter-clockwise.
        brightness: (N,) factor.
        contrast: (N,) factor.
        saturation: (N,) factor, 0 for a conversion to grey.
        blurred: positions of the blurred images.
        sigma: of each blurred image, pixels.
        right: (N,) shift, pixels.
        down: (N,) shift, pixels.
        shear: (N,) degrees.
        zoom: (N,) factor.
        hued: positions of the images with another hue.
        hue: of each of them, turns.
        bent: positions of the images with another gamma.
        gamma: exponent of each of them.
        sharpened: positions of the sharpened images.
        solarized: positions of the solarized images.
        windows: (N, 2) lowest value and width of each image's window; (0, 2) without windows.
        distortion: of the distorted images; None if there are none.
    """

    top: torch.Tensor
    left: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor
    flip: torch.Tensor
    angle: torch.Tensor
    brightness: torch.Tensor
    contrast: torch.Tensor
    saturation: torch.Tensor
    blurred: torch.Tensor
    sigma: torch.Tensor
    right: torch.Tensor
    down: torch.Tensor
    shear: torch.Tensor
    zoom: torch.Tensor
    hued: torch.Tensor
    hue: torch.Tensor
    bent: torch.Tensor
    gamma: torch.Tensor
    sharpened: torch.Tensor
    solarized: torch.Tensor
    windows: torch.Tensor
    distortion: Distortion | None


def draw(
    augmentation: Augmentation,
    shape: tuple[int, int],
    size: int,
    *,
    seed: int,
    epoch: int,
    indices: np.ndarray,
    stream: str,
    device: torch.device | None = None,
) -> Draws:
    """Draw the parameters of some images in an epoch.

    Args:
        augmentation: the possible changes.
        shape: (height, width) of the stored images, pixels.
        size: side of the views, pixels.
        seed: the run's seed.
        epoch: the pass over the data.
        indices: (N,) positions of the images in their split.
        stream: name of the view, so that two views of one image differ.
        device: where the views are computed; by default the CPU.
    """
    # One row of uniform numbers per image: first the box, then the other parameters.
    height, width = shape
    drawn = uniform(stream, seed, epoch, indices, _BOX + _OTHERS)
    (
        flip, bright, contrast, saturation, tone, grey, blur, sigma, angle, crop, right, down, shear, zoom, hue, gamma, sharpen,
        distort, solarize, window, middle, widen,
    ) = drawn[:, _BOX:].T  # fmt: skip
    boxes = np.tile(np.array([0, 0, height, width]), (len(drawn), 1))
    if augmentation.min_area < 1:
        areas = augmentation.min_area, augmentation.max_area
        crops = crop_boxes(drawn[:, :_BOX], height, width, areas[0], augmentation.aspect, max_area=areas[1])
        boxes = np.where((crop < augmentation.crop)[:, None], crops, boxes)
    toned = tone < augmentation.tone

    def factor(draw: np.ndarray, strength: float) -> np.ndarray:
        return np.where(toned, 1 + strength * (2 * draw - 1), 1.0)

    # All parameters in one array, so that one transfer moves them.
    saturations = np.where(grey < augmentation.grey, 0.0, factor(saturation, augmentation.saturation))
    columns = {
        **dict(zip(("top", "left", "height", "width"), boxes.T, strict=True)),
        "flip": flip < augmentation.flip,
        "angle": augmentation.rotation * (2 * angle - 1),
        "right": augmentation.shift * size * (2 * right - 1),
        "down": augmentation.shift * size * (2 * down - 1),
        "shear": augmentation.shear * (2 * shear - 1),
        "zoom": 1 + augmentation.zoom * (2 * zoom - 1),
        "brightness": factor(bright, augmentation.brightness),
        "contrast": factor(contrast, augmentation.contrast),
        "saturation": saturations,
    }
    table = to_device(np.column_stack(list(columns.values())), device)
    blurred = np.flatnonzero(blur < augmentation.blur)
    named = dict(zip(columns, table.unbind(1), strict=True))
    named["flip"] = named["flip"] > 0
    sigmas = to_device(0.1 + sigma[blurred] * size * augmentation.blur_sigma, device)
    hued = np.flatnonzero(toned) if augmentation.hue else blurred[:0]
    # from the other end of the same number, so that an image gets both only where one of the two would be too rare
    bent = np.flatnonzero(tone >= 1 - augmentation.gamma_chance) if augmentation.gamma else blurred[:0]
    return Draws(
        **named,
        blurred=to_device(blurred, device),
        sigma=sigmas,
        hued=to_device(hued, device),
        hue=to_device(augmentation.hue * (2 * hue[hued] - 1), device),
        bent=to_device(bent, device),
        gamma=to_device(1 + augmentation.gamma * (2 * gamma[bent] - 1), device),
        sharpened=to_device(np.flatnonzero(sharpen < augmentation.sharpen), device),
        solarized=to_device(np.flatnonzero(solarize < augmentation.solarize), device),
        windows=to_device(_windows(augmentation, window, middle, widen), device),
        distortion=draw_distortion(
            augmentation, distort, size, seed=seed, epoch=epoch, indices=indices, stream=stream, device=device
        ),
    )


def _windows(augmentation: Augmentation, which: np.ndarray, middle: np.ndarray, widen: np.ndarray) -> np.ndarray:
    """Lowest value and width of the window of each image, from uniform numbers (N,)."""
    if not augmentation.windows:
        return np.zeros((0, 2))
    choices, jitter = np.array(augmentation.windows), augmentation.window_jitter
    low, high = choices[(which * len(choices)).astype(int)].T
    width = (high - low) * (1 + jitter * (2 * widen - 1))
    centre = (low + high) / 2 + (high - low) * jitter / 2 * (2 * middle - 1)
    return np.column_stack([centre - width / 2, width])


def blur_radius(augmentation: Augmentation, size: int) -> int:
    """The radius in pixels of the largest blur: three sigma.

    Args:
        augmentation: with its largest sigma.
        size: side of the views, pixels.

    >>> blur_radius(Augmentation(), 224), blur_radius(Augmentation(blur_sigma=0.0085), 224)
    (21, 6)
    """
    return max(1, round(3 * (0.1 + size * augmentation.blur_sigma)))


def crop_boxes(
    draws: np.ndarray, height: int, width: int, min_area: float, aspect: float, *, max_area: float = 1.0
) -> np.ndarray:
    """Boxes (top, left, height, width) with the distribution of torchvision's RandomResizedCrop.

    Args:
        draws: (N, 2 * CROP_TRIES + 2) uniform numbers.
        height: of the stored image, pixels.
        width: of the stored image, pixels.
        min_area: smallest share of the area.
        aspect: largest aspect ratio.
        max_area: largest share of the area.

    Source: https://arxiv.org/abs/1409.4842 (the distribution), torchvision (ten tries, then the largest centred box)
    """
    area = height * width * (min_area + (max_area - min_area) * draws[:, :CROP_TRIES])
    ratio = np.exp(np.log(aspect) * (2 * draws[:, CROP_TRIES : 2 * CROP_TRIES] - 1))
    widths, heights = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first, rows = fits.argmax(1), np.arange(len(draws))
    none = ~fits.any(1)
    box_w = np.where(none, min(width, round(height * aspect)), widths[rows, first]).astype(int)
    box_h = np.where(none, min(height, round(width * aspect)), heights[rows, first]).astype(int)
    position = draws[:, -2:]
    top = np.where(none, (height - box_h) // 2, np.floor(position[:, 0] * (height - box_h + 1))).astype(int)
    left = np.where(none, (width - box_w) // 2, np.floor(position[:, 1] * (width - box_w + 1))).astype(int)
    return np.stack([top, left, box_h, box_w], axis=1)
