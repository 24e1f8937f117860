"""Separability on features with a known answer."""

import numpy as np
import pytest

from medzoo.analysis.feature_map.separability import enough, patient_folds, scored


def patients(count, images=2):
    return np.array([f"p{number // images}" for number in range(count)])


def test_a_fold_has_whole_patients_and_every_group():
    labels = np.repeat(np.arange(40) % 4 == 0, 2).astype(int)
    who = patients(80)
    folds = patient_folds(labels, who, seed=3)
    assert all(len(set(folds[who == one])) == 1 for one in set(who))
    assert [int(labels[folds == fold].sum()) for fold in range(5)] == [4] * 5
    assert (folds != patient_folds(labels, who, seed=4)).any()


def test_separated_groups_and_noise():
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 2, 100), 2)
    features = rng.normal(size=(200, 8)) + 3 * labels[:, None]
    assert scored(features, labels, patients(200), 0).separability().value > 0.99
    noise = scored(rng.normal(size=(200, 8)), labels, patients(200), 0).separability()
    assert noise.low < 0.5 < noise.high and noise.patients == 100


def test_images_of_a_patient_do_not_help():
    """Features that only identify the patient: with a patient's images in two folds, the AUROC would be 1."""
    rng = np.random.default_rng(1)
    labels = np.repeat(rng.integers(0, 2, 60), 5)
    features = np.repeat(rng.normal(size=(60, 200)), 5, axis=0)
    found = scored(features, labels, patients(300, 5), 0).separability()
    assert 0.25 < found.value < 0.75


def test_labels_without_signal_are_not_below_one_half():
    """Rare labels over small folds: with the intercepts or the penalties of single folds, the mean is far below 0.5."""
    rng = np.random.default_rng(2)
    values = [
        scored(rng.normal(size=(120, 40)), (rng.random((120, 6)) < 0.15).astype(int), patients(120, 1), 0)
        .separability()
        .value
        for _ in range(24)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.025)


def test_three_groups_and_the_difference_of_networks():
    rng = np.random.default_rng(3)
    labels = np.arange(150) % 3
    noise, clear = rng.normal(size=(150, 5)), rng.normal(size=(150, 5))
    clear[:, :3] += 4 * np.eye(3)[labels]
    first, second = (scored(one, labels, patients(150, 1), 0) for one in (noise, clear))
    delta, low, _ = first.difference(second)
    assert delta == pytest.approx(second.separability().value - first.separability().value) and low > 0.2


def test_groups_with_few_patients_are_left_out():
    labels = np.array(["a"] * 20 + ["b"] * 18 + [""] * 12)
    assert enough(labels, patients(50)).tolist() == [True] * 20 + [False] * 30
