"""Stacked logistic regression: equal to scikit-learn, independent of the stack, and honest about odd inputs."""

import numpy as np
import pytest
import torch
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes.logistic import Problem, fit_logistic, polish


def data(count=120, width=10, classes=3, seed=0, decay=1.0):
    """Classes that overlap, features with unequal principal variances."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    features = rng.normal(size=(count, width)) * np.arange(1, width + 1) ** -decay
    features[:, : min(classes, width)] += 0.5 * np.eye(classes)[labels][:, :width]
    mixed = features @ np.linalg.qr(rng.normal(size=(width, width)))[0]
    return mixed.astype(np.float32), labels


def solved(features, labels, problems, kind="multiclass", classes=3):
    rough = fit_logistic(features, labels, problems, kind=kind, classes=classes)
    return rough, polish(rough, features, labels, problems, kind=kind, classes=classes)


def oracle(features, labels, strength, weights=None):
    weights = np.ones(len(features)) if weights is None else weights
    scaler = StandardScaler().fit(features.astype(float), sample_weight=weights)
    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    model.fit(scaler.transform(features.astype(float)), labels, sample_weight=weights)
    return lambda rows: model.predict_proba(scaler.transform(rows.astype(float)))


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("count, width, classes", [(150, 10, 3), (40, 70, 4), (80, 20, 2)])
def test_it_equals_scikit_learn(strength, count, width, classes):
    features, labels = data(count, width, classes)
    kind = "binary" if classes == 2 else "multiclass"
    rough, exact = solved(features, labels, [Problem(strength)], kind, classes)
    test = data(50, width, classes, seed=1)[0]
    expected = oracle(features, labels, strength)(test)
    assert np.abs(exact[0].probabilities(test).numpy() - expected).max() < 1e-6
    assert np.abs(rough[0].probabilities(test).numpy() - expected).max() < 1e-2
    assert rough[0].converged and exact[0].converged and rough[0].gradient <= 1e-6 and exact[0].gradient <= 1e-9


def test_row_weights_equal_repeated_rows_and_masks_equal_missing_rows():
    features, labels = data()
    weights = np.arange(len(features)) % 3
    repeated = np.repeat(np.arange(len(features)), weights)
    kept = weights > 0
    problems = [Problem(0.3, weights), Problem(0.3, kept), Problem(0.3)]
    first, second, _ = solved(features, labels, problems)[1]
    assert np.abs(first.probabilities(features).numpy() - oracle(features, labels, 0.3, weights)(features)).max() < 1e-6
    for model, rows in ((first, repeated), (second, kept)):
        other = solved(features[rows], labels[rows], [Problem(0.3)])[1][0]
        assert torch.allclose(model.probabilities(features), other.probabilities(features), atol=1e-7)


def test_of_several_labels_each_is_solved_on_what_is_known():
    features, labels = data(160)
    targets = np.eye(3)[labels]
    targets[::4, 0], targets[1::3, 2] = np.nan, np.nan
    exact = solved(features, targets, [Problem(0.5), Problem(5.0)], "multilabel")[1]
    scaler = StandardScaler().fit(features.astype(float))
    for model in exact:
        for label in range(3):
            known = ~np.isnan(targets[:, label])
            expected = LogisticRegression(C=model.strength, solver="newton-cholesky", tol=1e-12).fit(
                scaler.transform(features[known].astype(float)), targets[known, label]
            )
            given_ = model.probabilities(features)[:, label].numpy()
            assert np.abs(given_ - expected.predict_proba(scaler.transform(features.astype(float)))[:, 1]).max() < 1e-6


def test_constants_and_absent_classes():
    features, labels = data(60)
    model = fit_logistic(features, np.zeros(60), [Problem(1.0)], kind="multiclass", classes=3)[0]
    assert model.converged and (model.probabilities(features) == torch.tensor([1.0, 0.0, 0.0])).all()
    two = np.where(labels == 1, 0, labels)
    chances = fit_logistic(features, two, [Problem(1.0)], kind="multiclass", classes=3)[0].probabilities(features)
    assert (chances[:, 1] == 0).all() and torch.allclose(chances.sum(1), torch.ones(60).double())
    assert np.abs(chances[:, [0, 2]].numpy() - oracle(features, two, 1.0)(features)).max() < 1e-2
    targets = np.stack([labels > 0, np.ones(60), np.full(60, np.nan)], 1).astype(float)
    chances = fit_logistic(features, targets, [Problem(1.0)], kind="multilabel", classes=3)[0].probabilities(features)
    assert (chances[:, 1] == 1).all() and (chances[:, 2] == 0.5).all() and chances[:, 0].std() > 0


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_a_problem_does_not_depend_on_the_others(kind):
    features, labels = data(150, 30)
    if kind == "multilabel":
        labels = np.eye(3)[labels]
    masks = [np.random.default_rng(seed).random(150) < 0.7 for seed in range(3)]
    problems = [Problem(strength, mask) for mask in masks for strength in (1e-3, 0.1, 10.0, 1e3)]
    ask = {"kind": kind, "classes": 3}
    together = fit_logistic(features, labels, problems, **ask)
    exact = polish(together, features, labels, problems, **ask)
    for problem, rough, best in zip(problems, together, exact, strict=True):
        alone = fit_logistic(features, labels, [problem], **ask)
        # A product of another size rounds differently. For a large C, conjugate gradients amplify that up to the accuracy.
        difference = (alone[0].probabilities(features) - rough.probabilities(features)).abs().max()
        assert difference < (1e-4 if problem.strength <= 10 else 1e-2) and alone[0].converged and rough.converged
        final = polish(alone, features, labels, [problem], **ask)[0]
        assert (final.probabilities(features) - best.probabilities(features)).abs().max() < 1e-6
    again = fit_logistic(features, labels, problems, kind=kind, classes=3)
    assert all(torch.equal(one.weights, other.weights) for one, other in zip(together, again, strict=True))


def test_the_gradient_that_is_reported_is_that_of_the_objective():
    features, labels = data(90)
    model = fit_logistic(features, labels, [Problem(0.2)], kind="multiclass", classes=3)[0]
    rows, targets = model.standardise(torch.from_numpy(features)), torch.from_numpy(labels)
    weights, intercepts = model.weights.clone().requires_grad_(), model.intercepts.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(rows @ weights.T + intercepts, targets)
    (loss + weights.square().sum() / (2 * 0.2 * 90)).backward()
    norm = (weights.grad.square().sum() + intercepts.grad.square().sum()).sqrt()
    assert norm <= 1e-5 and norm <= 1.1 * model.bound * (model.weights / (0.2 * 90)).norm() + 1e-6
    exact = polish([model], features, labels, [Problem(0.2)], kind="multiclass", classes=3)[0]
    assert (model.weights - exact.weights).norm() <= 0.05 * exact.weights.norm()


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 30), width=st.integers(1, 40), classes=st.integers(1, 4), seed=st.integers(0, 5),
    scale=st.sampled_from([1e-6, 1.0, 1e6]), shift=st.sampled_from([0.0, 1e4]),
    odd=st.sampled_from(["", "constant", "duplicates", "zero"]), strength=st.sampled_from([1e-4, 1.0, 1e4]),
)  # fmt: skip
def test_odd_features(count, width, classes, seed, scale, shift, odd, strength):
    rng = np.random.default_rng(seed)
    features, labels = rng.normal(size=(count, width)) * scale + shift * scale, rng.integers(0, classes, count)
    if odd == "constant":
        features[:, 0] = 7.7 * scale
    elif odd == "duplicates":
        features[:] = features[0]
    elif odd == "zero":
        features[:] = 0
    model = fit_logistic(features, labels, [Problem(strength)], kind="multiclass", classes=classes)[0]
    chances = model.probabilities(features)
    assert model.converged and bool(torch.isfinite(chances).all())
    assert torch.allclose(chances.sum(1), torch.ones(count).double())


def test_what_is_refused():
    features, labels = data(20)
    ask = {"kind": "multiclass", "classes": 3}
    broken = features.copy()
    broken[3, 1] = np.nan
    with raises(DataContractError, "features-not-finite", match="1 of 20"):
        fit_logistic(broken, labels, [Problem(1.0)], **ask)
    with raises(UsageError, "probe-features-shape"):
        fit_logistic(features[0], labels, [Problem(1.0)], **ask)
    with raises(UsageError, "probe-labels-shape"):
        fit_logistic(features, labels[1:], [Problem(1.0)], **ask)
    with raises(DataContractError, "probe-labels-outside"):
        fit_logistic(features, labels + 1, [Problem(1.0)], **ask)
    with raises(DataContractError, "probe-labels-outside"):
        fit_logistic(features, np.full((20, 3), 0.5), [Problem(1.0)], kind="multilabel", classes=3)
    with raises(UsageError, "probe-kind-unknown"):
        fit_logistic(features, labels, [Problem(1.0)], kind="regression", classes=3)
    for strength in (0.0, -1.0, float("nan"), float("inf")):
        with raises(UsageError, "regularisation-not-positive"):
            fit_logistic(features, labels, [Problem(strength)], **ask)
    with raises(UsageError, "probe-rows-shape"):
        fit_logistic(features, labels, [Problem(1.0, np.ones(3))], **ask)
    for rows in (np.zeros(20), -np.ones(20), np.full(20, np.nan)):
        with raises(UsageError, "probe-rows-outside"):
            fit_logistic(features, labels, [Problem(1.0, rows)], **ask)
    model = fit_logistic(features, labels, [Problem(1.0)], **ask)[0]
    with raises(UsageError, "probe-features-shape"):
        model.probabilities(features[:, 1:])
