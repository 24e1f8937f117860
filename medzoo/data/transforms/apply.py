"""Convert stored images to the input of a network: the random changes of `augmentation_law`, then the input convention.

All random numbers depend only on (seed, epoch, index): see `random_params`. Module `resample` computes crops and blurs: by sums
of a few rows on the CPU, by matrix products on other devices. Module `affine` rotates, shifts, shears and zooms; module
`distortion` says from where distorted images take their pixels, and both are one resampling. Masks get the same boxes, flips and
maps, by the nearest pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from medzoo.data.transforms.affine import Interpolation, affine
from medzoo.data.transforms.augmentation_law import Augmentation
from medzoo.data.transforms.random_params import CROP_TRIES, Draws, blur_radius, crop_boxes, draw
from medzoo.data.transforms.resample import (
    Form,
    apply_taps,
    blur_taps,
    nearest,
    nearest_positions,
    resize_taps,
)
from medzoo.data.transforms.tones import adjust_tones, constants, luminance, sharpened, solarized, windowed

__all__ = [
    "CROP_TRIES",
    "Augmentation",
    "InputConvention",
    "augment",
    "crop_boxes",
    "normalise",
    "to_unit",
    "view",
    "view_of_masks",
    "whole",
    "whole_in_window",
    "whole_masks",
]

Rule = Literal["unit", "per_image_minmax"]


@dataclass(frozen=True)
class InputConvention:
    """The input that a network expects: RGB (or grey) in [0, 1], minus mean, divided by std.

    Args:
        mean: one value per channel.
        std: one value per channel.
        rule: "unit" uses [0, 1] unchanged; "per_image_minmax" first stretches each image to [0, 1].
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
        images: (N, H, W) or (N, H, W, 3), uint8 or uint16; a tensor on a device has uint16 as int32.
        scale: the value that becomes 1.
        rule: of the input convention.

    Returns:
        (N, C, H, W), channels last in memory.
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
    """Repeat grey to the network's channels (or convert colour to grey), subtract mean, divide by std.

    Args:
        batch: (N, C, H, W) in [0, 1].
        convention: of the network.
        out: (N, channels, H, W), the target of the result.

    Returns:
        (N, channels, H, W), contiguous.
    """
    if batch.shape[1] != convention.channels and convention.channels == 1:
        batch = luminance(batch)
    shape = (len(batch), convention.channels, *batch.shape[2:])
    result = torch.empty(shape, device=batch.device) if out is None else out
    torch.sub(batch, constants(convention.mean, batch.device), out=result)
    return result.div_(constants(convention.std, batch.device))


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
        augmentation: the possible changes.
        size: side of the result, pixels.
        seed: the run's seed.
        epoch: the pass over the data.
        indices: (N,) positions of the images in their split.
        stream: name of the view, so that two views of one image differ.
        form: how crops and blurs are computed; by default the faster way for the batch's device.

    Returns:
        (N, C, size, size) float in [0, 1].

    >>> flips = Augmentation(min_area=0.5, flip=0.5)
    >>> augment(torch.rand(2, 1, 32, 32), flips, 16, seed=0, epoch=0, indices=np.arange(2), stream="view0").shape
    torch.Size([2, 1, 16, 16])
    """
    height, width = batch.shape[-2:]
    drawn = draw(
        augmentation, (height, width), size, seed=seed, epoch=epoch, indices=indices, stream=stream, device=batch.device
    )
    return view(batch, augmentation, drawn, size, form)


def view(
    batch: torch.Tensor, augmentation: Augmentation, drawn: Draws, size: int, form: Form | None = None
) -> torch.Tensor:
    """The views of images for given random numbers.

    Args:
        batch: (N, C, H, W) float in [0, 1].
        augmentation: the possible changes.
        drawn: the random parameters of these images.
        size: side of the result, pixels.
        form: how crops and blurs are computed; by default the faster way for the batch's device.

    Returns:
        (N, C, size, size) float in [0, 1].
    """
    form = form or _default_form(batch.device)
    height, width = batch.shape[-2:]
    columns = resize_taps(drawn.left, drawn.width, width, size)
    if augmentation.flip:
        columns = columns.flipped(drawn.flip)
    batch = apply_taps(batch, resize_taps(drawn.top, drawn.height, height, size), columns, form)
    batch = _moved(batch, augmentation, drawn)
    if len(drawn.windows):
        batch = windowed(batch, drawn.windows)
    batch = adjust_tones(batch, augmentation, drawn)
    if len(drawn.blurred):
        taps = blur_taps(drawn.sigma, size, blur_radius(augmentation, size))
        batch[drawn.blurred] = apply_taps(batch[drawn.blurred], taps, taps, form)
    if len(drawn.solarized):
        batch[drawn.solarized] = solarized(batch[drawn.solarized])
    if len(drawn.sharpened):
        batch[drawn.sharpened] = sharpened(batch[drawn.sharpened], augmentation.sharpness)
    return batch


def view_of_masks(masks: torch.Tensor, augmentation: Augmentation, drawn: Draws, size: int) -> torch.Tensor:
    """The masks of the views: same boxes, flips and maps, by the nearest pixel, 0 outside of an affine map.

    Args:
        masks: (N, H, W) uint8.
        augmentation: the possible changes.
        drawn: the random parameters of these images.
        size: side of the result, pixels.

    Returns:
        (N, size, size) uint8.
    """
    rows = nearest_positions(drawn.top, drawn.height, size)
    columns = nearest_positions(drawn.left, drawn.width, size)
    if augmentation.flip:
        columns = torch.where(drawn.flip[:, None], columns.flip(1), columns)
    masks = nearest(masks, rows, columns)
    if augmentation.is_affine or drawn.distortion is not None:
        masks = _moved(masks[:, None].float(), augmentation, drawn, "nearest")[:, 0].to(torch.uint8)
    return masks


def whole(batch: torch.Tensor, size: int, form: Form | None = None) -> torch.Tensor:
    """The whole image without augmentation, resized (antialiased) if the stored size differs; for evaluation.

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
    return apply_taps(batch, rows, columns, form or _default_form(batch.device))


def whole_in_window(batch: torch.Tensor, size: int, augmentation: Augmentation) -> torch.Tensor:
    """The whole image as `whole` gives it, in the first window of an augmentation that has windows, without jitter.

    Args:
        batch: (N, C, H, W) float in [0, 1].
        size: side of the result, pixels.
        augmentation: of the training.
    """
    batch = whole(batch, size)
    if not augmentation.windows:
        return batch
    low, high = augmentation.windows[0]
    return ((batch - low) / (high - low)).clamp_(0, 1)


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


def _default_form(device: torch.device) -> Form:
    return "taps" if device.type == "cpu" else "matmul"


def _moved(
    batch: torch.Tensor, augmentation: Augmentation, drawn: Draws, mode: Interpolation = "bilinear"
) -> torch.Tensor:
    """Images or masks after the affine map and the distortion that were drawn for them: one resampling for both."""
    moved = batch
    if augmentation.is_affine:
        moved = affine(batch, drawn.angle, drawn.right, drawn.down, drawn.shear, drawn.zoom, mode)
    if drawn.distortion is not None:
        rows = drawn.distortion.rows
        angle, right, down, shear, zoom = (
            values[rows] for values in (drawn.angle, drawn.right, drawn.down, drawn.shear, drawn.zoom)
        )
        moved[rows] = affine(batch[rows], angle, right, down, shear, zoom, mode, drawn.distortion.positions)
    return moved
