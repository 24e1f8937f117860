"""The attentive probe: equal to its definition and to torch's AdamW, head by head."""

import numpy as np
import pytest
import torch
from expect import raises

from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes.attentive import first_weights, fit_attentive


def batches(kind, count=12, size=6, seed=0):
    """Tokens of which one shows the class."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        labels = rng.integers(0, 3, size)
        tokens = rng.normal(size=(size, 9, 16)).astype(np.float32)
        tokens[np.arange(size), rng.integers(0, 9, size), labels] += 6
        target = labels
        if kind == "multilabel":
            target = np.eye(3)[labels]
            target[0, 1] = np.nan
        yield tokens, target


def by_definition(tokens, queries, values, value_bias, classifier, bias):
    """One head, with values of all tokens."""
    mapped = tokens @ values.flatten(0, 1).T + value_bias.flatten()  # (B, T, M * S)
    slices = mapped.unflatten(2, (len(queries), -1))
    attention = (torch.einsum("btd,md->btm", tokens, queries) / tokens.shape[2] ** 0.5).softmax(1)
    return torch.einsum("btm,btms->bms", attention, slices).flatten(1) @ classifier.T + bias


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_heads_equal_their_definition_trained_alone(kind):
    rates, decays, steps = [1e-3, 1e-2], [0.0, 0.1], 12
    ask = {"kind": kind, "classes": 3, "steps": steps, "seed": 5, "queries": 4}
    found = fit_attentive(batches(kind), learning_rates=rates, weight_decays=decays, **ask)
    assert found.learning_rates == (1e-3, 1e-3, 1e-2, 1e-2) and found.weight_decays == (0.0, 0.1, 0.0, 0.1)
    test = torch.from_numpy(next(batches(kind, seed=9))[0])
    chances = found.probabilities(test)
    for head in range(4):
        parts = [torch.nn.Parameter(part[0].clone()) for part in first_weights(5, 16, 3, queries=4).parts()]
        optimizer = torch.optim.AdamW(parts, lr=found.learning_rates[head], weight_decay=found.weight_decays[head])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0)
        for tokens, labels in batches(kind):
            scores, target = by_definition(torch.from_numpy(tokens), *parts), torch.from_numpy(labels)
            if kind == "multilabel":
                known = ~target.isnan()
                loss = torch.nn.functional.binary_cross_entropy_with_logits(scores[known], target[known].float())
            else:
                loss = torch.nn.functional.cross_entropy(scores, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        scores = by_definition(test, *parts)
        expected = scores.sigmoid() if kind == "multilabel" else scores.softmax(1)
        assert torch.allclose(chances[head], expected, atol=2e-4)
    again = fit_attentive(batches(kind), learning_rates=rates, weight_decays=decays, **ask)
    assert all(torch.equal(a, b) for a, b in zip(found.weights.parts(), again.weights.parts(), strict=True))


def test_it_learns_what_one_token_shows():
    found = fit_attentive(
        batches("multiclass", 150, 32), kind="multiclass", classes=3, steps=150, learning_rates=[1e-6, 1e-2], queries=8
    )
    tokens, labels = next(batches("multiclass", 1, 200, seed=7))
    assert (found.probabilities(tokens)[1].argmax(1).numpy() == labels).mean() > 0.9
    assert found.losses.shape == (150, 2) and found.losses[-1, 1] < found.losses[0, 1]


def test_what_is_refused():
    ask = {"kind": "multiclass", "classes": 3, "learning_rates": [1e-3], "queries": 4}
    with raises(UsageError, "batches-too-few"):
        fit_attentive(batches("multiclass", 2), steps=3, **ask)
    with raises(UsageError, "queries-outside"):
        fit_attentive(batches("multiclass"), steps=1, **{**ask, "queries": 17})
    with raises(UsageError, "head-grid-empty"):
        fit_attentive(batches("multiclass"), steps=0, **ask)
    with raises(UsageError, "probe-features-shape"):
        fit_attentive([(np.zeros((2, 3)), np.zeros(2))], steps=1, **ask)
    with raises(DataContractError, "features-not-finite"):
        fit_attentive([(np.full((2, 3, 8), np.nan), np.zeros(2))], steps=1, **ask)
