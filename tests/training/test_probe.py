"""The linear probe: right on separable data, honest with missing labels and missing classes."""

import numpy as np
import pytest

from medzoo.training.probe import fit_probe


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
    assert probe.regularisation == 1.0 and probe.score > 0.75 and probe.candidates == 2 and probe.converged


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
