"""Intervals and comparisons: values, properties that must hold, and inputs that have no interval."""

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medzoo.bench import metrics, stats
from medzoo.bench.statistics.bootstrap import METRICS, draw_values
from medzoo.bench.statistics.closed_form import CLOSED_FORM
from medzoo.errors import ResultError


@pytest.fixture(scope="module")
def cell():
    """Labels, scores of three runs, and 60 patients with one to four images."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), rng.integers(1, 5, size=60))
    labels = rng.integers(0, 2, size=len(patients))
    return labels, np.round(labels + rng.normal(size=(3, len(patients))), 1), patients


def test_the_mean_is_that_of_the_runs(cell):
    labels, scores, patients = cell
    found = stats.interval(labels, scores, patients)
    assert found.mean == pytest.approx(np.mean([roc_auc_score(labels, run) for run in scores]), abs=1e-12)
    assert found.low < found.mean < found.high
    assert (found.runs, found.patients) == (3, 60)


def test_one_run_with_one_image_per_patient_is_delong(cell):
    """The variance of DeLong et al. 1988, from all pairs."""
    labels, scores, _ = cell
    wins = (scores[0][labels == 1][:, None] > scores[0][labels == 0]).astype(float)
    wins += 0.5 * (scores[0][labels == 1][:, None] == scores[0][labels == 0])
    variance = wins.mean(axis=1).var(ddof=1) / len(wins) + wins.mean(axis=0).var(ddof=1) / wins.shape[1]
    found = stats.interval(labels, scores[0], np.arange(len(labels)))
    assert found.se == pytest.approx(variance**0.5, rel=0.01)  # which divides by n - 1 in each class
    assert "1 run" in found.note


def test_one_run_with_the_mean_of_cases_is_the_t_interval():
    from scipy import stats as reference

    values = np.random.default_rng(1).normal(0.8, 0.1, size=30)
    found = stats.interval(np.zeros(30), values, np.arange(30), metric="mean")
    expected = reference.t.interval(0.95, 29, values.mean(), values.std(ddof=1) / 30**0.5)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)


def test_the_paired_comparison_of_cases_is_the_paired_t_test():
    from scipy import stats as reference

    rng = np.random.default_rng(2)
    first = rng.normal(0.8, 0.1, size=25)
    second = first + rng.normal(0.02, 0.05, size=25)
    found = stats.compare(np.zeros(25), first, second, np.arange(25), metric="mean")
    expected = reference.ttest_rel(first, second)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.delta == pytest.approx(first.mean() - second.mean())


def test_patients_without_variance_leave_the_t_test_of_the_seeds():
    """If all patients contribute alike, only the runs differ."""
    from scipy import stats as reference

    runs = np.array([0.80, 0.83, 0.86, 0.81])
    found = stats.interval(np.zeros(10), np.repeat(runs[:, None], 10, axis=1), np.arange(10), metric="mean")
    expected = reference.t.interval(0.95, 3, runs.mean(), runs.std(ddof=1) / 2)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)
    assert found.df == pytest.approx(3)


def test_equivalence_is_that_of_statsmodels():
    from statsmodels.stats.weightstats import ttost_paired

    rng = np.random.default_rng(4)
    first = rng.normal(0.8, 0.1, size=40)
    for shift in (0.0, 0.005, 0.02):
        second = first + shift + rng.normal(0, 0.02, size=40)
        p = ttost_paired(first, second, -0.01, 0.01)[0]
        found = stats.compare(np.zeros(40), first, second, np.arange(40), metric="mean", margin=0.01)
        assert (found.verdict == "equivalent") == (p < 0.05), (shift, p, found)


def test_the_verdict_knows_the_direction_of_the_metric():
    rng = np.random.default_rng(5)
    labels = np.arange(200) % 2
    good = np.clip(0.8 * labels + 0.1 + 0.05 * rng.normal(size=(3, 200)), 0, 1)
    poor = np.full((3, 200), 0.5)
    patients = np.arange(200)
    assert stats.compare(labels, good, poor, patients, metric="brier").verdict == "better"
    assert stats.compare(labels, good, poor, patients, metric="brier").delta < 0
    assert stats.compare(labels, poor, good, patients, metric="brier").verdict == "worse"
    assert stats.compare(labels, good, good, patients).verdict == "undecided"
    assert stats.compare(labels, good, good, patients, margin=0.05).verdict == "equivalent"
    assert stats.compare(labels, good, good, patients, margin=0.01).verdict == "undecided"  # both are exactly 1


@pytest.mark.parametrize("metric", sorted(CLOSED_FORM))
def test_the_closed_form_and_the_metric_are_equal(metric, cell):
    labels, scores, patients = cell
    shares = 1 / (1 + np.exp(-scores))
    found = stats.interval(labels, shares, patients, metric=metric)
    assert found.mean == pytest.approx(draw_values(labels, shares, patients, metric, draws=0).mean(), abs=1e-9)


KINDS = {
    "binary": (["no", "yes"], lambda rng, n: rng.integers(0, 2, n), 1),
    "multiclass": (["a", "b", "c", "d"], lambda rng, n: rng.integers(0, 4, n), 4),
    "multilabel": (
        ["a", "b", "c"],
        lambda rng, n: np.where(rng.random((n, 3)) < 0.2, np.nan, rng.integers(0, 2, (n, 3))),
        3,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "metric", ["auroc", "auprc", "accuracy", "balanced_accuracy", "f1", "kappa", "brier", "quadratic_kappa"]
)
def test_the_first_draw_is_the_metric_of_the_results(kind, metric):
    if metric == "quadratic_kappa" and kind != "multiclass":
        pytest.skip("results have it for classes only")
    classes, make, width = KINDS[kind]
    rng = np.random.default_rng(6)
    labels = make(rng, 300)
    scores = np.round(rng.random((300, width)), 2)
    scores = scores / scores.sum(axis=1, keepdims=True) if kind == "multiclass" else scores
    scores = scores[:, 0] if kind == "binary" else scores
    rows = metrics.compute(kind, classes, labels, scores, names=(metric,))
    expected = metrics.headline(rows, metric)["value"]
    assert draw_values(labels, scores[None], np.arange(300) // 3, metric, draws=0)[0, 0] == pytest.approx(
        expected, abs=1e-7
    )


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2", "pearson"])
def test_the_first_draw_of_regression_is_the_metric(metric):
    rng = np.random.default_rng(7)
    truth = 1000 + rng.normal(size=200)
    predicted = truth + 0.5 * rng.normal(size=200)
    expected = getattr(metrics, metric)(truth, predicted)
    assert draw_values(truth, predicted, np.arange(200), metric, draws=0)[0, 0] == pytest.approx(expected, rel=1e-6)


def resampled(rng, cell):
    """The same cell with patients drawn with replacement, written out as images."""
    labels, scores, patients = cell
    picked = rng.integers(0, patients.max() + 1, patients.max() + 1)
    rows = np.concatenate([np.flatnonzero(patients == one) for one in picked])
    return picked, labels[rows], scores[:, rows]


@pytest.mark.parametrize("metric", METRICS)
def test_a_weighted_draw_is_the_metric_of_the_repeated_images(metric, cell):
    """The counts of patients give what their images would give if they were written several times."""
    from medzoo.bench.statistics.bootstrap import _parts

    labels, scores, patients = cell
    scores = 1 / (1 + np.exp(-scores))
    picked, drawn_labels, drawn_scores = resampled(np.random.default_rng(8), (labels, scores, patients))
    weights = np.bincount(picked, minlength=60).astype(np.float32)[:, None]
    for run in range(len(scores)):
        (part,) = _parts(labels.astype(float), scores[run], metric, patients, 0.5)
        expected = draw_values(
            drawn_labels.astype(float), drawn_scores[run], np.arange(len(drawn_labels)), metric, draws=0
        )
        assert part(weights)[0] == pytest.approx(expected[0, 0], abs=1e-6)


def test_the_bootstrap_of_a_difference_is_paired(cell):
    labels, scores, patients = cell
    found = stats.bootstrap(labels, scores, patients, control=scores, draws=50)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, metric=st.sampled_from(sorted(CLOSED_FORM)))
def test_names_and_order_of_patients_and_images_do_not_matter(seed, metric):
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 40, 120)
    labels = rng.integers(0, 2, 120)
    scores = np.round(rng.random((2, 120)), 2)
    order, names = rng.permutation(120), rng.permutation(1000)[:40]
    one = stats.interval(labels, scores, patients, metric=metric)
    other = stats.interval(labels[order], scores[:, order], names[patients[order]], metric=metric)
    for part in ("mean", "low", "high", "df"):
        assert getattr(one, part) == pytest.approx(getattr(other, part), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_auroc_depends_on_the_order_of_scores_only(seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 100), np.round(rng.normal(size=(2, 100)), 1)
    patients = rng.integers(0, 50, 100)
    one, other = (stats.interval(labels, of, patients) for of in (scores, np.exp(scores) * 7 - 3))
    assert (one.mean, one.low, one.high) == (other.mean, other.low, other.high)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, metric=st.sampled_from(["auroc", "accuracy", "brier"]))
def test_images_written_twice_do_not_narrow_the_interval(seed, metric):
    rng = np.random.default_rng(seed)
    labels, scores, patients = rng.integers(0, 2, 90), rng.random((2, 90)), rng.integers(0, 60, 90)
    one = stats.interval(labels, scores, patients, metric=metric)
    twice = stats.interval(np.tile(labels, 2), np.tile(scores, 2), np.tile(patients, 2), metric=metric)
    assert (twice.low, twice.high) == pytest.approx((one.low, one.high), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_exchanging_the_two_checkpoints_changes_the_sign(seed):
    rng = np.random.default_rng(seed)
    labels, patients = rng.integers(0, 2, 80), rng.integers(0, 50, 80)
    a, b = rng.random((2, 80)), rng.random((3, 80))
    one, other = stats.compare(labels, a, b, patients), stats.compare(labels, b, a, patients)
    assert one.p == pytest.approx(other.p)
    assert (one.low, one.high, one.delta) == pytest.approx((-other.high, -other.low, -other.delta))


def few(positives):
    labels = np.zeros(200, dtype=int)
    labels[:positives] = 1
    return labels, np.random.default_rng(9).random((2, 200)) + 0.3 * labels, np.arange(200)


def test_no_interval_below_ten_positive_patients():
    found = stats.interval(*few(9))
    assert found.low is None and found.high is None and "10" in found.note and 0 < found.mean < 1
    labels, scores, patients = few(9)
    other = stats.compare(labels, scores, scores[::-1], patients, margin=0.5)
    assert other.p is None and other.low is None and other.verdict == "undecided" and other.note
    assert stats.interval(*few(10)).low is not None


def test_positive_patients_are_counted_and_not_their_images():
    labels, scores, _ = few(40)
    assert stats.interval(labels, scores, np.arange(200) // 5).low is None  # eight patients
    assert stats.interval(labels, scores, np.arange(200) // 4).low is not None


def test_a_label_with_few_positives_is_not_in_the_mean():
    rng = np.random.default_rng(10)
    labels = rng.integers(0, 2, (100, 3)).astype(float)
    labels[:, 1] = 0
    labels[:3, 1] = 1
    labels[5:9, 0] = np.nan
    scores = rng.random((2, 100, 3))
    found = stats.interval(labels, scores, np.arange(100))
    assert found.left_out == (1,) and found.labels == 2
    known = ~np.isnan(labels[:, 0])
    areas = [[roc_auc_score(labels[known, 0], run[known, 0]), roc_auc_score(labels[:, 2], run[:, 2])] for run in scores]
    assert found.mean == pytest.approx(np.mean(areas))


def test_perfect_runs_have_a_bound_on_one_side_only():
    labels = np.arange(60) % 2
    found = stats.interval(labels, labels + np.zeros((3, 60)), np.arange(60))
    assert found.mean == 1 and found.low is None and found.high is None
    assert "above 0.9" in found.note  # 0.05 ** (1 / 30)


def test_one_class_has_no_value():
    found = stats.interval(np.ones(30, dtype=int), np.random.default_rng(0).random((2, 30)), np.arange(30))
    assert np.isnan(found.mean) and found.low is None and found.note


def broken(scores):
    scores = scores.copy()
    scores[0, 3] = np.nan
    return scores


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda labels, scores, patients: (labels, broken(scores), patients), "predictions-not-finite"),
        (lambda labels, scores, patients: (labels[:-1], scores, patients), "scores-shape-wrong"),
        (lambda labels, scores, patients: (labels, scores, patients[:-1]), "groups-length-mismatch"),
        (lambda labels, scores, patients: (labels[:0], scores[:, :0], patients[:0]), "split-empty"),
        (lambda labels, scores, patients: (labels, scores[None, None], patients), "scores-shape-wrong"),
        (lambda labels, scores, patients: (labels + 1, scores, patients), "labels-invalid"),
    ],
)
def test_wrong_arrays_are_errors_and_no_numbers(cell, change, code):
    with raises(ResultError, code):
        stats.interval(*change(*cell))


def test_wrong_options_are_errors(cell):
    labels, scores, patients = cell
    with raises(ResultError, "metric-without-closed-form"):
        stats.interval(labels, scores, patients, metric="f1")
    with raises(ResultError, "metric-unknown"):
        stats.bootstrap(labels, scores, patients, metric="f9")
    for margin in (0, -0.1, float("nan"), float("inf")):
        with raises(ResultError, "margin-not-positive"):
            stats.compare(labels, scores, scores, patients, margin=margin)
    for level in (0, 1, 95, float("nan")):
        with raises(ResultError, "level-out-of-range"):
            stats.interval(labels, scores, patients, level=level)
