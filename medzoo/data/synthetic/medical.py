"""Drawings that look like a chest radiograph, an abdominal CT slice and a retinal OCT scan.

They are phantoms: shapes and grey values with realistic places and proportions, not real anatomy. The images of a
patient share the anatomy (so a leak between splits would improve scores) and differ in pose, exposure and noise.
"""

from __future__ import annotations

import numpy as np

from medzoo.data.synthetic.primitives import (
    Array,
    bump,
    clouds,
    ellipse,
    generator,
    grid,
    moved,
    over,
    smooth,
    step,
    to_uint8,
)

CHEST = ("none", "opacity")
CT = ("cyst", "metastasis", "haemangioma")
OCT = ("normal", "drusen", "fluid", "atrophy")
CT_RANGE = (-1024, 3071)


def chest(name: str, patient: str, index: int, label: int, size: int) -> tuple[Array, Array]:
    """A frontal chest radiograph: uint8 (size, size), and the mask of the opacity."""
    body, rng = generator(name, patient), generator(name, patient, index)
    y, x = moved(size, rng, turn=0.08, shift=0.06, zoom=0.08)
    wide, tall, bend = body.uniform(0.32, 0.4), body.uniform(0.68, 0.82), body.uniform(0.2, 0.5)
    side = np.abs(x)
    image = 0.08 + 0.52 * step(body.uniform(0.86, 1.0) - side - 0.9 * np.clip(-0.75 - y, 0, 1), 0.12)
    dome = body.uniform(0.55, 0.7) + 0.06 * (x > 0) - bend * (side - 0.42) ** 2 * 2
    lungs = ellipse(y, side, (0.0, 0.44 - 0.1 * body.uniform()), (tall, wide)) - 0.12 * np.clip(-y, 0, 1) * side
    lungs = step(np.minimum(lungs, dome - y) + 0.03, 0.12)
    image = over(image, 0.24 + 0.04 * body.normal(), lungs)
    hilum = bump(y, side, (0.02, 0.16), 0.26)
    vessels = np.abs(clouds(body, size, 7, 2))
    image += lungs * (0.05 + 0.22 * hilum) * np.clip(0.5 - vessels, 0, 1)
    phase = (y + 0.55 * side**2 - 0.25 * side) * np.float32(body.uniform(21, 26)) + np.float32(body.uniform(0, 6))
    image += (0.035 + 0.05 * lungs) * np.clip(np.sin(phase), 0, 1) ** 2 * (side < 0.86) * (side > 0.12)
    spine = step(0.1 - np.abs(x - 0.01), 0.06)
    image += spine * (0.12 + 0.03 * np.sin(y * 24 + np.float32(body.uniform(0, 6))))
    middle = step(body.uniform(0.12, 0.17) + 0.05 * np.clip(y, 0, 1) - np.abs(x), 0.08)
    image = over(image, 0.66, 0.75 * middle)
    heart = (body.uniform(0.24, 0.38), body.uniform(0.08, 0.16))
    image = over(image, 0.68, 0.85 * step(ellipse(y, x, heart, (0.3, body.uniform(0.27, 0.4)), 0.5), 0.2))
    collar = np.abs(y + 0.66 - 0.3 * (side - 0.3) ** 2 + 0.16 * side)
    image += 0.12 * step(0.035 - collar, 0.04) * (side > 0.08) * (side < 0.75)

    # distractors of every image: a broad veil, round shadows that are not an opacity, a marker, tubes
    image += rng.uniform(0, 0.06) * bump(y, x, tuple(rng.uniform(-0.8, 0.8, 2)), rng.uniform(0.45, 0.9))
    for _ in range(rng.integers(0, 3)):
        place = (rng.uniform(-0.5, 0.6), rng.choice([-1, 1]) * rng.uniform(0.2, 0.7))
        image += rng.uniform(0.05, 0.14) * step(ellipse(y, x, place, (0.045, 0.045)), 0.4)
    if rng.uniform() < 0.3:
        image = over(image, 0.95, step(0.05 - np.maximum(np.abs(y + 0.85), np.abs(x - 0.8)), 0.02))
    if rng.uniform() < 0.3:
        image += 0.15 * step(0.012 - np.abs(x - 0.1 * np.sin(3 * y + rng.uniform(0, 6)) - rng.uniform(-0.3, 0.3)), 0.02)

    mask = np.zeros((size, size), np.uint8)
    if label:
        place = (rng.uniform(-0.4, 0.4), rng.choice([-1, 1]) * rng.uniform(0.28, 0.58))
        radii = rng.uniform(0.18, 0.36), rng.uniform(0.18, 0.36)
        patch = ellipse(y, x, place, radii, rng.uniform(0, 3)) + 0.22 * smooth(rng, size, 7)
        alpha = step(patch - 0.1, 0.7) * lungs
        image += rng.uniform(0.16, 0.32) * alpha * (1 + 0.25 * smooth(rng, size, 14))
        mask = (alpha > 0.4).astype(np.uint8)
    image = np.clip(image + rng.uniform(-0.05, 0.05), 0.001, 1) ** np.float32(rng.uniform(0.75, 1.35))
    image *= np.float32(rng.uniform(0.85, 1.15))
    noise = rng.standard_normal((size, size), dtype=np.float32) * np.float32(rng.uniform(0.01, 0.03))
    return to_uint8(image + noise), mask


