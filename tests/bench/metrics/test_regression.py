"""Metrics of regression against scikit-learn and scipy, by hand, and where they are undefined."""

import numpy as np
import pytest
from expect import raises
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from medzoo.bench import metrics
from medzoo.errors import ResultError, UndefinedMetricError

NUMBERS = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=40)


@settings(max_examples=100, deadline=None)
@given(NUMBERS)
def test_equal_to_scikit_learn_and_scipy(pairs):
    from scipy.stats import pearsonr

    labels, said = (np.array(values) / 4 for values in zip(*pairs, strict=True))
    assert metrics.mae(labels, said) == pytest.approx(oracle.mean_absolute_error(labels, said), abs=1e-12)
    assert metrics.rmse(labels, said) == pytest.approx(oracle.root_mean_squared_error(labels, said), abs=1e-12)
    assume(np.ptp(labels) > 0)
    assert metrics.r2(labels, said) == pytest.approx(oracle.r2_score(labels, said), abs=1e-9)
    assume(np.ptp(said) > 0)
    assert metrics.pearson(labels, said) == pytest.approx(pearsonr(labels, said)[0], abs=1e-9)


def test_rows_by_hand():
    rows = {
        row["name"]: row for row in metrics.compute("regression", ("age",), [1, 2, 3], [[1], [2], [5]], ["a", "a", "b"])
    }
    assert rows["mae"]["value"] == pytest.approx(2 / 3) and rows["rmse"]["value"] == pytest.approx(np.sqrt(4 / 3))
    assert rows["r2"]["value"] == pytest.approx(1 - 4 / 2)
    assert rows["pearson"]["value"] == pytest.approx(4 / np.sqrt(2 * 78 / 9))
    assert {(row["n"], row["n_patients"], row["n_pos"], row["label"]) for row in rows.values()} == {(3, 2, None, None)}
    assert metrics.compute("regression", (), np.array([[1], [2], [3]]), [1, 2, 5], ["a", "a", "b"]) == list(
        rows.values()
    )


@pytest.mark.parametrize(
    ("labels", "said", "undefined"),
    [
        ([2, 2, 2], [1, 2, 3], {"r2": "all labels are equal", "pearson": "all labels are equal"}),
        ([0.1, 0.1, 0.1], [1, 2, 3], {"r2": "all labels are equal", "pearson": "all labels are equal"}),
        ([1, 2, 3], [0.1, 0.1, 0.1], {"pearson": "all predictions are equal"}),
        ([1], [2], {"r2": "all labels are equal", "pearson": "all labels are equal"}),
    ],
)
def test_undefined_where_constant(labels, said, undefined):
    rows = metrics.compute("regression", (), labels, said)
    assert {row["name"]: row["undefined"] for row in rows if row["value"] is None} == undefined
    with raises(UndefinedMetricError, "metric-undefined"):
        metrics.pearson(labels, said)


def test_tiny_differences_have_a_correlation():
    assert metrics.pearson([0, 1e-170, 2e-170], [1, 2, 3]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "said", "code"),
    [
        ([1, np.nan], [1, 2], "labels-invalid"),
        ([1, 2], [1, np.inf], "predictions-not-finite"),
        ([1, 2], [1, 2, 3], "labels-shape-wrong"),
        ([1, 2], [[1, 2], [3, 4]], "labels-shape-wrong"),
        ([], [], "split-empty"),
    ],
)
def test_wrong_input_is_refused(labels, said, code):
    with raises(ResultError, code):
        metrics.compute("regression", (), labels, said)


def test_a_selection_by_error_takes_the_lower_one():
    assert metrics.validation_score("regression", (), [1, 2], [1, 4], "rmse") == pytest.approx(-np.sqrt(2))
    assert metrics.validation_score("regression", (), [1, 2], [1, 4], "pearson") == pytest.approx(1)
    with raises(ResultError, "metric-undefined-on-validation"):
        metrics.validation_score("regression", (), [1, 1], [1, 4], "r2")
