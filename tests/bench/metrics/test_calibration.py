"""Thresholds and temperatures chosen on validation: the best ones, and robust ones where there is no best one."""

import json

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from medzoo.bench import metrics
from medzoo.bench.metrics.temperature import HIGHEST, LOWEST
from medzoo.errors import ResultError

SCORED = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def youden(labels, said):
    return metrics.sensitivity(labels, said) + metrics.specificity(labels, said)


# thresholds


@settings(max_examples=150, deadline=None)
@given(SCORED)
def test_no_threshold_is_better(pairs):
    labels = np.array([one for one, _ in pairs], dtype=int)
    scores = np.array([two for _, two in pairs]) / 8
    for rule, value in (("youden", youden), ("f1", f1_score)):
        (threshold,) = metrics.choose_thresholds(labels, scores, "binary", rule)
        if len(set(labels)) < 2:
            assert threshold is None
            continue
        others = [*scores, *(scores + 0.01)]
        best = max(value(labels, scores >= other) for other in others)
        assert value(labels, scores >= threshold) == pytest.approx(best, abs=1e-12)
        lower = [other for other in scores if other < threshold]
        if lower:  # of equally good thresholds, the lowest
            assert value(labels, scores >= max(lower)) < best - 1e-13


def test_a_threshold_is_between_two_probabilities():
    """Rounding the stored probabilities does not change a decision."""
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.5, 0.9])
    assert metrics.choose_thresholds(labels, scores, "binary") == [pytest.approx(0.4)]
    assert metrics.choose_thresholds(labels, np.stack([1 - scores, scores], 1), "binary") == [pytest.approx(0.4)]
    near = np.array([0.5, np.nextafter(0.5, 1)])
    (threshold,) = metrics.choose_thresholds([0, 1], near, "binary")
    assert ((near >= threshold) == [False, True]).all()
    assert metrics.choose_thresholds([1, 0], [0.2, 0.8], "binary") == [pytest.approx(0.1)], (
        "all positive, never below 0"
    )


def test_each_label_has_its_own_threshold_and_its_own_cases():
    labels = np.array([[0, 1, np.nan], [1, 1, np.nan], [np.nan, 1, np.nan], [1, 1, np.nan]])
    scores = np.array([[0.2, 0.1, 0.1], [0.4, 0.2, 0.2], [0.9, 0.3, 0.3], [0.8, 0.4, 0.4]])
    assert metrics.choose_thresholds(labels, scores, "multilabel") == [pytest.approx(0.3), None, None]
    classes = np.array([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.3, 0.4, 0.3]])
    chosen = metrics.choose_thresholds([0, 1, 0], classes, "multiclass")
    assert chosen == [pytest.approx(0.2), pytest.approx(0.5), None]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (([0, 1], [0.1, 0.2], "binary", "best"), "threshold-rule-unknown"),
        (([0, 1], [0.1, 0.2], "regression"), "task-kind-not-supported"),
        (([0, 1], [0.1, 2.0], "binary"), "probabilities-out-of-range"),
        (([0, 2], [0.1, 0.2], "binary"), "labels-invalid"),
        (([0, 1], [0.1, 0.2], "multiclass"), "probabilities-shape-wrong"),
    ],
)
def test_wrong_choices(arguments, code):
    with raises(ResultError, code):
        metrics.choose_thresholds(*arguments)


# temperature


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("true", [0.3, 1.0, 3.0])
def test_the_temperature_of_drawn_labels_is_found(kind, true):
    """Labels drawn with logits / true: that is the temperature, but for the noise of 20,000 cases."""
    rng = np.random.default_rng(0)
    if kind == "multiclass":
        logits = rng.normal(0, 3, (20_000, 5))
        labels = (logits / true + rng.gumbel(size=logits.shape)).argmax(axis=1)
    else:
        logits = rng.normal(0, 3, 20_000 if kind == "binary" else (10_000, 2))
        labels = (rng.random(logits.shape) < sigmoid(logits / true)).astype(float)
        if kind == "multilabel":
            labels[:3000, 0] = np.nan
    found = metrics.fit_temperature(labels, logits, kind, logits=True)
    assert found == pytest.approx(true, rel=0.06)
    probabilities = metrics.apply_temperature(logits, 1, kind, logits=True)
    assert metrics.fit_temperature(labels, probabilities, kind) == pytest.approx(found, rel=0.02)
    again = metrics.apply_temperature(probabilities, found, kind)
    assert again == pytest.approx(metrics.apply_temperature(logits, found, kind, logits=True), abs=1e-6)
    if kind == "multiclass":
        for other in (found * 0.95, found * 1.05):
            scaled = metrics.apply_temperature(logits, other, kind, logits=True)
            assert log_loss(labels, scaled) > log_loss(labels, again)


def test_a_binary_task_has_one_temperature_in_both_forms():
    rng = np.random.default_rng(1)
    scores, labels = rng.random(200), rng.integers(0, 2, 200)
    both = np.stack([1 - scores, scores], axis=1)
    assert metrics.fit_temperature(labels, both, "binary") == pytest.approx(
        metrics.fit_temperature(labels, scores, "binary")
    )
    two = metrics.apply_temperature(both, 1.7, "binary")
    assert two[:, 1] == pytest.approx(metrics.apply_temperature(scores, 1.7, "binary")) and two.sum(1) == pytest.approx(
        1
    )


