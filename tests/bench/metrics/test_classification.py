"""Metrics of classification against scikit-learn on drawn inputs with ties, by hand, and where they are undefined."""

import warnings

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from medzoo.bench import metrics
from medzoo.errors import ResultError, UndefinedMetricError

CASES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)
SCORED = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=60)


def value_or_none(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except UndefinedMetricError:
        return None


def of_oracle(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def split(pairs):
    return np.array([one for one, _ in pairs], dtype=int), np.array([two for _, two in pairs])


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_decisions_equal_scikit_learn(pairs):
    labels, said = split(pairs)
    assert (metrics.confusion_matrix(labels, said, 4) == oracle.confusion_matrix(labels, said, labels=range(4))).all()
    assert metrics.accuracy(labels, said, 4) == pytest.approx(oracle.accuracy_score(labels, said))
    macro = of_oracle(oracle.f1_score, labels, said, average="macro")
    assert metrics.macro_f1(labels, said, 4) == pytest.approx(macro, abs=1e-12)
    if len(set(labels)) > 1:
        balanced = of_oracle(oracle.balanced_accuracy_score, labels, said)
        assert metrics.balanced_accuracy(labels, said, 4) == pytest.approx(balanced, abs=1e-12)
    for weights in (None, "quadratic"):
        mine = value_or_none(metrics.kappa, labels, said, 4, weights=weights)
        if mine is None:
            assert len({*labels, *said}) == 1
            continue
        theirs = of_oracle(oracle.cohen_kappa_score, labels, said, labels=range(4), weights=weights)
        assert mine == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_decisions_of_one_label_equal_scikit_learn(pairs):
    labels, said = split(pairs)
    f1 = value_or_none(metrics.f1, labels, said)
    assert (f1 is None) == (not labels.any() and not said.any())
    if f1 is not None:
        assert f1 == pytest.approx(of_oracle(oracle.f1_score, labels, said), abs=1e-12)
    recall = {k: of_oracle(oracle.recall_score, labels, said, pos_label=k) for k in (0, 1)}
    for k, function in ((1, metrics.sensitivity), (0, metrics.specificity)):
        mine = value_or_none(function, labels, said)
        assert mine == pytest.approx(recall[k]) if k in labels else mine is None


@settings(max_examples=100, deadline=None)
@given(SCORED)
def test_scores_of_one_label_equal_scikit_learn(pairs):
    labels, scores = split(pairs)
    scores = scores / 8
    assert metrics.brier(labels, scores) == pytest.approx(np.mean((scores - labels) ** 2), abs=1e-12)
    if len(set(labels)) < 2:
        reason = "no negative case" if labels[0] else "no positive case"
        for function in (metrics.auroc, metrics.auprc, metrics.sensitivity_at_specificity):
            with raises(UndefinedMetricError, "metric-undefined", match=reason):
                function(labels, scores)
        return
    assert metrics.brier(labels, scores) == pytest.approx(oracle.brier_score_loss(labels, scores), abs=1e-12)
    false_positive, true_positive, _ = oracle.roc_curve(labels, scores, drop_intermediate=False)
    for specificity in (0.0, 0.5, 0.8, 0.9, 1.0):
        best = true_positive[1 - false_positive >= specificity - 1e-9].max()
        assert metrics.sensitivity_at_specificity(labels, scores, specificity) == pytest.approx(best, abs=1e-12)
        threshold = metrics.threshold_at_specificity(labels, scores, specificity)
        assert metrics.sensitivity(labels, scores >= threshold) == pytest.approx(best, abs=1e-12)
        assert metrics.specificity(labels, scores >= threshold) >= specificity - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_brier_of_classes_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
    expected = oracle.brier_score_loss(labels, scores, labels=range(4), scale_by_half=False)
    assert metrics.brier(labels, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_bins", [2, 5, 15])
def test_bins_of_equal_mass_equal_scikit_learn_without_ties(n_bins):
    rng = np.random.default_rng(n_bins)
    labels, scores = rng.integers(0, 2, 60), rng.permutation(60) / 60
    shares, means = calibration_curve(labels, scores, n_bins=n_bins, strategy="quantile")
    mine = metrics.reliability(labels, scores, n_bins)
    assert mine[0] == pytest.approx(means) and mine[1] == pytest.approx(shares)
    assert (mine[2] == 60 // n_bins).all()
    assert metrics.ece(labels, scores, n_bins) == pytest.approx(np.mean(np.abs(means - shares)))


@settings(max_examples=60, deadline=None)
@given(SCORED, st.integers(1, 20), st.randoms())
def test_calibration_error_does_not_depend_on_the_order_of_cases(pairs, n_bins, random):
    labels, scores = split(pairs)
    before = metrics.ece(labels, scores / 8, n_bins)
    means, shares, sizes = metrics.reliability(labels, scores / 8, n_bins)
    assert sizes.sum() == len(labels) and len(sizes) <= n_bins and (np.diff(means) > 0).all()
    assert np.dot(shares, sizes) == pytest.approx(labels.sum()) and 0 <= before <= 1
    random.shuffle(pairs)
    labels, scores = split(pairs)
    assert metrics.ece(labels, scores / 8, n_bins) == pytest.approx(before, abs=1e-12)


def test_calibration_error_by_hand():
    """Two bins of two: |0.2 - 1/2| and |0.8 - 1|, half the cases each. All equal: one bin, |0.7 - 1/2|."""
    assert metrics.ece([0, 1, 1, 1], [0.1, 0.3, 0.7, 0.9], 2) == pytest.approx((0.3 + 0.2) / 2)
    assert metrics.ece([0, 1, 0, 1], [0.7] * 4, 15) == pytest.approx(0.2)
    # equal probabilities share the bin of their middle: places 1 to 4 have the middle 2.5, in the second bin of 0 to 2 to 4
    assert metrics.reliability([0, 1, 0, 1], [0.1, 0.2, 0.2, 0.2], 2)[2].tolist() == [1, 3]
    # of classes: the highest probability, 0.6 and 0.8, against right and wrong
    scores = np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    assert metrics.ece([0, 1], scores, 2) == pytest.approx((0.4 + 0.8) / 2)
    assert metrics.ece([0, 1], scores, 1) == pytest.approx(abs(0.7 - 0.5))


def test_kappa_by_hand():
    """2 of 3 grades right, one wrong by two grades: weight 4; by chance, labels 0, 1, 2 against 0, 1, 0."""
    labels, said = np.array([0, 1, 2]), np.array([0, 1, 0])
    expected = np.outer([1, 1, 1], [2, 1, 0]) / 3
    weight = np.array([[0, 1, 4], [1, 0, 1], [4, 1, 0]])
    assert metrics.kappa(labels, said, 3, weights="quadratic") == pytest.approx(1 - 4 / (weight * expected).sum())
    assert metrics.kappa(labels, said, 3) == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))
    assert metrics.kappa(labels, labels, 3) == 1
    with raises(UndefinedMetricError, "metric-undefined"):
        metrics.kappa([1, 1], [1, 1])


@pytest.mark.parametrize(
    ("function", "labels", "values", "code"),
    [
        (metrics.auroc, [0, 1], [0.1, np.nan], "predictions-not-finite"),
        (metrics.auroc, [0, 2], [0.1, 0.2], "labels-invalid"),
        (metrics.auroc, [0, np.nan], [0.1, 0.2], "labels-invalid"),
        (metrics.auprc, [0, 1], [[0.1], [0.2]], "labels-shape-wrong"),
        (metrics.auprc, [0, 1, 1], [0.1, 0.2], "labels-shape-wrong"),
        (metrics.brier, [0, 1], [0.1, 1.2], "probabilities-out-of-range"),
        (metrics.brier, [0, 3], [[0.1, 0.9], [0.2, 0.8]], "labels-invalid"),
        (metrics.ece, [0, 1], [0.1, np.inf], "predictions-not-finite"),
        (metrics.ece, [], [], "metric-undefined"),
        (metrics.f1, [0, 1], [0, 2], "labels-invalid"),
        (metrics.accuracy, [0, 1], [0.0, 0.5], "labels-invalid"),
        (metrics.accuracy, [0, 1], [0], "labels-shape-wrong"),
        (metrics.kappa, [], [], "metric-undefined"),
        (metrics.prevalence, [], (), "metric-undefined"),
    ],
)
def test_wrong_input_is_refused(function, labels, values, code):
    with raises(ResultError, code):
        function(np.array(labels), *([] if values == () else [np.array(values)]))


def test_a_specificity_outside_0_and_1():
    with raises(ResultError, "specificity-out-of-range"):
        metrics.sensitivity_at_specificity([0, 1], [0.1, 0.2], 90)


# rows


def of(rows, name, label=None):
    return next(row for row in rows if row["name"] == name and row["label"] == label)


def test_every_row_is_a_known_metric_or_the_prevalence():
    rng = np.random.default_rng(0)
    rows = [
        *metrics.compute("binary", "ab", rng.integers(0, 2, 30), rng.random(30), thresholds={"b": 0.4}),
        *metrics.compute("multiclass", "abc", rng.integers(0, 3, 30), rng.dirichlet(np.ones(3), 30)),
        *metrics.compute("multilabel", "ab", rng.integers(0, 2, (30, 2)), rng.random((30, 2))),
        *metrics.compute("regression", (), rng.random(30), rng.random(30)),
    ]
    assert {row["name"] for row in rows} <= {*metrics.METRICS, *metrics.CONTEXT}
    assert not {*metrics.METRICS} & metrics.CONTEXT


@pytest.mark.parametrize("seed", range(2))
def test_rows_of_classes_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 4, 90), rng.dirichlet(np.ones(4), 90).round(2)
    scores /= scores.sum(axis=1, keepdims=True)
    said = scores.argmax(axis=1)
    rows = metrics.compute("multiclass", "abcd", labels, scores)
    assert of(rows, "f1")["value"] == pytest.approx(oracle.f1_score(labels, said, average="macro"))
    assert of(rows, "f1", "b")["value"] == pytest.approx(oracle.f1_score(labels == 1, said == 1))
    assert of(rows, "kappa")["value"] == pytest.approx(oracle.cohen_kappa_score(labels, said))
    quadratic = oracle.cohen_kappa_score(labels, said, weights="quadratic")
    assert of(rows, "quadratic_kappa")["value"] == pytest.approx(quadratic)
    assert of(rows, "prevalence", "c")["value"] == (labels == 2).mean()
    assert of(rows, "ece")["value"] == metrics.ece(labels, scores)
    each = [metrics.sensitivity_at_specificity(labels == k, scores[:, k], 0.9) for k in range(4)]
    assert of(rows, "sensitivity_at_specificity_90")["value"] == pytest.approx(np.mean(each))
    assert of(rows, "sensitivity_at_specificity_90", "d")["value"] == each[3]


def test_rows_of_several_labels():
    """By hand; the label without annotation has reasons, and is in no mean."""
    labels = np.array([[1, 0, np.nan], [0, 0, np.nan], [1, 0, np.nan], [0, np.nan, np.nan]])
    scores = np.array([[0.9, 0.6, 0.1], [0.2, 0.4, 0.1], [0.4, 0.1, 0.1], [0.3, 0.1, 0.1]])
    rows = metrics.compute("multilabel", "abc", labels, scores)
    assert of(rows, "f1", "a")["value"] == pytest.approx(2 / 3) and of(rows, "f1", "b")["value"] == 0
    assert of(rows, "f1")["value"] == pytest.approx(1 / 3) and of(rows, "f1")["n_labels"] == 2
    assert of(rows, "prevalence", "a")["value"] == 0.5 and of(rows, "prevalence", "b")["value"] == 0
    assert of(rows, "balanced_accuracy", "a")["value"] == 0.75 and of(rows, "kappa", "a")["value"] == 0.5
    assert of(rows, "balanced_accuracy", "b")["undefined"] == metrics.ONE_CLASS
    assert of(rows, "brier", "b")["value"] == pytest.approx((0.36 + 0.16 + 0.01) / 3)
    missing = [row for row in rows if row["label"] == "c"]
    assert {row["undefined"] for row in missing} == {"no case was annotated"} and {row["n"] for row in missing} == {0}
    assert all((row["value"] is None) == (row["undefined"] is not None) for row in rows)


def test_rows_at_stored_thresholds():
    labels, scores = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.35, 0.3, 0.4, 0.9])
    plain = metrics.compute("binary", "ny", labels, scores)
    assert not [row for row in plain if row["name"].endswith("_at_threshold")]
    rows = metrics.compute("binary", "ny", labels, scores, thresholds={"y": 0.35})
    assert rows[: len(plain)] == plain, "a threshold changes no other metric"
    stored = {row["name"]: row["value"] for row in rows[len(plain) :]}
    assert stored == {
        "sensitivity_at_threshold": pytest.approx(2 / 3),
        "specificity_at_threshold": 0.5,
        "f1_at_threshold": pytest.approx(2 / 3),
        "accuracy_at_threshold": 0.6,
    }
    several = metrics.compute(
        "multilabel", "ab", np.array([[0, 1], [1, 0]]), np.full((2, 2), 0.2), thresholds={"a": 0.2}
    )
    assert of(several, "sensitivity_at_threshold", "a")["value"] == 1
    assert of(several, "specificity_at_threshold", "a")["value"] == 0
    assert of(several, "sensitivity_at_threshold", "b")["undefined"] == "no threshold was chosen for it"
    assert of(several, "sensitivity_at_threshold")["n_labels"] == 1
    with raises(ResultError, "threshold-label-unknown", match="edema"):
        metrics.compute("binary", "ny", labels, scores, thresholds={"edema": 0.2})


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_chosen_names_are_the_same_rows(kind):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (40, 2) if kind == "multilabel" else 40)
    scores = rng.dirichlet(np.ones(2), 40)
    rows = metrics.compute(kind, "ab", labels, scores)
    for name in {row["name"] for row in rows}:
        assert metrics.compute(kind, "ab", labels, scores, names=(name,)) == [
            row for row in rows if row["name"] == name
        ]
