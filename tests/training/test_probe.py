"""The linear probe: right on separable data, honest with missing labels and missing classes."""

import numpy as np
import pytest
from expect import raises
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medzoo.errors import UsageError
from medzoo.training.probe import fit_neighbours, fit_probe, fit_ridge_probe


def exact(strength):
    """scikit-learn's regression, solved to the end."""
    return LogisticRegression(C=strength, max_iter=20_000, tol=1e-10)


def accuracy(labels, probabilities):
    return float((probabilities.argmax(1) == labels).mean())


def data(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    features = rng.normal(size=(count, 6)).astype(np.float32)
    features[:, 0] += 3 * labels
    return features, labels


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_it_learns_and_chooses_on_validation(kind):
    train, validation = data(300, 0), data(200, 1)
    if kind == "multilabel":
        one_hot = [np.eye(3, dtype=np.float32)[labels] for _, labels in (train, validation)]
        one_hot[0][::7, 1] = np.nan
        train, validation = (train[0], one_hot[0]), (validation[0], one_hot[1])

    def score(labels, probabilities):
        assert probabilities.shape == (200, 3)
        return accuracy(labels if labels.ndim == 1 else labels.argmax(1), probabilities)

    probe = fit_probe(train, validation, kind=kind, classes=3, regularisation=[1e-6, 1.0], score=score)
    assert probe.setting == {"regularisation": 1.0} and probe.chosen == "C = 1"
    assert probe.score > 0.75 and probe.candidates == 2 and probe.converged


def test_a_class_absent_from_train_gets_no_probability():
    features, labels = data(100, 0)
    labels = np.where(labels == 1, 0, labels)
    probe = fit_probe(
        (features, labels), (features, labels), kind="multiclass", classes=3, regularisation=[1.0], score=accuracy
    )
    assert (probe.predict(features)[:, 1] == 0).all() and np.allclose(probe.predict(features).sum(1), 1)


def test_a_label_that_never_varies_is_a_constant():
    features, labels = data(60, 0)
    targets = np.stack([labels > 0, np.zeros(60)], 1).astype(float)
    probe = fit_probe(
        (features, targets),
        (features, targets),
        kind="multilabel",
        classes=2,
        regularisation=[1.0],
        score=lambda *_: 0.0,
    )
    assert (probe.predict(features)[:, 1] == 0).all()


def scaled(features):
    """Features of very different sizes, as networks have them."""
    return features * np.array([1e-3, 50, 1, 10, 0.1, 200], np.float32) + np.arange(6, dtype=np.float32)


@pytest.mark.parametrize("strength", [1e-3, 1.0, 30.0])
def test_it_is_scikit_learns_regression_on_features_standardised_by_train(strength):
    """Whatever validation looks like: its features go into no mean and no deviation."""
    train, test = data(120, 0), scaled(data(40, 2)[0])
    train = scaled(train[0]), train[1]
    oracle = make_pipeline(StandardScaler(), exact(strength)).fit(train[0].astype(float), train[1])
    for shift in (0.0, 1e4):
        validation = (scaled(data(30, 1)[0]) + np.float32(shift), data(30, 1)[1])
        probe = fit_probe(
            train, validation, kind="multiclass", classes=3, regularisation=[strength], score=lambda *_: 0.0
        )
        assert np.abs(probe.predict(test) - oracle.predict_proba(test)).max() < 1e-6


def test_the_penalty_is_chosen_on_validation_and_the_first_of_equals_is_kept():
    """Scores by hand; on train the order is another one. The score of the final, exact solution is reported."""
    train, validation = data(60, 0), data(25, 1)
    scores = {25: iter([0.1, 0.9, 0.9, 0.3, 0.8]), 60: iter([0.9, 0.1, 0.1, 0.1])}
    asked = []

    def score(labels, probabilities):
        asked.append(len(labels))
        assert labels is validation[1] and len(probabilities) == len(labels)
        return next(scores[len(labels)])

    strengths = [1e-4, 1e-2, 1.0, 100.0]
    probe = fit_probe(train, validation, kind="multiclass", classes=3, regularisation=strengths, score=score)
    assert asked == [25] * 5 and (probe.setting["regularisation"], probe.score, probe.candidates) == (1e-2, 0.8, 4)
    oracle = make_pipeline(StandardScaler(), exact(1e-2)).fit(train[0].astype(float), train[1])
    assert np.abs(probe.predict(validation[0]) - oracle.predict_proba(validation[0])).max() < 1e-6


def test_of_several_labels_each_is_a_regression_on_what_is_known():
    features, labels = data(150, 0)
    targets = np.eye(3, dtype=np.float32)[labels]
    targets[::4, 0], targets[1::3, 2] = np.nan, np.nan
    probe = fit_probe(
        (features, targets),
        (features, targets),
        kind="multilabel",
        classes=3,
        regularisation=[0.5],
        score=lambda *_: 0.0,
    )
    scaler, test = StandardScaler().fit(features.astype(float)), data(30, 5)[0]
    for label in range(3):
        known = ~np.isnan(targets[:, label])
        oracle = exact(0.5).fit(scaler.transform(features[known].astype(float)), targets[known, label])
        expected = oracle.predict_proba(scaler.transform(test.astype(float)))[:, 1]
        assert np.abs(probe.predict(test)[:, label] - expected).max() < 1e-6


def test_the_nearest_neighbours():
    rng = np.random.default_rng(3)
    centres = np.eye(3, 6) * 4
    labels = np.arange(60) % 3
    rows = centres[labels] + rng.normal(size=(60, 6))
    train, validation = (rows[:40], labels[:40]), (rows[40:], labels[40:])
    probe = fit_neighbours(
        train, validation, kind="multiclass", classes=3, counts=[1, 5, 500], temperature=0.07, score=accuracy
    )
    assert probe.candidates == 2 and probe.setting["neighbours"] in (1, 5)  # 500 neighbours do not exist
    assert accuracy(validation[1], probe.predict(validation[0])) == probe.score > 0.9
    with raises(UsageError, "neighbours-not-usable", match="40 training images"):
        fit_neighbours(train, validation, kind="multiclass", classes=3, counts=[500], temperature=1, score=accuracy)
    with raises(UsageError, "neighbours-not-usable"):
        fit_neighbours(train, validation, kind="regression", classes=0, counts=[5], temperature=1, score=accuracy)


def test_ridge_fits_numbers_and_classes():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(80, 5))
    numbers = rows @ np.arange(5.0) + 30
    halves = ((rows[:50], numbers[:50]), (rows[50:], numbers[50:]))
    probe = fit_ridge_probe(
        *halves, kind="regression", classes=0, regularisation=[1e-6, 1e3],
        score=lambda truth, predicted: -float(np.abs(truth - predicted[:, 0]).mean()),
    )  # fmt: skip
    assert probe.setting == {"regularisation": 1e-6} and probe.score > -1e-4 and probe.predict(rows).shape == (80, 1)
    labels = (numbers > 30).astype(int)
    halves = ((rows[:50], labels[:50]), (rows[50:], labels[50:]))
    probe = fit_ridge_probe(*halves, kind="binary", classes=2, regularisation=[1.0], score=accuracy)
    predicted = probe.predict(rows)
    assert predicted.sum(1) == pytest.approx(1) and (predicted >= 0).all() and probe.score > 0.9