@pytest.mark.parametrize(
    ("labels", "scores", "kind", "expected"),
    [
        ([0, 1, 1], [0.4, 0.6, 0.9], "binary", 1.0),  # perfect separation: the log loss falls for ever
        ([0, 1], [[0.9, 0.1], [0.2, 0.8]], "multiclass", 1.0),
        ([0, 1, 1], [0.5, 0.5, 0.5], "binary", 1.0),  # no case tells the classes apart
        ([[np.nan]], [[0.3]], "multilabel", 1.0),  # no annotation
        ([1, 0, 0], [0.1, 0.9, 0.8], "binary", HIGHEST),  # everything is wrong: as even as allowed
        ([0, 1], [0.0, 1.0], "binary", 1.0),  # saturated and right
        ([1, 0], [0.0, 1.0], "binary", HIGHEST),  # saturated and wrong
        ([0] * 999 + [1] * 999 + [1], [0.499] * 999 + [0.501] * 1000, "binary", 1.0),
        ([0] * 999 + [1] * 999 + [0], [0.499] * 999 + [0.501] * 1000, "binary", LOWEST),
    ],
)
def test_a_temperature_where_the_log_loss_has_no_minimum(labels, scores, kind, expected):
    assert metrics.fit_temperature(np.array(labels), np.array(scores), kind) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.05, 20))
def test_a_temperature_keeps_the_order_and_the_decisions(scores, temperature):
    scores = np.array(scores)
    scaled = metrics.apply_temperature(scores, temperature, "binary")
    order = np.argsort(scores, kind="stable")
    assert (np.diff(scaled[order]) >= -1e-15).all() and ((scaled >= 0) & (scaled <= 1)).all()
    assert ((scaled > 0.5 + 1e-9) <= (scores > 0.5)).all() and ((scaled < 0.5 - 1e-9) <= (scores < 0.5)).all()
    assert (metrics.apply_temperature(scores, 1, "binary") == scores).all()


def test_extreme_logits_stay_finite():
    logits = np.array([-2000.0, 0.0, 2000.0])
    assert metrics.apply_temperature(logits, 0.05, "binary", logits=True).tolist() == [0, 0.5, 1]
    assert np.isfinite(metrics.fit_temperature([0, 1, 0], logits, "binary", logits=True))
    assert metrics.apply_temperature(np.array([[0, 1.0, 0]]), 5, "multiclass").tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: metrics.fit_temperature([0, 1], [-1.0, 2.0], "binary"), "probabilities-out-of-range"),
        (lambda: metrics.fit_temperature([0, 1], [0.1, np.nan], "binary"), "predictions-not-finite"),
        (lambda: metrics.fit_temperature([0, 3], [0.1, 0.2], "binary"), "labels-invalid"),
        (lambda: metrics.fit_temperature([0], [0.1, 0.2], "binary"), "labels-shape-wrong"),
        (lambda: metrics.fit_temperature([0, 1], [0.1, 0.2], "segmentation"), "task-kind-not-supported"),
        (lambda: metrics.apply_temperature([0.1], 0, "binary"), "temperature-not-positive"),
        (lambda: metrics.apply_temperature([0.1], 2, "multiclass"), "probabilities-shape-wrong"),
        (lambda: metrics.Calibration(float("nan")), "temperature-not-positive"),
        (lambda: metrics.Calibration(1, {"a": None}), "threshold-invalid"),
        (lambda: metrics.Calibration(1, {}, "best"), "threshold-rule-unknown"),
        (lambda: metrics.Calibration.from_dict({"temperature": 1}), "calibration-fields-wrong"),
        (lambda: metrics.Calibration.from_dict({**STORED, "more": 1}), "calibration-fields-wrong"),
        (lambda: metrics.Calibration.from_dict({**STORED, "thresholds": {"a": 0.5}}), "calibration-fields-wrong"),
        (lambda: metrics.Calibration.from_dict({**STORED, "rule": "f1"}), "calibration-fields-wrong"),
        (lambda: metrics.Calibration.from_dict({**STORED, "temperature": "1"}), "temperature-not-positive"),
    ],
)
def test_wrong_input_is_refused(call, code):
    with raises(ResultError, code):
        call()


STORED = metrics.Calibration(1.25, {"a": 0.3}).to_dict()


def test_a_calibration_survives_json():
    """Its thresholds have the form of `selection.thresholds` in the schema of results."""
    from medzoo.bench.results.schema import RESULT, _check

    rng = np.random.default_rng(2)
    labels, scores = rng.integers(0, 2, (50, 3)).astype(float), rng.random((50, 3))
    labels[:, 2] = np.nan
    made = metrics.calibrate("multilabel", ("a", "b", "c"), labels, scores, "f1")
    assert metrics.Calibration.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert set(made.thresholds) == {"a", "b"} and made.rule == "f1"
    _check(made.to_dict()["thresholds"], RESULT["selection"]["thresholds?"], "selection.thresholds")


def test_calibrated_probabilities_are_calibrated_and_decided():
    """From validation to test: fit, apply, and take the thresholds to the rows."""
    rng = np.random.default_rng(3)
    logits = rng.normal(-1, 2, 8000)
    labels = (rng.random(8000) < sigmoid(logits)).astype(int)
    sharp = sigmoid(3 * logits)  # over-confident
    chosen = metrics.calibrate("binary", ("no", "yes"), labels[:4000], sharp[:4000])
    test = metrics.apply_temperature(sharp[4000:], chosen.temperature, "binary")
    assert chosen.temperature == pytest.approx(3, rel=0.1)
    assert metrics.ece(labels[4000:], test) < 0.03 < metrics.ece(labels[4000:], sharp[4000:])
    rows = metrics.compute("binary", ("no", "yes"), labels[4000:], test, thresholds=chosen.thresholds)
    found = {row["name"]: row["value"] for row in rows}
    assert found["sensitivity_at_threshold"] == metrics.sensitivity(labels[4000:], test >= chosen.thresholds["yes"])
    assert found["auroc"] == pytest.approx(metrics.auroc(labels[4000:], sharp[4000:]), abs=1e-9)
