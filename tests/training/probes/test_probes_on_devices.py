"""Probes that are fitted on a device agree with those of the host.

Solvers that reach an optimum have float64 sums and a bound on the gradient: their probabilities agree to 1e-3 or better, whatever
the order of the sums. Heads that are trained by steps in float32 agree to about the rounding of their steps, 1e-4 of a probability
of 1; neighbours are the same unless two similarities are equal up to rounding.
"""

import numpy as np
import pytest
import torch
from devices import DEVICES
from sklearn.linear_model import LogisticRegression, Ridge

from medzoo.training.probes.attentive import fit_attentive
from medzoo.training.probes.head_grid import batch_rows, fit_head_grid
from medzoo.training.probes.knn import vote
from medzoo.training.probes.logistic import Problem, fit_logistic
from medzoo.training.probes.ridge import fit_ridge, one_hot

CLASSES = 3


@pytest.fixture
def features():
    """Training rows, their labels, and other rows: three classes that overlap."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 120)
    middles = 1.2 * np.eye(CLASSES, 8)
    rows = (rng.normal(size=(160, 8)) + middles[np.r_[labels, rng.integers(0, CLASSES, 40)]]).astype(np.float32)
    return rows[:120], labels, rows[120:]


def there(values, device):
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def parted(found, expected, device):
    assert found.device.type == device
    return float(np.abs(found.cpu().double().numpy() - np.asarray(expected, np.float64)).max())


@pytest.mark.parametrize("device", DEVICES)
def test_neighbours(device, features):
    train, labels, others = features
    shared = {"kind": "multiclass", "classes": CLASSES, "counts": [1, 5, 20]}
    here = vote(train, labels, others, **shared)
    found = vote(there(train, device), labels, there(others, device), **shared)
    for count, chances in found.items():
        assert parted(chances, here[count].numpy(), device) < 1e-4
        assert (chances.argmax(1).cpu() == here[count].argmax(1)).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_logistic_regression(device, kind, features):
    train, labels, others = features
    targets = labels if kind == "multiclass" else np.eye(CLASSES)[labels]
    problems = [Problem(0.1), Problem(10.0)]
    models = fit_logistic(there(train, device), targets, problems, kind=kind, classes=CLASSES, accuracy=1e-3)
    scaled = (train - train.mean(0, dtype=np.float64)) / train.std(0, dtype=np.float64)
    outside = (others - train.mean(0, dtype=np.float64)) / train.std(0, dtype=np.float64)
    for model, problem in zip(models, problems, strict=True):
        found = model.probabilities(there(others, device))
        if kind == "multiclass":
            oracle = LogisticRegression(C=problem.strength, tol=1e-10, max_iter=10_000).fit(scaled, labels)
            expected = oracle.predict_proba(outside)
        else:
            each = [
                LogisticRegression(C=problem.strength, tol=1e-10, max_iter=10_000).fit(scaled, column)
                for column in targets.T
            ]
            expected = np.stack([one.predict_proba(outside)[:, 1] for one in each], axis=1)
        assert model.converged and parted(found, expected, device) < 1e-3


@pytest.mark.parametrize("device", DEVICES)
def test_ridge_regression(device, features):
    train, labels, others = features
    targets = one_hot(labels, CLASSES)
    (model,) = fit_ridge(there(train, device), targets, [3.0])
    mean, std = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    oracle = Ridge(alpha=3.0).fit((train - mean) / std, targets.numpy())
    assert parted(model.predict(there(others, device)), oracle.predict((others - mean) / std), device) < 1e-9


@pytest.mark.parametrize("device", DEVICES)
def test_a_grid_of_heads(device, features):
    train, labels, others = features
    shared = {
        "kind": "multiclass",
        "classes": CLASSES,
        "steps": 40,
        "seed": 1,
        "learning_rates": (0.01, 0.3),
        "batch_size": 32,
    }
    here = fit_head_grid([train.astype(np.float64)], labels, **shared)
    for one, two in zip(fit_head_grid([there(train, device)], labels, **shared), here, strict=True):
        assert parted(one.probabilities(there(others, device)), two.probabilities(others).numpy(), device) < 1e-4


@pytest.mark.parametrize("device", DEVICES)
def test_attentive_heads(device):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, CLASSES, 48)
    tokens = (rng.normal(size=(48, 9, 8)) + np.eye(CLASSES, 8)[labels][:, None]).astype(np.float32)

    def fitted(where):
        batches = (
            (there(tokens[chosen], where), labels[chosen])
            for chosen in (batch_rows(0, step, 16, 48) for step in range(20))
        )
        return fit_attentive(
            batches, kind="multiclass", classes=CLASSES, steps=20, learning_rates=[1e-3, 1e-2], weight_decays=[0.01], queries=4,
        )  # fmt: skip

    here, found = fitted("cpu"), fitted(device)
    assert found.losses.device.type == device and float(found.losses[-1].max()) < float(found.losses[0].max())
    # Adam divides by the size of a gradient: what is near 0 in float32 moves by other steps
    assert parted(found.probabilities(there(tokens, device)), here.probabilities(tokens).numpy(), device) < 5e-3
