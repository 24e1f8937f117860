"""Small activations for tests of similarity, and CCA written in another way."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "cca"


def qr_cca(x, y):
    """Canonical correlations from orthonormal bases of the centred activations, without any covariance."""
    bases = []
    for side in (x, y):
        left, values, _ = np.linalg.svd(side - side.mean(0), full_matrices=False)
        bases.append(left[:, values > 1e-10 * values[0]])
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)


def related(seed, n=60, d1=4, d2=6, shared=3):
    """Two layers with shared variance, of scales and means that differ from unit to unit."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, shared))
    sides = []
    for units in (d1, d2):
        side = latent @ rng.normal(size=(shared, units)) + rng.normal(size=(n, units))
        sides.append(side * 10 ** rng.uniform(-1, 1, units) + rng.normal(size=units))
    return sides


def orthogonal(seed, units):
    """A random rotation or reflection."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(units, units)))[0]


def invertible(seed, units):
    """A random linear map with condition number 10."""
    return orthogonal(seed, units) * np.geomspace(1, 10, units) @ orthogonal(seed + 1, units)


seeds = st.integers(0, 2**31)
pairs = st.builds(related, seeds, n=st.integers(30, 70), d1=st.integers(1, 6), d2=st.integers(1, 6))
