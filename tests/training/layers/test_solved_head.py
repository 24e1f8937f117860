"""A head that starts from the solved logistic regression gives the probabilities of that regression."""

import numpy as np
import pytest
import timm
import torch
from expect import raises

from medzoo.errors import UsageError
from medzoo.training.layers.solved_head import PooledFeatures, linear_layer, solve_head
from medzoo.training.probes.logistic import Problem, fit_logistic

rng = np.random.default_rng(0)
FEATURES = rng.normal(size=(60, 8)) * np.arange(1, 9) + 5
CLASSES = (FEATURES[:, 0] + rng.normal(size=60) > 5).astype(int) + (FEATURES[:, 1] > 6)
MANY = np.stack([CLASSES > 0, CLASSES > 1, np.ones(60)], axis=1).astype(float)
MANY[::7, 0] = np.nan


@pytest.mark.parametrize(
    ("kind", "labels", "outputs"),
    [("binary", CLASSES > 0, 2), ("multiclass", CLASSES, 3), ("multiclass", CLASSES, 4), ("multilabel", MANY, 3)],
)
def test_the_layer_gives_the_probabilities_of_the_regression(kind, labels, outputs):
    labels = np.asarray(labels, dtype=float if kind == "multilabel" else int)
    (model,) = fit_logistic(FEATURES, labels, [Problem(1.0)], kind=kind, classes=outputs)
    weights, bias = linear_layer(model, outputs)
    logits = torch.from_numpy(FEATURES) @ weights.T + bias
    ours = logits.sigmoid() if kind == "multilabel" else logits.softmax(1)
    assert np.abs(ours.numpy() - model.probabilities(FEATURES).numpy()).max() < 1e-3


def test_a_network_starts_with_it():
    torch.manual_seed(0)
    net = timm.create_model("resnet10t", num_classes=3).eval()
    images = torch.randn(24, 3, 32, 32)
    with torch.inference_mode():
        features = PooledFeatures(net)(images).numpy()
    labels = np.arange(24) % 3
    chosen = solve_head(
        net, (features, labels), (features, labels), kind="multiclass", regularisation=(0.1, 1.0),
        score=lambda truth, probabilities: float((probabilities.argmax(1) == truth).mean()),
    )  # fmt: skip
    (model,) = fit_logistic(features, labels, [Problem(chosen)], kind="multiclass", classes=3)
    with torch.inference_mode():
        started = net(images).softmax(1).numpy()
    assert np.abs(started - model.probabilities(features).numpy()).max() < 1e-2
    assert (started.argmax(1) == labels).mean() > 0.5


def test_a_regression_has_no_logistic_head(tiny_net):
    with raises(UsageError, "head-cannot-be-solved"):
        solve_head(
            tiny_net(1), (FEATURES, CLASSES), (FEATURES, CLASSES), kind="regression", regularisation=(), score=max
        )
