"""Maps with two axes."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from expect import raises

from medzoo.analysis.feature_map.plane import as_text, from_text, principal_plane, umap_plane
from medzoo.errors import UsageError


def test_components_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.decomposition")
    features = np.random.default_rng(0).normal(size=(30, 6)) * np.arange(1, 7)
    points, share = principal_plane(features)
    fitted = sklearn.PCA(2).fit(features)
    expected = fitted.transform(features)
    expected /= abs(expected).max()
    for axis in range(2):
        sign = np.sign(points[0, axis] * expected[0, axis])
        np.testing.assert_allclose(points[:, axis], sign * expected[:, axis], atol=1e-9)
    assert share == pytest.approx(fitted.explained_variance_ratio_.sum())


def test_the_map_does_not_depend_on_the_sign_of_the_svd(monkeypatch):
    features = np.random.default_rng(0).normal(size=(9, 4))
    expected, plain = principal_plane(features)[0], np.linalg.svd

    def turned(values, **options):
        left, sizes, axes = plain(values, **options)
        return -left, sizes, -axes

    monkeypatch.setattr(np.linalg, "svd", turned)
    np.testing.assert_allclose(principal_plane(features)[0], expected, atol=1e-12)


@pytest.mark.parametrize("features", [np.ones((4, 3)), np.zeros((1, 5)), np.arange(5.0)[:, None]])
def test_features_with_fewer_than_two_axes(features):
    points, _ = principal_plane(features)
    assert points.shape == (len(features), 2) and not points[:, 1].any()


def test_text_keeps_three_digits():
    values = np.random.default_rng(0).uniform(-1, 1, 50)
    np.testing.assert_allclose(from_text(as_text(values)), values, atol=5.1e-4)


def test_umap(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with raises(UsageError, "umap-missing"):
        umap_plane(np.ones((4, 3)), 0)
    seen = {}

    class Umap:
        def __init__(self, **options):
            seen.update(options)

        def fit_transform(self, features):
            return features[:, :2] + 5

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    points = umap_plane(np.arange(12.0).reshape(4, 3), 7)
    assert seen["random_state"] == 7 and abs(points).max() == 1 and abs(points.mean(0)).max() < 1e-6
