"""Random parameters of a view: box, flip, affine map, tones and blur. They depend only on (seed, epoch, index).

They are drawn on the host, so the numbers are the same for every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medzoo.data.rng import uniform

CROP_TRIES = 10  # as torchvision's RandomResizedCrop
_BOX = 2 * CROP_TRIES + 2
_OTHERS = 14  # of these, in this order; append new ones at the end, so that the earlier ones keep their numbers:
# flip, brightness, contrast, saturation, tone, grey, blur, sigma, angle, crop, right, down, shear, zoom


@dataclass(frozen=True)
class Augmentation:
    """The possible changes of a training image, in the order of the arguments; the default changes nothing.

    Args:
        min_area: smallest share of the area in a crop; 1 means no crop.
        aspect: largest aspect ratio of a crop, w/h in [1/aspect, aspect].
        flip: probability of a left-right flip.
        brightness: factor drawn from [1 - b, 1 + b].
        contrast: factor drawn from [1 - c, 1 + c], around the image's mean luminance.
        saturation: factor drawn from [1 - s, 1 + s], for colour images.
        tone: probability that brightness, contrast and saturation change.
        grey: probability of a conversion to grey.
        blur: probability of a Gaussian blur with sigma up to `size`/32 pixels.
        rotation: angle drawn from [-r, r] degrees.
        crop: probability of a crop.
        shift: distances to the right and down, each drawn from [-s, s], as a share of the side.
        shear: angle drawn from [-s, s] degrees; it moves rows to the left or right.
        zoom: factor drawn from [1 - z, 1 + z].
        max_area: largest share of the area in a crop.

    Rotation, shift, shear and zoom are one affine map after the crop and the flip; pixels from outside are black.
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
    rotation: float = 0.0
    crop: float = 1.0
    shift: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    max_area: float = 1.0

    @property
    def is_affine(self) -> bool:
        """Whether views are rotated, shifted, sheared or zoomed."""
        return bool(self.rotation or self.shift or self.shear or self.zoom)


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
    flip, bright, contrast, saturation, tone, grey, blur, sigma, angle, crop, right, down, shear, zoom = drawn[
        :, _BOX:
    ].T
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
    table = _move(np.column_stack(list(columns.values())), device)
    blurred = np.flatnonzero(blur < augmentation.blur)
    named = dict(zip(columns, table.unbind(1), strict=True))
    named["flip"] = named["flip"] > 0
    sigmas = _move(0.1 + sigma[blurred] * size / 32, device)
    return Draws(**named, blurred=_move(blurred, device), sigma=sigmas)


def blur_radius(size: int) -> int:
    """The radius in pixels of the largest blur for this size: three sigma."""
    return round(3 * (0.1 + size / 32))


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


def _move(values: np.ndarray, device: torch.device | None) -> torch.Tensor:
    """Copy to the device without waiting for it."""
    tensor = torch.from_numpy(values)
    if device is None or device.type == "cpu":
        return tensor
    if device.type == "mps" and tensor.dtype == torch.float64:
        tensor = tensor.float()
    return tensor.to(device, non_blocking=True)
