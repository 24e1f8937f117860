"""Draw a heat map or a mask on an image, and write pictures and masks as PNG."""

from __future__ import annotations

import colorsys
import io
import re
from functools import cache
from pathlib import Path

import numpy as np

from medzoo import store
from medzoo.data.images.read import Pixels, apply_window

LONGEST = 768  # side of the picture, pixels
STRENGTH = 0.6  # opacity of the hottest place
FILLED = 0.45  # opacity of a mask
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


def overlay(picture: np.ndarray, heat: np.ndarray, centre: float = 1.0) -> np.ndarray:
    """The picture with a heat map over it, uint8 (H, W, 3); places without heat stay as they are.

    Args:
        picture: uint8 (H, W, 3).
        heat: (h, w) in [0, 1].
        centre: part of the picture's sides that it covers, around the middle.

    >>> overlay(np.zeros((8, 6, 3), np.uint8), np.array([[0.0, 0.0], [0.0, 1.0]])).shape
    (8, 6, 3)
    """
    from PIL import Image

    height, width = picture.shape[:2]
    rows, columns = max(1, round(height * centre)), max(1, round(width * centre))
    large = Image.fromarray(heat.astype(np.float32)).resize((columns, rows), Image.Resampling.BICUBIC)
    values, top, left = np.zeros((height, width, 1), np.float32), (height - rows) // 2, (width - columns) // 2
    values[top : top + rows, left : left + columns, 0] = np.clip(np.asarray(large), 0, 1)
    place = values * (len(COLOURS) - 1)
    lower = np.minimum(place.astype(int), len(COLOURS) - 2)[..., 0]
    colour = COLOURS[lower] + (COLOURS[lower + 1] - COLOURS[lower]) * (place - lower[..., None])
    alpha = STRENGTH * values
    return (picture * (1 - alpha) + colour * alpha).round().astype(np.uint8)


@cache
def mask_colours() -> np.ndarray:
    """The colours of 256 classes, uint8 (256, 3): black for the background, then hues that differ much between neighbours.

    >>> mask_colours()[:2].tolist()
    [[0, 0, 0], [255, 38, 38]]
    """
    rows = [colorsys.hsv_to_rgb(0.618034 * number % 1, 0.85, 1.0) for number in range(255)]
    return (np.array([(0.0, 0.0, 0.0), *rows]) * 255).round().astype(np.uint8)


def mask_overlay(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with the classes of a mask in colour over it, uint8 (H, W, 3).

    Args:
        picture: uint8 (H, W, 3).
        mask: (h, w) uint8; it covers the whole picture.

    >>> mask_overlay(np.zeros((2, 1, 3), np.uint8), np.array([[0], [1]], np.uint8)).tolist()
    [[[0, 0, 0]], [[115, 17, 17]]]
    """
    from PIL import Image

    height, width = picture.shape[:2]
    classes = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    alpha = FILLED * (classes > 0)[..., None]
    return (picture * (1 - alpha) + mask_colours()[classes] * alpha).round().astype(np.uint8)


def png_path(folder: Path, number: int, *words: str) -> Path:
    """The PNG file of a row of the table.

    Args:
        folder: of all files.
        number: of the row in the table, from 1; it makes the name of the file unique.
        words: path or key of the image, and what the picture shows.

    >>> png_path(Path("maps"), 7, "scans/a b.png", "pneumonia").as_posix()
    'maps/000007-a_b-pneumonia.png'
    """
    shown = (Path(words[0]).name.removesuffix(".png"), *words[1:])
    plain = [re.sub(r"[^\w.-]+", "_", word)[-80:].strip("_") for word in shown]
    return folder / ("-".join([f"{number:06d}", *filter(None, plain)]) + ".png")


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture as PNG.

    Args:
        path: of the file.
        picture: uint8 (H, W, 3), or a mask (H, W) whose values are class numbers; it gets a palette, so viewers show its classes.
    """
    from PIL import Image

    image, stream = Image.fromarray(picture), io.BytesIO()
    if picture.ndim == 2:
        image.putpalette(mask_colours().tobytes())
    image.save(stream, "PNG")
    store.write_bytes(path, stream.getvalue())
