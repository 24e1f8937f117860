"""Scores of every kind of task; what cannot be scored has a reason."""

import numpy as np
import pytest

from medzoo.analysis.transfer_scores.scores import (
    SCORES,
    jackknife_reach,
    scores_without_blocks,
    transfer_scores,
    usable,
)


def score(kind, features, labels):
    used, reason = usable(kind, labels)
    return reason or transfer_scores(kind, features[used], labels[used])


def test_features_that_know_the_class_score_higher():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    noise = rng.normal(size=(90, 5))
    clear = noise + 2 * np.eye(3)[labels] @ rng.normal(size=(3, 5))
    low, high = score("multiclass", noise, labels), score("multiclass", clear, labels)
    assert all(high[name][0] > low[name][0] for name in SCORES)


@pytest.mark.parametrize(
    ("kind", "labels", "reason"),
    [
        ("binary", np.zeros(9, int), "fewer than two classes"),
        ("multiclass", np.array([0] * 8 + [1]), "fewer than two classes"),
        ("multilabel", np.zeros((9, 2)), "no label has 2 images"),
        ("multilabel", np.full((9, 2), np.nan), "no label has 2 images"),
        ("regression", np.ones(9), "the same number"),
        ("segmentation", np.zeros(9), "the task is segmentation"),
    ],
)
def test_reasons(kind, labels, reason):
    assert reason in usable(kind, labels)[1]


def test_constant_features_more_features_than_images_and_an_exact_fit():
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 2
    assert {one[0] for one in transfer_scores("binary", np.ones((12, 4)), labels).values()} == {None}
    wide = transfer_scores("binary", rng.normal(size=(12, 40)), labels)
    assert wide["H-score"][0] is None and "singular" in wide["H-score"][1] and wide["regularised H-score"][0] > 0
    line = transfer_scores("regression", np.stack([np.arange(12.0), rng.normal(size=12)], 1), np.arange(12.0))
    assert line["LogME"] == (None, "the features fit the labels exactly") and line["H-score"][0] is None


def test_labels_of_a_multilabel_task_are_averaged():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(50, 4)), (rng.random((50, 3)) < 0.4).astype(float)
    both = score("multilabel", features, labels)
    each = [score("multilabel", features, labels[:, place : place + 1]) for place in range(3)]
    for name in SCORES:
        assert both[name][0] == pytest.approx(np.mean([one[name][0] for one in each]))


def test_the_jackknife_covers_the_mean():
    """Of a score that is a mean, the interval is the usual one: half its width is about 2.26 standard errors."""
    values = np.array([np.mean(np.delete(np.arange(10.0), place)) for place in range(10)])
    expected = 2.262 * np.std(np.arange(10.0), ddof=1) / 10**0.5
    assert jackknife_reach(values) == pytest.approx(expected, rel=1e-3)
    assert jackknife_reach(np.append(values[:9], np.nan)) is None and jackknife_reach(np.empty(0)) is None


def test_blocks_hold_whole_patients_and_few_patients_have_none():
    rng = np.random.default_rng(0)
    labels, patients = np.repeat(np.arange(40) % 2, 3), np.repeat(np.arange(40), 3)
    found = scores_without_blocks("binary", rng.normal(size=(120, 4)), labels, patients, 0)
    assert all(len(found[name]) == 10 and np.isfinite(found[name]).all() for name in SCORES)
    few = scores_without_blocks("binary", rng.normal(size=(12, 4)), np.arange(12) % 2, np.arange(12) // 2, 0)
    assert all(len(one) == 0 for one in few.values())
