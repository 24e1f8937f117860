"""The H-score against its definition."""

import numpy as np
import pytest

from medzoo.analysis.transfer_scores.h_score import h_scores

sklearn = pytest.importorskip("sklearn.covariance")


def sample(count=60, width=7, classes=3):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, count)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + labels[:, None] % 2, labels


def means_of(features, labels):
    return np.stack([features[labels == label].mean(0) for label in labels])


def test_the_definition():
    features, labels = sample()
    expected = np.trace(np.linalg.inv(np.cov(features.T)) @ np.cov(means_of(features, labels).T))
    assert h_scores(features, labels[:, None]).plain[0] == pytest.approx(expected)


def test_the_regularised_definition():
    features, labels = sample(20, 30)
    centred = features - features.mean(0)
    shrunk = sklearn.LedoitWolf(assume_centered=True).fit(centred)
    between = np.cov(means_of(centred, labels).T, ddof=0)
    expected = np.trace(np.linalg.inv(shrunk.covariance_) @ ((1 - shrunk.shrinkage_) * between))
    found = h_scores(features, labels[:, None])
    assert found.regularised[0] == pytest.approx(expected) and found.shrinkage == pytest.approx(shrunk.shrinkage_)
    assert np.isnan(found.plain[0])


def test_limits():
    """Between 0 and the number of classes minus 1; equal means give 0, and a linear map of the features changes nothing."""
    features, labels = sample(500)
    value = h_scores(features, labels[:, None]).plain[0]
    assert 0 < value < 2
    turned = features @ np.random.default_rng(1).normal(size=(7, 7)) + 3
    assert h_scores(turned, labels[:, None]).plain[0] == pytest.approx(value)
    same = np.concatenate([features, features])
    assert h_scores(same, np.repeat([[0], [1]], 500, axis=0)).plain[0] == pytest.approx(0, abs=1e-12)


def test_several_labels_and_constant_features():
    features, labels = sample()
    several = np.stack([labels == 0, labels == 1], axis=1).astype(int)
    wide = np.concatenate([features, np.ones((60, 2))], axis=1)
    each = [h_scores(features, several[:, place : place + 1]).plain[0] for place in range(2)]
    np.testing.assert_allclose(h_scores(wide, several).plain, each)
