"""Changes of images."""

import numpy as np
import pytest

from medzoo.analysis.invariance.changes import CHANGES, changed
from medzoo.data.decode_cache.decoded import Decoded


def images(kind=np.uint8, channels=1, side=24, count=3):
    rng = np.random.default_rng(0)
    shape = (count, side, side) if channels == 1 else (count, side, side, channels)
    scale = np.iinfo(kind).max
    names = [f"i{k}" for k in range(count)]
    smooth = np.cumsum(rng.random(shape), axis=1) / side
    return Decoded((smooth / smooth.max() * scale).astype(kind), np.zeros(count), names, names, float(scale), "0" * 64)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_every_change_keeps_form_and_grows_with_its_strength(change, channels, kind):
    data = images(kind, channels)
    before = np.asarray(data.images, dtype=float)
    sizes = []
    for strength in change.strengths:
        result = changed(data, change, strength, seed=0)
        assert result.images.dtype == kind and result.images.shape == data.images.shape and result.ids == data.ids
        assert result.sha256 != data.sha256
        sizes.append(abs(np.asarray(result.images, dtype=float) - before).mean() / data.scale)
    assert 0.001 < sizes[0] < sizes[1] < sizes[2] < 0.5
    assert np.array_equal(
        changed(data, change, change.strengths[0], 0).images, changed(data, change, change.strengths[0], 0).images
    )


def test_noise_depends_on_seed_and_id_and_not_on_the_batch():
    data, noise = images(count=3), CHANGES[3]
    whole = changed(data, noise, 0.1, seed=0).images
    one = Decoded(data.images[1:2], data.labels[1:2], ["i1"], ["i1"], data.scale, "0" * 64)
    assert np.array_equal(changed(one, noise, 0.1, seed=0).images[0], whole[1])
    assert not np.array_equal(changed(data, noise, 0.1, seed=1).images, whole)


def test_equal_images_get_different_noise():
    data = Decoded(np.full((2, 8, 8), 100, np.uint8), np.zeros(2), ["a", "b"], ["a", "b"], 255.0, "0" * 64)
    first, second = changed(data, CHANGES[3], 0.1, seed=0).images
    assert not np.array_equal(first, second)


def test_window_and_rotation_by_hand():
    rows = np.array([[[0, 51, 102], [127, 153, 204], [255, 255, 0]]], np.uint8)
    data = Decoded(rows, np.zeros(1), ["a"], ["a"], 255.0, "0" * 64)
    width = changed(data, CHANGES[0], 0.6, seed=0).images[0]
    expected = np.clip((rows[0] / 255 - 0.2) / 0.6, 0, 1) * 255
    assert abs(width - expected).max() <= 0.51
    turned = CHANGES[4].apply(np_batch(rows), 90.0, 0, ["a"])
    np.testing.assert_allclose(turned[0, 0].numpy() * 255, np.rot90(rows[0]), atol=1e-3)


def np_batch(rows):
    import torch

    return torch.from_numpy(rows.astype(np.float32) / 255)[:, None]
