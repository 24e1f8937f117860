"""Holm and the tests over few values, against scipy and statsmodels."""

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests

from medzoo.bench.statistics.hypothesis_tests import holm, nadeau_bengio, population_sd, two_sample_t, welch
from medzoo.errors import ResultError


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize(("ours", "equal"), [(welch, False), (two_sample_t, True)])
def test_the_tests_of_the_studies_are_those_of_scipy(ours, equal):
    rng = np.random.default_rng(0)
    for sizes in ((3, 3), (5, 3), (10, 10)):
        first, second = (rng.normal(0.8, 0.02, size) for size in sizes)
        expected = reference.ttest_ind(first, second, equal_var=equal)
        found = ours(first, second)
        interval = expected.confidence_interval(0.95)
        assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, interval.low, interval.high))


def test_nadeau_bengio_without_overlap_is_the_t_test():
    values = np.random.default_rng(1).normal(size=8)
    assert nadeau_bengio(values, 0.0).p == pytest.approx(reference.ttest_1samp(values, 0).pvalue)


def test_nadeau_bengio_holds_its_level_where_the_t_test_does_not():
    """Ten random halves of the same images: the values of overlapping training sets are alike."""
    rng, ours, plain = np.random.default_rng(2), [], []
    for _ in range(1500):
        # a common part of all splits makes the variance of the mean larger than the spread shows
        values = rng.normal(scale=0.45) + rng.normal(size=10)
        ours.append(nadeau_bengio(values, 0.25).p < 0.05)
        plain.append(reference.ttest_1samp(values, 0).pvalue < 0.05)
    assert np.mean(ours) < 0.08 < 0.15 < np.mean(plain)


def test_equal_values_have_no_spread():
    assert welch([0.5, 0.5], [0.5, 0.5]).p == 1
    assert welch([0.6, 0.6], [0.5, 0.5]).p == 0
    assert population_sd([0.5, 0.5]) == 0


@pytest.mark.parametrize(
    "test", [lambda: welch([1.0], [1.0, 2.0]), lambda: two_sample_t([1.0], [2.0]), lambda: nadeau_bengio([1.0], 0.2)]
)
def test_one_value_is_no_test(test):
    with raises(ResultError, "too-few-values"):
        test()