def ct(name: str, patient: str, index: int, label: int, size: int) -> tuple[Array, Array]:
    """An axial slice through the upper abdomen: int16 HU (size, size), and the mask of the liver lesion.

    Air is -1000, fat about -100, water 0, soft tissue 40 to 120 and bone up to 900 HU.
    """
    body, rng = generator(name, patient), generator(name, patient, index)
    y, x = moved(size, rng, turn=0.12, shift=0.05, zoom=0.08)
    tall, wide = body.uniform(0.7, 0.82), body.uniform(0.9, 1.0)
    fat, phase = body.uniform(0.06, 0.16), body.uniform(0, 1)  # phase: amount of contrast agent
    skin = ellipse(y, x, (0, 0), (tall, wide))
    hu = np.full((size, size), -1000, np.float32)
    hu = over(hu, 60.0, step(0.03 - np.abs(y - tall - 0.1), 0.03) * (np.abs(x) < 0.7))  # the table
    hu = over(hu, -105.0 + 12 * clouds(body, size, 8, 2), step(skin, 0.03))
    hu = over(hu, 50.0, step(skin - fat, 0.03))
    hu = over(hu, -95.0 + 15 * smooth(body, size, 9), step(skin - fat - 0.09, 0.03))
    for slope in np.linspace(0.2, 2.94, 7) + body.uniform(-0.1, 0.1):  # ribs in the wall
        for mirror in (-1, 1):
            r = 1 - fat - 0.05
            place = (-np.cos(slope) * tall * r, mirror * np.sin(slope) * wide * r)
            hu = over(hu, 450.0, step(ellipse(y, x, place, (0.035, 0.05), mirror * slope), 0.3))
    grey = 55 + 55 * phase + body.normal(0, 6)
    edge = 0.12 * smooth(body, size, 4)
    liver = np.minimum(ellipse(y, x, (-0.08, -0.36), (0.56, 0.58), 0.3) + edge, skin - fat - 0.11)
    liver = step(liver, 0.05)
    tissue = grey + 5 * clouds(body, size, 9, 2)
    tree = np.abs(clouds(body, size, 5, 2))
    tissue += (8 + 50 * phase) * np.clip(0.16 - tree, 0, 1) * 5
    hu = over(hu, tissue, liver)
    for centre, radii, value in (
        ((0.02, 0.56), (0.24, 0.15), 60 + 70 * phase),  # spleen
        ((0.3, -0.3), (0.15, 0.1), 40 + 130 * phase),  # kidneys
        ((0.3, 0.34), (0.15, 0.1), 40 + 130 * phase),
        ((0.12, 0.03), (0.06, 0.06), 45 + 170 * phase),  # aorta
        ((0.1, -0.1), (0.05, 0.07), 40 + 90 * phase),  # vena cava
    ):
        hu = over(hu, value, step(ellipse(y, x, _shaken(centre, body), _shaken(radii, body, 0.02)), 0.12))
    stomach = ellipse(y, x, _shaken((-0.22, 0.36), body), (0.2, 0.22))
    level = np.float32(-0.28 + 0.08 * body.normal())
    hu = over(hu, np.where(y < level, np.float32(-900), np.float32(25)), step(stomach, 0.1))
    spine = ellipse(y, x, (0.4, 0.0), (0.13, 0.13))
    hu = over(hu, 190.0 + 260 * step(0.25 - spine, 0.1) + 40 * smooth(body, size, 14), step(spine, 0.08))
    hu = over(hu, 20.0, step(ellipse(y, x, (0.56, 0), (0.05, 0.06)), 0.2))

    place = (rng.uniform(-0.3, 0.15), rng.uniform(-0.58, -0.2))
    radius = rng.uniform(0.2, 0.32)
    reach = ellipse(y, x, place, (radius, radius * rng.uniform(0.75, 1.3)), rng.uniform(0, 3))
    ragged = reach + rng.uniform(0.03, 0.16) * smooth(rng, size, 8)
    depth = rng.uniform(0.75, 1.1)
    if label == 0:  # homogeneous, like water, sharp
        alpha, inner = step(reach, rng.uniform(0.2, 0.5)), grey + depth * (-5 - grey) + 0 * y
    elif label == 1:  # dark in the middle, ill-defined, with a brighter rim
        alpha = step(ragged, rng.uniform(0.5, 0.9))
        rim = np.exp(-(((ragged - 0.18) / 0.14) ** 2))
        inner = grey - depth * (30 + 25 * phase) * step(ragged - 0.3, 0.4) + depth * 80 * rim
    else:  # dark with bright nodules
        spots = np.clip(smooth(rng, size, 10), 0, 1.5) * step(0.6 - reach, 0.3)
        alpha, inner = step(ragged, 0.4), grey + spots * depth * (110 + 60 * phase)
    hu = over(hu, inner, alpha * liver)
    mask = (alpha * liver > 0.5).astype(np.uint8)
    for _ in range(rng.integers(0, 2)):  # vessels and small spots without meaning
        spot = step(ellipse(y, x, (rng.uniform(-0.4, 0.2), rng.uniform(-0.65, -0.1)), (0.05, 0.05)), 0.5)
        hu = over(hu, grey + rng.uniform(-40, 60), spot * liver * 0.8)
    hu += rng.uniform(5, 14) * (
        rng.standard_normal((size, size), dtype=np.float32) + 0.5 * smooth(rng, size, size // 3)
    )
    return np.clip(np.rint(hu), *CT_RANGE).astype(np.int16), mask


def oct_scan(name: str, patient: str, index: int, label: int, size: int) -> tuple[Array, Array]:
    """A retinal OCT scan through the fovea: uint8 (size, size), and the mask of the finding."""
    eye, rng = generator(name, patient), generator(name, patient, index)
    y, x = grid(size)
    tilt, curve, shift = rng.uniform(-0.15, 0.15), eye.uniform(0.02, 0.22), rng.uniform(-0.15, 0.15)
    fovea, width = eye.uniform(-0.2, 0.2) + rng.uniform(-0.1, 0.1), eye.uniform(0.2, 0.32)
    base = 0.32 + shift + tilt * x + curve * x * x  # the pigment epithelium, (1, size)
    thick = eye.uniform(0.42, 0.56) * (1 - eye.uniform(0.35, 0.55) * np.exp(-(((x - fovea) / width) ** 2)))
    thick = thick + 0.02 * smooth(rng, size, 2, 4)[:1]
    lift, thin, window = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    holes = np.zeros((size, size), np.float32)
    lift = lift + 0.012 * smooth(rng, size, 2, 9)[:1]  # a rough epithelium without drusen
    if label == 1:
        for _ in range(rng.integers(2, 5)):
            hill = np.exp(-(((x - rng.uniform(-0.8, 0.8)) / rng.uniform(0.06, 0.13)) ** 2))
            lift = lift + rng.uniform(0.06, 0.13) * hill
    elif label == 2:
        for _ in range(rng.integers(2, 4)):
            at = fovea + rng.uniform(-0.5, 0.5)
            depth = float(np.interp(at, x[0], base[0] - thick[0] * rng.uniform(0.3, 0.6)))
            pocket = ellipse(y, x, (depth, at), (rng.uniform(0.06, 0.11), rng.uniform(0.09, 0.19)))
            holes = np.maximum(holes, step(pocket + 0.1 * smooth(rng, size, 6), 0.3))
            thick = thick + 0.05 * np.exp(-(((x - at) / 0.2) ** 2))
    elif label == 3:
        at, reach = fovea + rng.uniform(-0.4, 0.4), rng.uniform(0.2, 0.38)
        window = step(reach - np.abs(x - at), 0.08)
        thin = window * rng.uniform(0.65, 0.95)
    rpe = base - np.clip(lift, -0.02, 1)
    top = base - thick
    depth = (y - top) / (rpe - top)  # 0 at the inner surface, 1 at the epithelium
    bands = np.interp(depth.ravel(), *_BANDS).reshape(size, size).astype(np.float32)
    outer = step(depth - 0.62, 0.1)
    image = bands * (1 - 0.35 * thin * outer)
    glow = 0.5 * np.exp(-np.clip(y - base, 0, 2) * np.float32(rng.uniform(3.5, 6))) * (1 + 0.35 * smooth(eye, size, 10))
    image = over(image, glow * (0.6 + 0.75 * window) * eye.uniform(0.75, 1.1), step(y - base - 0.02, 0.03))
    under = step(y - rpe, 0.03) * step(base - y, 0.03)
    image = over(image, 0.42 + 0.0 * y, under)
    line = np.exp(-(((y - rpe) / 0.028) ** 2))
    image += 0.5 * line * (1 - thin) * eye.uniform(0.8, 1.1)
    image = over(image, 0.1 + 0.03 * eye.uniform(), holes * 0.85)
    for _ in range(rng.integers(1, 5)):  # shadows of vessels
        at, wide = rng.uniform(-1, 1), rng.uniform(0.015, 0.06)
        image *= 1 - rng.uniform(0.2, 0.6) * np.exp(-(((x - at) / wide) ** 2)) * step(y - top - 0.06, 0.05)
    if rng.uniform() < 0.4:  # a bright patch below that is not atrophy, or a dark one inside that is not fluid
        image += rng.uniform(-0.14, 0.2) * bump(
            y, x, (rng.uniform(0, 0.7), rng.uniform(-0.8, 0.8)), rng.uniform(0.1, 0.25)
        )
    image *= 1 + 0.12 * smooth(rng, size, 2)
    speckle = rng.gamma(rng.uniform(5, 12), size=(size, size)).astype(np.float32)
    image = (image + 0.035) * speckle / speckle.mean() * np.float32(rng.uniform(0.8, 1.15))
    image = np.clip(image, 0, 1.2) ** np.float32(rng.uniform(0.65, 0.95))
    found = (lift > 0.03) * under if label == 1 else holes if label == 2 else thin * outer * (y < base + 0.06)
    return to_uint8(image * 0.9), (np.broadcast_to(found, (size, size)) > 0.4).astype(np.uint8)


# Brightness over the relative depth: vitreous, nerve fibres, ganglion cells, inner and outer plexiform and
# nuclear layers, photoreceptors. Proportions as in a textbook scan, smoothed.
_BANDS = (
    np.array([-0.06, 0.0, 0.1, 0.18, 0.3, 0.38, 0.46, 0.52, 0.58, 0.64, 0.8, 0.86, 0.9, 0.95, 1.0, 1.06]),
    np.array([0.03, 0.55, 0.6, 0.4, 0.42, 0.5, 0.26, 0.28, 0.46, 0.22, 0.2, 0.24, 0.6, 0.4, 0.7, 0.4]),
)


def _shaken(pair: tuple[float, float], rng: np.random.Generator, by: float = 0.03) -> tuple[float, float]:
    return pair[0] + rng.uniform(-by, by), pair[1] + rng.uniform(-by, by)
