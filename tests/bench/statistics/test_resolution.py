"""The detectable difference against statsmodels and simulations, and the noise floor."""

import numpy as np
import pytest
from simulated_study import Study

from medzoo.bench import stats
from medzoo.bench.statistics.closed_form import contributions
from medzoo.bench.statistics.comparison import difference
from medzoo.bench.statistics.crossed import Estimate
from medzoo.bench.statistics.noise_floor import permuted_values
from medzoo.bench.statistics.resolution import planned, resolution


def test_the_detectable_difference_is_that_of_a_t_test():
    from statsmodels.stats.power import TTestPower

    n, sd = 100, 0.05
    found = resolution(Estimate(0.0, sd / n**0.5, n - 1.0, 0.0, sd**2 / n, sd**2 / n), runs=1, patients=n)
    expected = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8) * sd
    assert found.detectable == pytest.approx(expected, rel=0.01)
    assert found.runs_needed is None  # more seeds do not help where only patients vary


def test_four_in_five_studies_find_the_detectable_difference():
    rng, study, found = np.random.default_rng(0), Study(runs=3, patients=150, images=1), []

    def pair(gain):
        common = 0.8 * study.shown(rng)
        better = Study(runs=3, patients=150, images=1, separation=study.separation + gain)
        return better.read(rng, common + 0.6 * better.shown(rng)), study.read(rng, common + 0.6 * study.shown(rng))

    measured = [
        resolution(
            difference(*(contributions(study.labels, of, study.groups, "auroc") for of in pair(0.0))), 3, 150
        ).detectable
        for _ in range(30)
    ]
    gain = 0.62
    true = Study(separation=study.separation + gain).truth - study.truth
    assert true == pytest.approx(np.mean(measured), abs=0.006)
    for _ in range(300):
        a, b = pair(gain)
        found.append(stats.compare(study.labels, a, b, study.groups).p < 0.05)
    assert 0.75 < np.mean(found) < 0.95  # three seeds without an effect: the interval is a little too wide


def test_more_seeds_or_patients_reach_the_target():
    at = Estimate(0.0, 0.006, 99.0, 4e-5, 1.0e-5, 1.0e-5)
    found = resolution(at, runs=3, patients=200, target=0.01)
    assert found.patients_needed is None or found.patients_needed > 200
    assert found.runs_needed is None or found.runs_needed > 3
    wide = resolution(at, runs=3, patients=200, target=0.05)
    assert wide.runs_needed <= 3 and wide.patients_needed <= 200


def test_the_plan_is_the_formula_of_hanley_and_mcneil():
    """Their example of 1982: 51 abnormal, 58 normal images, area 0.893, standard error 0.032."""
    one = planned(51, 58, 1, auroc=0.893, correlation=0.0, run_sd=0.0)
    assert one.se / 2**0.5 == pytest.approx(0.0325, abs=0.0005)


def test_permuted_labels_of_patients_give_chance():
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(60), 3)
    labels = np.repeat(np.arange(60) % 2, 3)
    scores = labels + 0.1 * rng.normal(size=180)  # perfect, if it were not permuted
    values = permuted_values(labels, scores, patients, "auroc", draws=150)
    single = permuted_values(labels, scores, np.arange(180), "auroc", draws=150)
    assert abs(values.mean() - 0.5) < 0.03 and values.max() < 0.9
    assert values.std() > 1.3 * single.std()  # patients have three images, so chance reaches further
    assert list(values) == list(permuted_values(labels, scores, patients, "auroc", draws=150))


def test_permuted_labels_for_a_metric_without_closed_form():
    values = permuted_values(np.arange(80) % 2, np.linspace(0, 1, 80), np.arange(80), "kappa", draws=20)
    assert abs(values.mean()) < 0.1


@pytest.mark.parametrize("kind", ["binary", "two columns", "classes", "labels", "labels with NaN"])
def test_ranking_the_scores_once_gives_the_same_values(kind, monkeypatch):
    from medzoo.bench.statistics import noise_floor

    rng = np.random.default_rng(3)
    patients = rng.permutation(np.repeat(np.arange(60), 3))
    labels = {"classes": rng.integers(0, 3, 180), "labels": rng.integers(0, 2, (180, 3)).astype(float)}.get(
        kind.split(" with")[0], rng.integers(0, 2, 180)
    )
    if "NaN" in kind:
        labels = np.where(rng.random(labels.shape) < 0.1, np.nan, labels)
    shape = {"binary": (180,), "two columns": (180, 2)}.get(kind, (180, 3))
    scores = np.round(rng.random(shape), 2)
    quick = permuted_values(labels, scores, patients, "auroc", draws=10)
    plain = noise_floor.CLOSED_FORM["auroc"]
    monkeypatch.setattr(
        noise_floor, "_value_of", lambda truth, runs, codes, metric: lambda mixed: plain(mixed, runs, codes).values[0]
    )
    assert quick == pytest.approx(permuted_values(labels, scores, patients, "auroc", draws=10), abs=1e-12)
    assert np.ptp(quick) > 0
