"""Dense probes on patch tokens: majority labels, the draw of tokens, and predictions by token."""

import numpy as np
import pytest
import torch
from expect import raises

from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes.dense import IGNORED, chosen_tokens, fit_dense_knn, fit_dense_logistic, patch_labels


def test_the_label_of_a_patch_is_its_majority():
    mask = np.array([[0, 0, 1, 1], [0, 1, 1, 255], [2, 2, 255, 255], [0, 0, 255, 1]])
    assert patch_labels(mask[None], (2, 2), 3).tolist() == [[0, 1, 0, IGNORED]]
    wide = np.repeat(np.arange(6), 4).reshape(1, 2, 12) % 3
    expected = [np.bincount(wide[0, :1, 4 * c : 4 * c + 4].ravel()).argmax() for c in range(3)]
    assert patch_labels(wide, (2, 3), 3)[0, :3].tolist() == expected
    with raises(UsageError, "masks-grid"):
        patch_labels(mask[None], (3, 2), 3)
    with raises(DataContractError, "probe-labels-outside"):
        patch_labels(mask[None], (2, 2), 2)


def test_tokens_are_drawn_by_seed():
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10 + [IGNORED] * 50)
    drawn = chosen_tokens(labels, 100, seed=0)
    assert len(drawn) == 100 and drawn.tolist() == sorted({*drawn.tolist()}) and drawn.max() < 1000
    assert torch.equal(drawn, chosen_tokens(labels, 100, seed=0))
    assert not torch.equal(drawn, chosen_tokens(labels, 100, seed=1))
    balanced = np.bincount(labels[chosen_tokens(labels, 100, seed=0, balanced=True)])
    assert balanced.tolist() == [45, 45, 10]
    assert len(chosen_tokens(labels, 10**6, seed=0, balanced=True)) == 1000
    with raises(UsageError, "tokens-below-one"):
        chosen_tokens(labels, 0, seed=0)


@pytest.mark.parametrize("head", ["knn", "logistic"])
def test_tokens_get_the_class_that_they_show(head):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (20, 16))
    tokens = (rng.normal(size=(20, 16, 8)) + 4 * np.eye(3, 8)[labels]).astype(np.float32)
    rows, numbers = tokens[:15].reshape(-1, 8), labels[:15].ravel()
    fit, values = (fit_dense_knn, [1, 10]) if head == "knn" else (fit_dense_logistic, [0.01, 1.0])
    probes = fit(rows, numbers, 3, values)
    assert [probe.name for probe in probes] == (["k=1", "k=10"] if head == "knn" else ["C=0.01", "C=1"])
    for probe in probes:
        chances = probe.probabilities(tokens[15:])
        assert chances.shape == (5, 16, 3) and torch.allclose(chances.sum(2), torch.ones(5, 16).double())
        assert (chances.argmax(2).numpy() == labels[15:]).mean() > 0.95 and probe.converged
