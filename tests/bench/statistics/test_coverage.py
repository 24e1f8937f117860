"""Simulations: intervals cover the truth in 95 % of studies, and tests find no difference between equal checkpoints in 95 %."""

import numpy as np
import pytest
from simulated_study import Study

from medzoo.bench import stats

STUDIES = {
    "5 seeds": Study(),
    "5 seeds with an effect": Study(seed_effect=0.2),
    "3 seeds": Study(runs=3),
    "3 seeds with an effect": Study(runs=3, seed_effect=0.2),
}
SOME = pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))


@SOME
def test_the_interval_covers_the_truth(study):
    rng, found = np.random.default_rng(11), []
    for _ in range(1500):
        one = stats.interval(study.labels, study.read(rng, study.shown(rng)), study.groups)
        found.append(one.low <= study.truth <= one.high)
    assert 0.93 <= np.mean(found) <= 0.97


@SOME
def test_equal_checkpoints_are_rarely_called_different(study):
    rng, found = np.random.default_rng(12), []
    for _ in range(1500):
        common = 0.8 * study.shown(rng)
        a, b = (study.read(rng, common + 0.6 * study.shown(rng)) for _ in range(2))
        found.append(stats.compare(study.labels, a, b, study.groups).p < 0.05)
    assert 0.03 <= np.mean(found) <= 0.07


def test_images_without_patients_would_cover_too_little():
    """The simulation is hard enough: with each image as a patient of its own, the interval is too narrow."""
    study = Study(runs=1)
    rng, found = np.random.default_rng(13), []
    for _ in range(400):
        one = stats.interval(study.labels, study.read(rng, study.shown(rng)), np.arange(len(study.labels)))
        found.append(one.low <= study.truth <= one.high)
    assert np.mean(found) < 0.9


def test_seeds_alone_would_cover_too_little():
    """The spread of the seeds says nothing about other patients."""
    from medzoo.bench.statistics.crossed import t_quantile

    study = Study()
    rng, found = np.random.default_rng(14), []
    for _ in range(300):
        one = stats.interval(study.labels, study.read(rng, study.shown(rng)), study.groups)
        scores = one.run_sd  # of the seeds only
        reach = t_quantile(0.95, 4) * scores / np.sqrt(5)
        found.append(abs(one.mean - study.truth) <= reach)
    assert np.mean(found) < 0.8


@pytest.mark.parametrize("separation", [0.0, 2.5], ids=["at chance", "nearly perfect"])
def test_the_interval_covers_at_the_ends_of_the_scale(separation):
    study = Study(separation=separation)
    rng, found = np.random.default_rng(15), []
    for _ in range(800):
        one = stats.interval(study.labels, study.read(rng, study.shown(rng)), study.groups)
        assert 0 <= one.low < one.high <= 1
        found.append(one.low <= study.truth <= one.high)
    assert 0.925 <= np.mean(found) <= 0.975


def test_the_bootstrap_agrees_with_the_closed_form():
    study = Study(patients=200)
    rng, ratios = np.random.default_rng(16), []
    for _ in range(20):
        scores = study.read(rng, study.shown(rng))
        closed = stats.interval(study.labels, scores, study.groups)
        drawn = stats.bootstrap(study.labels, scores, study.groups, draws=600)
        assert abs(closed.mean - drawn.mean) < 1e-9
        ratios.append((drawn.high - drawn.low) / (closed.high - closed.low))
    assert 0.85 < np.mean(ratios) < 1.05


def test_accuracy_covers_too():
    study = Study(separation=1.0)
    rng = np.random.default_rng(17)
    shown = [study.read(rng, study.shown(rng)) - 0.5 for _ in range(2000)]
    scores = [1 / (1 + np.exp(-one)) for one in shown]
    truth = np.mean([((one > 0.5) == study.labels).mean() for one in scores])
    found = [stats.interval(study.labels, one, study.groups, metric="accuracy") for one in scores[:1000]]
    assert 0.93 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.97
