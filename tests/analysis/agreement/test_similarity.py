"""The similarity of decisions: published values, scikit-learn's kappa, and intervals that cover the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.metrics import cohen_kappa_score

from medzoo.analysis.agreement.crossed_readers import Readers, crossed_estimate, pseudo_readers
from medzoo.analysis.agreement.decisions import Decisions
from medzoo.analysis.agreement.similarity import (
    MEASURES,
    below_ceiling,
    between_checkpoints,
    expected_agreement,
    mean_over_labels,
    pair_measures,
    prediction_similarity,
    within_checkpoint,
)

# Juodelyte et al. 2023, results/similarity.csv: task and fold, both right or both wrong, published baseline, test images.
PUBLISHED = [
    ("breast 1", 0.8782051282051282, 0.7670118678250972, 156),
    ("chest 1", 0.9462457337883959, 0.9136463038258924, 1172),
    ("knee 4", 0.9147509578544061, 0.8175525720442067, 1044),
    ("mammograms 3", 0.6162464985994398, 0.5094194611142768, 714),
]


def decisions(right):
    right = np.asarray(right, dtype=float)[..., None]
    return Decisions(right, np.nan_to_num(right).astype(int))


def measured(found):
    return dict(found)


@pytest.mark.parametrize(("name", "share", "baseline", "images"), PUBLISHED)
def test_the_published_baseline_squares_one_accuracy(name, share, baseline, images):
    """It gives a whole number of right images for one network alone, which independent errors of two networks do not need."""
    accuracy = (1 + np.sqrt(2 * baseline - 1)) / 2
    right = accuracy * images
    assert abs(right - round(right)) < 0.001, name
    assert expected_agreement(round(right) / images, round(right) / images) == pytest.approx(baseline, abs=1e-6)
    assert abs(share * images - round(share * images)) < 1e-6
    # the other network is right on at least one image less or more, if the errors are not equal
    other = round(right) / images - (1 - share)
    assert expected_agreement(accuracy, other) < baseline


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_kappa_of_the_errors_is_cohens_kappa(pairs):
    a, b = np.array(pairs, dtype=float).T
    found = pair_measures(decisions([a]), decisions([b]), 0, np.arange(len(a)))
    values = dict(zip(MEASURES, found.values[:, 0, 0], strict=True))
    assert values["similarity"] == pytest.approx(prediction_similarity(a == 0, b == 0))
    assert values["excess"] == pytest.approx(values["similarity"] - expected_agreement(a.mean(), b.mean()))
    if np.isnan(values["error_kappa"]):
        assert len(set(a) | set(b)) == 1
    else:
        assert values["error_kappa"] == pytest.approx(cohen_kappa_score(a, b))
    # the change without one patient is the influence, up to terms of the second order
    assert np.abs(found.vectors.sum(axis=-1)).max() < 1e-9


def test_influences_are_those_of_the_jackknife():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 3)
    a = rng.random((1, 180)) < 0.8
    b = np.where(rng.random((1, 180)) < 0.7, a, rng.random((1, 180)) < 0.6)  # kappa far from 0
    whole = pair_measures(decisions(a), decisions(b), 0, patients)
    for patient in (0, 17):
        rows = patients != patient
        codes = np.unique(patients[rows], return_inverse=True)[1]
        without = pair_measures(decisions(a[:, rows]), decisions(b[:, rows]), 0, codes)
        change = (whole.values - without.values)[:, 0, 0] * 59 / 60
        np.testing.assert_allclose(change, whole.vectors[:, 0, 0, patient], atol=3e-4)


def test_runs_that_are_always_right_have_no_kappa_and_no_interval():
    ones = decisions(np.ones((2, 30)))
    found = measured(between_checkpoints(pair_measures(ones, ones, 0, np.arange(30))))
    assert found["error_kappa"].value is None and "undefined" in found["error_kappa"].reason
    assert found["similarity"].value == 1 and found["similarity"].low is None and found["similarity"].reason
    assert found["excess"].value == 0


def test_constant_decisions_have_no_kappa():
    """All runs say no to everything: their errors are those of the labels."""
    right = np.tile(np.arange(30) % 3 > 0, (2, 1)).astype(float)[..., None]
    of = Decisions(right, np.zeros_like(right, dtype=int))
    found = measured(between_checkpoints(pair_measures(of, of, 0, np.arange(30))))
    assert found["error_kappa"].value is None and found["similarity"].value == 1


def test_images_without_annotation_do_not_count():
    right = np.array([[1, 0, np.nan, 1]])
    other = np.array([[1, 1, np.nan, 1]])
    found = measured(between_checkpoints(pair_measures(decisions(right), decisions(other), 0, np.array([0, 1, 2, 3]))))
    assert found["similarity"].value == pytest.approx(2 / 3)


def test_a_label_without_a_value_is_not_in_the_mean():
    rng = np.random.default_rng(0)
    good = pair_measures(decisions(rng.random((1, 20)) < 0.7), decisions(rng.random((1, 20)) < 0.7), 0, np.arange(20))
    perfect = pair_measures(decisions(np.ones((1, 20))), decisions(np.ones((1, 20))), 0, np.arange(20))
    mean = mean_over_labels([good, perfect])
    kappa, share = MEASURES.index("error_kappa"), MEASURES.index("similarity")
    assert mean.values[kappa] == good.values[kappa]
    assert mean.values[share] == (good.values[share] + 1) / 2


@given(st.integers(3, 6), st.integers(0, 1000))
def test_pseudo_values_have_the_mean_of_all_pairs(runs, seed):
    rng = np.random.default_rng(seed)
    pairs = rng.random((runs, runs))
    pairs = (pairs + pairs.T) / 2
    made = pseudo_readers(pairs, np.zeros((runs, runs, 2)))
    assert made.values.mean() == pytest.approx(pairs[~np.eye(runs, dtype=bool)].mean())


def test_the_variance_adds_the_runs_of_each_checkpoint_and_the_patients():
    a, b = np.array([0.5, 0.7, 0.9]), np.array([0.6, 0.8])
    flat = np.zeros((1, 10))
    alone = crossed_estimate([Readers(a, flat.repeat(3, axis=0)), Readers(b, flat.repeat(2, axis=0))])
    assert alone.se**2 == pytest.approx(a.var(ddof=1) / 3 + b.var(ddof=1) / 2)
    shared = np.linspace(-0.01, 0.01, 10)[None]
    both = crossed_estimate([Readers(a, shared.repeat(3, axis=0)), Readers(b, shared.repeat(2, axis=0))])
    assert both.se**2 - alone.se**2 == pytest.approx(float((shared**2).sum()) * 10 / 9)


class Readings:
    """A probit model of two checkpoints: what an image shows, the effect of a seed, and noise of each decision."""

    nodes, weights = np.polynomial.hermite_e.hermegauss(80)

    def __init__(self, runs, seed_effect, patients, means=(1.0, 0.6), images=3):
        self.runs, self.seed_effect, self.patients, self.means, self.images = runs, seed_effect, patients, means, images

    @property
    def truth(self):
        weights = self.weights / self.weights.sum()
        a, b = (ndtr((mean + self.nodes) / np.sqrt(1 + self.seed_effect**2)) for mean in self.means)

        def share(one, other):
            return float(weights @ (one * other + (1 - one) * (1 - other)))

        between, expected = share(a, b), expected_agreement(float(weights @ a), float(weights @ b))
        return {
            "similarity": between, "excess": between - expected, "error_kappa": (between - expected) / (1 - expected),
            "within": share(a, a), "gap": (share(a, a) + share(b, b)) / 2 - between,
        }  # fmt: skip

    def draw(self, rng):
        of_patient = np.repeat(rng.normal(size=self.patients), self.images)
        shown = np.sqrt(0.5) * of_patient + np.sqrt(0.5) * rng.normal(size=len(of_patient))
        for mean in self.means:
            seeds = self.seed_effect * rng.normal(size=(self.runs, 1))
            yield decisions(mean + seeds + shown + rng.normal(size=(self.runs, len(shown))) > 0)

    def coverage(self, repetitions=250):
        rng, codes = np.random.default_rng(3), np.repeat(np.arange(self.patients), self.images)
        truth, hits = self.truth, {name: [] for name in self.truth}
        for _ in range(repetitions):
            a, b = self.draw(rng)
            across, first, second = (pair_measures(*pair, 0, codes) for pair in ((a, b), (a, a), (b, b)))
            found = measured(between_checkpoints(across))
            found["within"] = measured(within_checkpoint(first))["similarity"]
            found["gap"] = measured(below_ceiling(first, second, across))["similarity"]
            for name, values in hits.items():
                values.append(found[name].low <= truth[name] <= found[name].high)
        return {name: np.mean(values) for name, values in hits.items()}


@pytest.mark.parametrize(
    "study",
    [Readings(5, 0.0, 60), Readings(5, 0.4, 60), Readings(3, 0.4, 60)],
    ids=["5 seeds", "5 seeds with an effect", "3 seeds with an effect"],
)
def test_the_intervals_cover_the_truth(study):
    found = study.coverage()
    assert min(found.values()) >= 0.915, found


def test_patients_alone_would_cover_too_little():
    """With one run of each checkpoint, the interval cannot hold the variance of the seeds."""
    study = Readings(1, 0.4, 200)
    rng, codes, hits = np.random.default_rng(4), np.repeat(np.arange(200), 3), []
    for _ in range(150):
        found = measured(between_checkpoints(pair_measures(*study.draw(rng), 0, codes)))["similarity"]
        assert "1 run" in found.reason
        hits.append(found.low <= study.truth["similarity"] <= found.high)
    assert np.mean(hits) < 0.8