def overlapping(count, seed, classes=5):
    """Classes whose features overlap, so that no estimate is near 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    return (np.eye(classes, 8)[labels] + rng.normal(size=(count, 8))).astype(np.float32), labels


def mean_auroc(labels, scores):
    return roc_auc_score(labels, scores, multi_class="ovr")


def test_ridge_keeps_the_order_of_classes_that_overlap():
    """Its estimates are means of 0 and 1, so that classes below one half are not all the same."""
    train, test = overlapping(1000, 0), overlapping(1000, 1)
    shared = {"kind": "multiclass", "classes": 5, "regularisation": [1.0], "score": lambda *_: 0.0}
    ridge, logistic = (fit(train, train, **shared).predict(test[0]) for fit in (fit_ridge_probe, fit_probe))
    features = StandardScaler().fit(train[0])
    oracle = Ridge(1.0).fit(features.transform(train[0]), np.eye(5)[train[1]]).predict(features.transform(test[0]))
    oracle = oracle.clip(0, 1) + 1e-9
    assert np.abs(ridge - oracle / oracle.sum(1, keepdims=True)).max() < 1e-5
    assert np.abs(ridge.mean(0) - np.bincount(test[1]) / 1000).max() < 0.05 and ridge.max(1).mean() < 0.6
    assert mean_auroc(test[1], ridge) > 0.7 and abs(mean_auroc(test[1], ridge) - mean_auroc(test[1], logistic)) < 0.02
    assert (ridge.argmax(1) == oracle.argmax(1)).all()


def test_ridge_probabilities_of_two_classes_are_not_all_or_nothing():
    train, test = overlapping(2000, 0, classes=2), overlapping(2000, 1, classes=2)
    probe = fit_ridge_probe(train, train, kind="binary", classes=2, regularisation=[1.0], score=accuracy)
    estimates = probe.predict(test[0])[:, 1]
    for low in (0.2, 0.4, 0.6):  # the share of the class is about the estimate
        near = (estimates >= low) & (estimates < low + 0.2)
        assert near.sum() > 100 and abs(test[1][near].mean() - estimates[near].mean()) < 0.1


def test_a_logistic_regression_needs_classes():
    rows = (np.zeros((4, 2)), np.arange(4.0))
    with raises(UsageError, "probe-needs-classes"):
        fit_probe(rows, rows, kind="regression", classes=1, regularisation=[1.0], score=accuracy)
