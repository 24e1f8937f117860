"""Draw a heat map on an image, and write it as PNG."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from medzoo import store
from medzoo.data.images.read import Pixels, apply_window

LONGEST = 768  # side of the picture, pixels
STRENGTH = 0.6  # opacity of the hottest place
COLOURS = np.array([[255, 255, 0], [255, 140, 0], [230, 0, 0]], np.float32)  # from cool to hot


def displayed(pixels: Pixels, clip: tuple[float, float] | None = None) -> np.ndarray:
    """An image for people: uint8 RGB (H, W, 3), the longest side at most `LONGEST`, from its darkest to its lightest value.

    Args:
        pixels: (H, W) or (H, W, 3).
        clip: lowest and highest HU.

    >>> displayed(Pixels(np.array([[0, 500], [1000, 2000]], np.uint16), (0, 65535), "grey")).max()
    np.uint8(255)
    """
    from PIL import Image

    if clip is not None and pixels.unit == "HU":
        pixels = apply_window(pixels, clip)
    array = pixels.array
    step = max(1, max(array.shape[:2]) // (2 * LONGEST))  # coarse first: a film has 10 million pixels
    array = array[::step, ::step].astype(np.float32)
    low, high = (float(array.min()), float(array.max())) if array.ndim == 2 else pixels.range
    scaled = np.clip((array - low) / max(high - low, 1e-8) * 255, 0, 255).round().astype(np.uint8)
    image = Image.fromarray(scaled).convert("RGB")
    image.thumbnail((LONGEST, LONGEST))
    return np.asarray(image)


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture with a heat map over it, uint8 (H, W, 3); places without heat stay as they are.

    Args:
        picture: uint8 (H, W, 3).
        heat: (h, w) in [0, 1]; it covers the whole picture.

    >>> overlay(np.zeros((8, 6, 3), np.uint8), np.array([[0.0, 0.0], [0.0, 1.0]])).shape
    (8, 6, 3)
    """
    from PIL import Image

    height, width = picture.shape[:2]
    large = Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    values = np.clip(np.asarray(large), 0, 1)[..., None]
    place = values * (len(COLOURS) - 1)
    lower = np.minimum(place.astype(int), len(COLOURS) - 2)[..., 0]
    colour = COLOURS[lower] + (COLOURS[lower + 1] - COLOURS[lower]) * (place - lower[..., None])
    alpha = STRENGTH * values
    return (picture * (1 - alpha) + colour * alpha).round().astype(np.uint8)


def write_png(folder: Path, number: int, name: str, label: str, picture: np.ndarray, heat: np.ndarray) -> Path:
    """Write a heat map on its picture.

    Args:
        folder: for all heat maps.
        number: of the row in the table, from 1; it makes the name of the file unique.
        name: key or path of the image.
        label: the explained class.
        picture: uint8 (H, W, 3).
        heat: (h, w) in [0, 1].

    Returns:
        The PNG file.
    """
    from PIL import Image

    words = [re.sub(r"[^\w.-]+", "_", word)[-80:].strip("_") for word in (Path(name).name, label)]
    path = folder / "-".join([f"{number:06d}", *filter(None, words)])
    path = path.with_name(f"{path.name}.png")
    stream = io.BytesIO()
    Image.fromarray(overlay(picture, heat)).save(stream, "PNG")
    store.write_bytes(path, stream.getvalue())
    return path
