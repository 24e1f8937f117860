"""Drift by hand, and what it does not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.invariance.drift import drift, spread

PATIENTS = np.array(["a", "a", "b", "c"])
FEATURES = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])


def test_spread_is_the_mean_distance_between_patients():
    pairs = [3.0, 4.0, 10**0.5, 3.0, 5.0]
    assert spread(FEATURES, PATIENTS) == pytest.approx(np.mean(pairs))
    assert spread(FEATURES, np.array(["a"] * 4)) == pytest.approx(np.mean([1.0, *pairs]))


def test_drift_by_hand():
    moved = FEATURES + np.array([[0.0, 0.9], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    found = drift(FEATURES, moved, PATIENTS)
    np.testing.assert_allclose(found.relative, np.array([0.9, 0, 1, 0]) / spread(FEATURES, PATIENTS))
    assert found.own.tolist() == [False, True, True, True]
    np.testing.assert_allclose(found.cosine[1:], 0, atol=1e-12)


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_scale_and_shift_of_features_do_not_matter(scale, shift):
    rng = np.random.default_rng(0)
    features, moved = rng.normal(size=(8, 5)), rng.normal(size=(8, 5))
    who = np.arange(8)
    one, other = drift(features, moved, who), drift(scale * features + shift, scale * moved + shift, who)
    np.testing.assert_allclose(one.relative, other.relative, rtol=1e-6)
    assert (one.own == other.own).all()


def test_a_network_without_spread():
    assert drift(np.ones((4, 3)), np.ones((4, 3)), PATIENTS) is None
    assert drift(np.zeros((4, 3)), np.ones((4, 3)), PATIENTS) is None


def test_equal_images_find_each_other():
    features = np.array([[1.0, 2.0], [1.0, 2.0], [5.0, 5.0]])
    assert drift(features, features, np.arange(3)).own.all()
