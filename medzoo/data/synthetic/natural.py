"""Drawings like natural images: a shape with one of ten textures in front of a cluttered background, in random colours."""

from __future__ import annotations

import colorsys

import numpy as np

from medzoo.data.synthetic.primitives import Array, clouds, ellipse, generator, moved, smooth, step, to_uint8

CLASSES = ("stripes", "checks", "dots", "rings", "zigzag", "bricks", "marble", "leopard", "rays", "spiral")


def natural(name: str, patient: str, index: int, label: int, size: int) -> tuple[Array, Array]:
    """One image: RGB uint8 (size, size, 3) and the mask of the object (size, size).

    Args:
        name: name of the data set, for the random numbers.
        patient: the scene; its images share background and colours.
        index: number of the image in the data set.
        label: the texture.
        size: pixels.
    """
    scene, rng = generator(name, patient), generator(name, patient, index)
    hue = scene.uniform()
    ground = _two_colours(scene, hue, 0.35) if rng.uniform() < 0.7 else _two_colours(rng, rng.uniform(), 0.35)
    cloth = _two_colours(rng, hue + rng.uniform(0.2, 0.8), 0.75)
    far = step(clouds(rng, size, int(rng.integers(2, 6)), 3), rng.uniform(0.3, 3))
    image = _mix(ground, far)
    y, x = moved(size, rng, turn=np.pi, shift=0.2, zoom=0.2)
    inside = step(_outline(y, x, rng) + 0.06 * smooth(rng, size, 5), 2.5 / size)
    texture = step(_texture(label, y, x, rng, size), rng.uniform(0.15, 0.8))
    texture = np.clip(texture + 0.08 * clouds(rng, size, 6, 2), 0, 1)
    image += (_mix(cloth, texture) - image) * inside[..., None]
    if rng.uniform() < 0.25:  # something is in front of the shape
        bar = step(0.12 - np.abs(np.sin(3 * x + 2 * y + rng.uniform(0, 6))) * 0.5, 0.05)[..., None]
        image += (np.array(colorsys.hsv_to_rgb(*rng.uniform(0, 1, 3)), dtype=np.float32) - image) * bar * 0.8
    light = 1 + rng.uniform(0, 0.35) * np.clip(smooth(rng, size, 1), -2, 2)
    noise = rng.standard_normal((size, size, 3), dtype=np.float32) * np.float32(rng.uniform(0.01, 0.04))
    return to_uint8(image * light[..., None] + noise), (inside > 0.5).astype(np.uint8)


def _two_colours(rng: np.random.Generator, hue: float, contrast: float) -> Array:
    value = rng.uniform(0.25, 0.9)
    other = value + contrast * (1 if value < 0.55 else -1) * rng.uniform(0.4, 1)
    pair = [(hue % 1, rng.uniform(0.1, 0.8), value), ((hue + rng.normal(0, 0.12)) % 1, rng.uniform(0.1, 0.8), other)]
    return np.array([colorsys.hsv_to_rgb(h, s, float(np.clip(v, 0, 1))) for h, s, v in pair], dtype=np.float32)


def _mix(pair: Array, share: Array) -> Array:
    return pair[0] + (pair[1] - pair[0]) * share[..., None]


def _outline(y: Array, x: Array, rng: np.random.Generator) -> Array:
    """Positive inside a random shape: an ellipse, a rounded box or a polygon."""
    kind = rng.integers(3)
    if kind == 0:
        return ellipse(y, x, (0, 0), (rng.uniform(0.65, 1.0), rng.uniform(0.65, 1.0)))
    if kind == 1:
        return rng.uniform(0.6, 0.85) - np.maximum(np.abs(y), np.abs(x) * np.float32(rng.uniform(0.7, 1.3)))
    sides = int(rng.integers(3, 8))
    turn = np.arange(sides) * 2 * np.pi / sides
    reach = [np.float32(np.cos(a)) * y + np.float32(np.sin(a)) * x for a in turn]
    return rng.uniform(0.55, 0.8) - np.maximum.reduce(reach)


def _texture(label: int, y: Array, x: Array, rng: np.random.Generator, size: int) -> Array:
    """Positive and negative areas of one of the ten textures, at a random scale."""
    f = np.float32(rng.uniform(8, 15))
    y, x = y + np.float32(rng.uniform(-0.3, 0.3)), x + np.float32(rng.uniform(-0.3, 0.3))
    warp = 0.04 * smooth(rng, size, 3)
    y, x = y + warp, x - warp
    kind = CLASSES[label]
    if kind == "stripes":
        return np.sin(f * x)
    if kind == "checks":
        return np.sin(f * x) * np.sin(f * y) * 1.5
    if kind == "dots":
        return np.cos(f * x) * np.cos(f * y) * 2 - 0.7 + 0 * y
    if kind == "rings":
        return np.sin(f * np.sqrt(x * x + y * y))
    if kind == "zigzag":
        return np.sin(f * (x + 0.35 * np.abs((y * f / 5) % 2 - 1)))
    if kind == "bricks":
        row = np.floor(y * f / 3)
        return np.minimum(np.abs(np.sin(f / 2 * x + row * np.pi / 2)), np.abs(np.sin(y * f / 3 * np.pi))) * 2 - 0.5
    if kind == "marble":
        return np.sin(f / 2 * x + 2.5 * clouds(rng, size, 3, 3))
    if kind == "leopard":
        field = np.abs(smooth(rng, size, int(f * 0.8)))
        return 0.5 - np.abs(field - 0.6) * 2
    angle = np.arctan2(y, x)
    if kind == "rays":
        return np.sin(np.rint(f * 0.9) * angle)
    return np.sin(f * np.sqrt(x * x + y * y) + rng.choice([-1, 1]) * 2 * angle)
