"""Ridge regression against scikit-learn, and leave-one-out predictions against refitting."""

import numpy as np
import pytest
import torch
from expect import raises
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes.ridge import fit_ridge, one_hot

PENALTIES = [1e-3, 1.0, 100.0]


def data(count, width, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width)) * 3 + 5
    features[:, -1] = 2.5  # constant
    return features, features[:, :2] @ [[1.0, 0.5], [-2.0, 0.0]] + rng.normal(size=(count, 2)) + 40


@pytest.mark.parametrize("count, width", [(60, 8), (15, 40)])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_scikit_learn(count, width, weighted):
    features, targets = data(count, width)
    weights = np.random.default_rng(1).integers(0, 3, count).astype(float) if weighted else np.ones(count)
    scaler = StandardScaler().fit(features, sample_weight=weights)
    for model in fit_ridge(features, targets, PENALTIES, rows=weights):
        expected = Ridge(model.penalty, solver="svd").fit(scaler.transform(features), targets, sample_weight=weights)
        new = data(20, width, 2)[0]
        assert np.abs(model.predict(new).numpy() - expected.predict(scaler.transform(new))).max() < 1e-8


@pytest.mark.parametrize("count, width", [(25, 6), (12, 30)])
def test_leave_one_out_equals_refitting(count, width):
    features, targets = data(count, width)
    rows = StandardScaler().fit_transform(features)
    for model in fit_ridge(features, targets, PENALTIES):
        for left in (0, 7):
            kept = np.arange(count) != left
            expected = Ridge(model.penalty, solver="svd").fit(rows[kept], targets[kept]).predict(rows[[left]])[0]
            assert np.abs(model.left_out[left].numpy() - expected).max() < 1e-6


def test_classification_equals_scikit_learn():
    features, _ = data(80, 6)
    labels = (features[:, 0] > 5).astype(int) + (features[:, 1] > 6)
    model = fit_ridge(features.astype(np.float32), one_hot(labels, 3), [2.0])[0]
    scaler = StandardScaler().fit(features)
    expected = RidgeClassifier(2.0).fit(scaler.transform(features), labels).predict(scaler.transform(features))
    assert (model.predict(features).argmax(1).numpy() == expected).all()


def test_real_targets_in_one_column_and_refusals():
    features, targets = data(30, 4)
    assert fit_ridge(features, targets[:, 0], [1.0])[0].predict(features).shape == (30, 1)
    with raises(DataContractError, "targets-not-finite"):
        fit_ridge(features, np.full(30, np.nan), [1.0])
    with raises(UsageError, "probe-labels-shape"):
        fit_ridge(features, targets[1:], [1.0])
    with raises(UsageError, "penalty-not-positive"):
        fit_ridge(features, targets, [0.0])
    one = fit_ridge(np.ones((3, 2)), np.arange(3.0), [1.0])[0]
    assert torch.allclose(one.predict(np.ones((1, 2))), torch.ones(1, 1).double())
