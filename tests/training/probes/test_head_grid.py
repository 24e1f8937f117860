"""The stacked heads equal one nn.Linear per head with torch's SGD."""

import numpy as np
import pytest
import torch
from expect import raises

from medzoo.errors import UsageError
from medzoo.training.probes.head_grid import batch_rows, first_weights, fit_head_grid


def data(kind, count=70):
    rng = np.random.default_rng(0)
    variants = [rng.normal(size=(count, width)).astype(np.float32) for width in (12, 24)]
    labels = rng.integers(0, 4, count)
    if kind == "multilabel":
        labels = np.eye(4)[labels]
        labels[::5, 1] = np.nan
    return variants, labels


def loop(variants, labels, kind, rates, steps, seed, batch_size):
    """The form of DINOv2's linear.py: every head is a module with its own parameter group."""
    heads, groups = [], []
    for number, part in enumerate(variants):
        for rate in rates:
            head = torch.nn.Linear(part.shape[1], 4)
            head.weight.data = first_weights(seed, number, 4, part.shape[1], 1)[0].clone()
            head.bias.data.zero_()
            heads.append((number, head))
            groups.append({"params": head.parameters(), "lr": rate})
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0)
    for step in range(steps):
        rows = batch_rows(seed, step, batch_size, len(labels))
        target = torch.from_numpy(labels[rows])
        loss = 0.0
        for number, head in heads:
            scores = head(torch.from_numpy(variants[number][rows]))
            if kind == "multilabel":
                known = ~target.isnan()
                loss += torch.nn.functional.binary_cross_entropy_with_logits(scores[known], target[known].float())
            else:
                loss += torch.nn.functional.cross_entropy(scores, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return [head for _, head in heads]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_weights_equal_the_loop(kind):
    variants, labels = data(kind)
    ask = {"steps": 60, "seed": 3, "batch_size": 16}
    rates = [1e-4, 1e-2, 0.1]
    found = fit_head_grid(variants, labels, kind=kind, classes=4, learning_rates=rates, **ask)
    expected = loop(variants, labels, kind, rates, **ask)
    assert [(head.variant, head.learning_rate) for head in found] == [(v, rate) for v in (0, 1) for rate in rates]
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.weight - theirs.weight).abs().max() < 1e-6 and (ours.bias - theirs.bias).abs().max() < 1e-6
        scores = theirs(torch.from_numpy(variants[ours.variant]))
        chances = scores.sigmoid() if kind == "multilabel" else scores.softmax(1)
        assert torch.allclose(ours.probabilities(variants[ours.variant]), chances, atol=1e-5)
    again = fit_head_grid(variants, labels, kind=kind, classes=4, learning_rates=rates, **ask)
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(found, again, strict=True))


def test_batches_follow_from_seed_and_step():
    rows = [batch_rows(0, step, 4, 10) for step in range(4)]
    assert len({*rows[0], *rows[1]}) == 8 and not np.array_equal(rows[0], rows[2])
    assert np.array_equal(rows[2], batch_rows(0, 2, 4, 10)) and not np.array_equal(rows[0], batch_rows(1, 0, 4, 10))
    assert len(batch_rows(0, 5, 256, 10)) == 10


def test_what_is_refused():
    variants, labels = data("multiclass")
    with raises(UsageError, "head-grid-empty"):
        fit_head_grid([], labels, kind="multiclass", classes=4, steps=1)
    with raises(UsageError, "probe-features-shape"):
        fit_head_grid([variants[0], variants[1][1:]], labels, kind="multiclass", classes=4, steps=1)
