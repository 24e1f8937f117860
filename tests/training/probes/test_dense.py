"""Dense probes on patch tokens: the draw of pixels, tokens at pixels, and enlarged scores."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from medzoo.training.probes.dense import drawn_pixels, fit_dense_knn, fit_dense_logistic, pixel_shares, tokens_at


def test_pixels_are_drawn_by_seed_evenly_and_once():
    masks = np.zeros((3, 8, 10), np.uint8)
    masks[1, :4] = 255
    masks[2] = 255
    shares = pixel_shares(3, 100, seed=0)
    assert shares.sum() == 100 and set(shares.tolist()) == {33, 34}

    def draw(seed, ask=shares):
        return list(drawn_pixels(masks, 0, ask, seed=seed, ignored=255))

    first, second, third = draw(0)
    assert len(set(first.tolist())) == len(first) in (33, 34) and (np.diff(first) > 0).all() and first.max() < 80
    assert len(second) in (33, 34) and second.min() >= 40 and len(third) == 0  # never where nothing is annotated
    assert np.bincount(first // 20, minlength=4).min() >= 7  # spread over the image
    assert all(np.array_equal(one, other) for one, other in zip(draw(0), draw(0), strict=True))
    assert not np.array_equal(first, draw(1)[0])
    alone = next(drawn_pixels(masks[1:2], 1, shares, seed=0, ignored=255))
    assert np.array_equal(alone, second)  # the images that are read together do not matter
    assert [len(part) for part in draw(0, np.array([99, 99, 99]))] == [80, 40, 0]


def test_tokens_at_pixels_are_those_of_the_enlarged_map():
    tokens = torch.randn(2, 12, 5)
    whole = functional.interpolate(
        tokens.transpose(1, 2).unflatten(2, (3, 4)), (16, 10), mode="bilinear", align_corners=False
    )
    images, pixels = np.repeat([0, 1], 160), np.tile(np.arange(160), 2)
    found = tokens_at(tokens, images, pixels, (16, 10), (3, 4))
    assert torch.allclose(found, whole.flatten(2).transpose(1, 2).flatten(0, 1), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_enlarged_logits_are_the_logits_of_enlarged_tokens(classes):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 5)).astype(np.float32)
    probe = fit_dense_logistic(rows, rng.integers(0, classes, 200), classes, [1.0])[0]
    tokens = torch.from_numpy(rng.normal(size=(1, 9, 5)).astype(np.float32))
    maps = probe.maps(tokens, (3, 3), (12, 12))
    at = tokens_at(tokens, np.zeros(144, int), np.arange(144), (12, 12), (3, 3))
    logits = probe.predict(at).float()
    expected = logits if classes == 3 else logits[:, 1:] - logits[:, :1]
    assert torch.allclose(maps[0].flatten(1).T, expected, atol=1e-4)
    assert torch.allclose(probe.chances(maps).sum(1), torch.ones(1, 12, 12))


def test_a_class_without_pixels_never_wins():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(90, 5)).astype(np.float32)
    probe = fit_dense_logistic(rows, rng.integers(0, 2, 90), 3, [1.0])[0]
    maps = probe.maps(rows[None, :81], (9, 9), (18, 18))
    assert maps.isfinite().all() and set(maps.argmax(1).unique().tolist()) == {0, 1}
    only = fit_dense_logistic(rows, np.zeros(90, int), 2, [1.0])[0]
    assert (only.maps(rows[None, :81], (9, 9), (18, 18)) < 0).all()


@pytest.mark.parametrize("head", ["knn", "logistic"])
def test_tokens_get_the_class_that_they_show(head):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (20, 16))
    tokens = (rng.normal(size=(20, 16, 8)) + 4 * np.eye(3, 8)[labels]).astype(np.float32)
    rows, numbers = tokens[:15].reshape(-1, 8), labels[:15].ravel()
    if head == "knn":
        probes = fit_dense_knn(rows, np.eye(3)[numbers], [1, 10])
    else:
        probes = fit_dense_logistic(rows, numbers, 3, [0.01, 1.0])
    assert [probe.name for probe in probes] == (["k=1", "k=10"] if head == "knn" else ["C=0.01", "C=1"])
    for probe in probes:
        maps = probe.maps(tokens[15:], (4, 4), (4, 4))
        assert maps.shape == (5, 3, 4, 4) and torch.allclose(probe.chances(maps).sum(1), torch.ones(5, 4, 4))
        assert (maps.argmax(1).flatten(1).numpy() == labels[15:]).mean() > 0.95 and probe.converged
