"""The filters of the first convolution, as a short text that a row can hold, and back as pictures.

Source: Juodelyte et al. 2023: the first 36 filters, input channel 0, one grey scale for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

SHOWN = 36
MOST_BYTES = 30_000  # of the pixels of one network, so that a record stays small


@dataclass(frozen=True)
class FilterPixels:
    """Filters as bytes: 0 is the lowest weight of the layer and 255 the highest.

    Args:
        layer: name of the convolution.
        count: filters of the layer.
        pixels: (shown, channels, height, width) uint8.
        low: the lowest weight.
        high: the highest weight.
    """

    layer: str
    count: int
    pixels: np.ndarray
    low: float
    high: float


def first_convolution(network: torch.nn.Module) -> tuple[str, torch.Tensor] | None:
    """The name and the weights of the first convolution (of a transformer, its patch embedding); None without one.

    Args:
        network: any.
    """
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            return name, module.weight.detach().cpu()
    return None


def filter_pixels(layer: str, weights: torch.Tensor) -> FilterPixels:
    """The first filters as bytes; fewer than 36 if they are large.

    Args:
        layer: name of the convolution.
        weights: (out, in, height, width); of more than 3 input channels, only the first is kept.

    >>> filter_pixels("conv1", torch.randn(64, 3, 7, 7)).pixels.shape
    (36, 3, 7, 7)
    """
    values = weights.double().numpy()
    values = values if values.shape[1] in (1, 3) else values[:, :1]
    low, high = float(values.min()), float(values.max())
    shown = max(1, min(SHOWN, len(values), MOST_BYTES // values[0].size))
    scaled = (values[:shown] - low) / max(high - low, 1e-300)
    return FilterPixels(layer, len(values), np.rint(255 * scaled).astype(np.uint8), low, high)


def filter_row(found: FilterPixels) -> dict[str, str | int | float]:
    """The filters as part of a row: the pixels are hexadecimal digits, two for each.

    Args:
        found: the filters.
    """
    shown, channels, height, width = found.pixels.shape
    return {
        "layer": found.layer, "value": found.count, "shown": shown, "channels": channels, "height": height, "width": width,
        "low": round(found.low, 6), "high": round(found.high, 6), "pixels": found.pixels.tobytes().hex(),
    }  # fmt: skip


def pixels_of_row(row: dict[str, str | int | float]) -> np.ndarray:
    """The pixels of `filter_row`.

    Args:
        row: that has them.

    Returns:
        (shown, channels, height, width) uint8.
    """
    shape = [int(row[name]) for name in ("shown", "channels", "height", "width")]
    return np.frombuffer(bytes.fromhex(str(row["pixels"])), dtype=np.uint8).reshape(shape)


def filter_sheet(pixels: np.ndarray, *, colour: bool) -> np.ndarray:
    """The filters in a square grid with white lines between them.

    Args:
        pixels: (shown, channels, height, width) uint8.
        colour: red, green and blue from the three channels; else channel 0 as grey.

    Returns:
        (H, W, 3) uint8.

    >>> filter_sheet(np.zeros((36, 3, 7, 7), np.uint8), colour=False).shape
    (47, 47, 3)
    """
    shown, _, height, width = pixels.shape
    side = int(np.ceil(shown**0.5))
    gap = max(1, height // 8)
    sheet = np.full((side * (height + gap) - gap, side * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place, one in enumerate(pixels):
        top, left = (place // side) * (height + gap), (place % side) * (width + gap)
        sheet[top : top + height, left : left + width] = (one if colour else one[:1]).transpose(1, 2, 0)
    return sheet
