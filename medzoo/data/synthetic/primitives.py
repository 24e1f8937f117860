"""Tools for drawn images: coordinates, smooth noise, soft shapes. They work at any size; positions are relative to it."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

Array = np.ndarray


def generator(*words: str | int) -> np.random.Generator:
    """A generator whose numbers depend only on the words.

    >>> bool(generator("chest", 0).integers(99) == generator("chest", 0).integers(99))
    True
    """
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


@lru_cache(maxsize=8)
def _axis(size: int) -> Array:
    return ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)


def grid(size: int) -> tuple[Array, Array]:
    """Coordinates y (size, 1), downwards, and x (1, size), both from -1 to 1."""
    axis = _axis(size)
    return axis[:, None], axis[None, :]


def moved(size: int, rng: np.random.Generator, *, turn: float, shift: float, zoom: float) -> tuple[Array, Array]:
    """Coordinates (size, size) after a small random rotation, shift and change of scale.

    Args:
        size: pixels.
        rng: generator of the uniform random values.
        turn: largest angle, radians.
        shift: largest shift, in half widths.
        zoom: largest relative change of scale.
    """
    angle, dy, dx, scale = rng.uniform(-1, 1, 4) * (turn, shift, shift, zoom)
    y, x = grid(size)
    y, x = (y - np.float32(dy)) * np.float32(1 + scale), (x - np.float32(dx)) * np.float32(1 + scale)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * y - s * x, s * y + c * x


@lru_cache(maxsize=64)
def _kernel(size: int, cells: int) -> Array:
    """(size, cells + 2) Gaussian weights whose rows have length 1, so that smooth noise has variance 1."""
    centres = (np.arange(cells + 2) - 0.5) * 2 / cells - 1
    weights = np.exp(-0.5 * ((_axis(size)[:, None] - centres) * cells / 2 / 0.6) ** 2)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def smooth(rng: np.random.Generator, size: int, cells: int, columns: int | None = None) -> Array:
    """(size, size) noise of mean 0 and variance 1 with about `cells` bumps along y (and `columns` along x)."""
    columns = columns or cells
    values = rng.standard_normal((cells + 2, columns + 2), dtype=np.float32)
    return _kernel(size, cells) @ values @ _kernel(size, columns).T


def clouds(rng: np.random.Generator, size: int, cells: int = 3, octaves: int = 3) -> Array:
    """Noise with structure at several scales, variance about 1."""
    total = smooth(rng, size, cells)
    for octave in range(1, octaves):
        total += smooth(rng, size, min(cells * 2**octave, size)) * np.float32(0.55**octave)
    return total * np.float32(0.85)


def step(values: Array, softness: float) -> Array:
    """0 below zero, 1 above, with a ramp of the given width between."""
    return np.clip(values * np.float32(1 / softness) + np.float32(0.5), 0, 1)


def ellipse(y: Array, x: Array, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Array:
    """Distance-like values: 1 in the centre, 0 on the rim, negative outside. Centre and radii as (y, x)."""
    dy, dx = y - np.float32(centre[0]), x - np.float32(centre[1])
    if angle:
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dy, dx = c * dy - s * dx, s * dy + c * dx
    return 1 - np.sqrt((dy * np.float32(1 / radii[0])) ** 2 + (dx * np.float32(1 / radii[1])) ** 2)


def bump(y: Array, x: Array, centre: tuple[float, float], radius: float) -> Array:
    """A Gaussian hill of height 1."""
    scale = np.float32(0.5 / radius**2)
    return np.exp(-((y - np.float32(centre[0])) ** 2 + (x - np.float32(centre[1])) ** 2) * scale)


def over(image: Array, value: Array | float, alpha: Array) -> Array:
    """Blend `value` over the image: alpha 1 replaces it, alpha 0 keeps it."""
    return image + (value - image) * alpha


def to_uint8(image: Array) -> Array:
    """[0, 1] → 0 to 255, rounded."""
    return (np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
