"""Drawn pictures that have structure on every scale."""

import numpy as np


def picture(side=96, seed=0):
    """Smooth, with structure on every scale."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side))
    for size in (4, 8, 16, 32):
        coarse = rng.normal(size=(size, size)) * 30 / np.sqrt(size / 4)
        image += np.kron(coarse, np.ones((side // size, side // size)))
    return np.clip(image + 128, 0, 255).astype(np.uint8)
