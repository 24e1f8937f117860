"""The robustness index by hand, and at its extremes."""

import numpy as np
import pytest

from medzoo.analysis.sites.neighbours import nearest_neighbours, neighbour_counts
from medzoo.analysis.sites.rows import index_row


def counted(features, labels, sites, patients, k):
    near = nearest_neighbours(features, patients, k)
    return neighbour_counts(near, labels, sites, patients)


def plainly(features, labels, sites, patients, k):
    """By the definition, with loops."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    same_class = same_site = 0
    for i in range(len(unit)):
        pool = sorted((j for j in range(len(unit)) if patients[j] != patients[i]), key=lambda j: -unit[i] @ unit[j])
        for j in pool[:k]:
            same_class += labels[j] == labels[i] and sites[j] != sites[i]
            same_site += labels[j] != labels[i] and sites[j] == sites[i]
    return same_class / (same_class + same_site)


def sample(seed=0, count=60):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 6)), rng.integers(0, 3, count), rng.choice(["x", "y"], count), np.arange(count) // 2


def test_the_definition():
    features, labels, sites, patients = sample()
    assert counted(features, labels, sites, patients, 7).index == pytest.approx(
        plainly(features, labels, sites, patients, 7)
    )


def test_class_features_give_one_and_site_features_zero():
    _, labels, sites, patients = sample()
    by_class = np.eye(3)[labels] + 0.01 * sample(1)[0][:, :3]
    by_site = np.eye(2)[(sites == "x").astype(int)] + 0.01 * sample(2)[0][:, :2]
    assert counted(by_class, labels, sites, patients, 5).index == 1
    assert counted(by_site, labels, sites, patients, 5).index == 0


def test_images_of_the_same_patient_do_not_count():
    """Each image has a copy of itself from the same patient, with another site: without the rule, the index would be 1."""
    features, labels, sites, patients = sample()
    features[1::2], labels[1::2] = features[::2], labels[::2]
    sites[::2], sites[1::2] = "x", "y"
    found = counted(features, labels, sites, patients, 1)
    assert found.index == pytest.approx(plainly(features, labels, sites, patients, 1)) and found.index < 0.9


def test_random_features_are_at_chance_although_sites_are_unbalanced():
    rng = np.random.default_rng(4)
    count = 800
    labels, sites = (rng.random(count) < 0.15).astype(int), np.where(rng.random(count) < 0.9, "x", "y")
    found = counted(rng.normal(size=(count, 20)), labels, sites, np.arange(count), 10)
    assert found.index == pytest.approx(found.chance, abs=0.02) and found.balanced == pytest.approx(0.5, abs=0.03)
    assert abs(found.chance - 0.5) > 0.05
    low, high = np.quantile(found.drawn(500, 0)[:, 1], [0.025, 0.975])
    assert low < 0.5 < high


def test_labels_that_an_image_has_count_and_unknown_labels_do_not():
    labels = np.array([[1, 0], [1, np.nan], [0, 1], [np.nan, 1]])
    sites = np.array(["x", "y", "x", "x"])
    near = np.array([[1, 2, 3]] + [[-1] * 3] * 3)
    found = neighbour_counts(near, labels, sites, np.arange(4))
    assert found.counts[0].tolist() == [
        1,
        1,
        1,
        1,
    ]  # image 1 has the label at another site; image 2 lacks it at the same, image 3 is not known


def test_few_other_patients():
    near = nearest_neighbours(np.eye(3), np.array(["a", "a", "b"]), 5)
    assert (near >= 0).sum(1).tolist() == [1, 1, 2]
    found = neighbour_counts(near, np.zeros(3), np.array(["x"] * 3), np.array(["a", "a", "b"]))
    assert found.index is None and found.balanced is None and np.isnan(found.drawn(20, 0)).all()


def test_an_index_of_zero_has_no_interval():
    sites = np.array(["x", "y"] * 15)
    features = np.eye(2)[(sites == "x").astype(int)] + 0.01 * sample(2)[0][:30, :2]
    found = counted(features, np.arange(30) % 3, sites, np.arange(30), 3)
    row = index_row({}, found, [found], 0)
    assert row["value"] == row["baseline"] == 0 and row["low"] is row["balanced_high"] is None
