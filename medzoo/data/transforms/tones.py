"""Tones of images (brightness, contrast, saturation, hue, gamma, solarization, sharpness) with the conventions of torchvision."""

from __future__ import annotations

from functools import lru_cache

import torch

from medzoo.data.transforms.augmentation_law import Augmentation
from medzoo.data.transforms.random_params import Draws
from medzoo.data.transforms.resample import exact_type

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to L


def adjust_tones(batch: torch.Tensor, augmentation: Augmentation, drawn: Draws) -> torch.Tensor:
    """Change brightness, contrast, saturation (0 makes it grey), hue and gamma; clip to [0, 1] after each step.

    Args:
        batch: (N, C, H, W) float in [0, 1]; changed in place.
        augmentation: the possible changes.
        drawn: the random parameters of these images.
    """
    if augmentation.brightness:
        batch = batch.mul_(_each(drawn.brightness)).clamp_(0, 1)
    if augmentation.contrast:
        # float64, because float32 sums depend on the number of images in the batch
        middle = luminance(batch).mean((1, 2, 3), keepdim=True, dtype=exact_type(batch.device)).float()
        batch = batch.sub_(middle).mul_(_each(drawn.contrast)).add_(middle).clamp_(0, 1)
    if batch.shape[1] == 3 and (augmentation.saturation or augmentation.grey):
        luma = luminance(batch)
        batch = batch.sub_(luma).mul_(_each(drawn.saturation)).add_(luma).clamp_(0, 1)
    if batch.shape[1] == 3 and len(drawn.hued):
        batch[drawn.hued] = turn_hue(batch[drawn.hued], drawn.hue)
    if len(drawn.bent):
        batch[drawn.bent] = batch[drawn.bent].clamp_(0, 1) ** _each(drawn.gamma)
    return batch


def windowed(batch: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """Stretch a window of each image to [0, 1]; what is below or above it becomes 0 or 1.

    Args:
        batch: (N, C, H, W) float in [0, 1].
        windows: (N, 2), lowest value and width.

    >>> windowed(torch.tensor([0.1, 0.4, 0.5, 0.9]).view(1, 1, 1, 4), torch.tensor([[0.25, 0.5]])).flatten().tolist()
    [0.0, 0.30000001192092896, 0.5, 1.0]
    """
    low, width = windows.unbind(1)
    return ((batch - _each(low)) / _each(width)).clamp_(0, 1)


def turn_hue(batch: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Change the hue; value and saturation of HSV stay. Grey pixels stay as they are.

    Args:
        batch: (N, 3, H, W) float in [0, 1].
        turns: (N,) from -1 to 1; 1 is the whole circle.

    >>> turn_hue(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), torch.tensor([1 / 3])).flatten().tolist()
    [0.0, 1.0, 0.0]
    """
    red, green, blue = batch.unbind(1)
    value, chroma = batch.amax(1), batch.amax(1) - batch.amin(1)
    divisor = torch.where(chroma > 0, chroma, 1.0)
    # the hue as sixths of the circle, from red
    of_blue = torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4)
    sixths = torch.where(value == red, (green - blue) / divisor, of_blue) + 6 * turns.float()[:, None, None]
    channels = []
    for start in (5, 3, 1):
        place = torch.remainder(start + sixths, 6)
        channels.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1)


def solarized(batch: torch.Tensor) -> torch.Tensor:
    """Invert the pixels at or above half of the range; for stored bytes, these are 128 and more, as in Pillow.

    Args:
        batch: (N, C, H, W) float in [0, 1].

    >>> solarized(torch.tensor([0.0, 0.25, 0.5, 1.0])).tolist()
    [0.0, 0.25, 0.5, 0.0]
    """
    return torch.where(batch >= 0.5, 1 - batch, batch)


def sharpened(batch: torch.Tensor, factor: float) -> torch.Tensor:
    """Increase the difference from an image that a kernel of 3 × 3 pixels smoothed; border pixels stay. Clipped to [0, 1].

    Args:
        batch: (N, C, H, W) float in [0, 1].
        factor: 1 changes nothing, 0 gives the smoothed image.
    """
    height, width = batch.shape[-2:]
    if min(height, width) < 3:
        return batch
    inside = batch[..., 1:-1, 1:-1]
    smooth = 4 * inside  # with the middle pixel below, 5 of 13
    for top in range(3):
        for left in range(3):
            smooth = smooth + batch[..., top : top + height - 2, left : left + width - 2]
    smooth = smooth / 13
    result = batch.clone()
    result[..., 1:-1, 1:-1] = (smooth + factor * (inside - smooth)).clamp_(0, 1)
    return result


def luminance(batch: torch.Tensor) -> torch.Tensor:
    """The grey image.

    Args:
        batch: (N, 1 or 3, H, W).

    Returns:
        (N, 1, H, W).
    """
    return batch if batch.shape[1] == 1 else (batch * constants(_LUMA, batch.device)).sum(1, keepdim=True)


@lru_cache(maxsize=64)
def constants(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """One value per channel as a tensor; cached, because each transfer would wait for the device.

    Args:
        values: of the channels.
        device: of the tensor.

    Returns:
        (1, C, 1, 1).
    """
    with torch.inference_mode(False):  # the first call may be in an evaluation, a later one in training
        return torch.tensor(values, device=device).view(1, -1, 1, 1)


def _each(values: torch.Tensor) -> torch.Tensor:
    """One value per image, as (N, 1, 1, 1)."""
    return values.float().view(-1, 1, 1, 1)
