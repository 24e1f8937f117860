"""Few patients, few runs, no variance: the cases in which a t interval is too narrow if it is computed without care."""

import numpy as np
import pytest

from medzoo.bench import stats
from medzoo.bench.statistics.closed_form import contributions
from medzoo.bench.statistics.comparison import difference
from medzoo.bench.statistics.crossed import estimate


def test_runs_do_not_replace_patients():
    """Five runs that agree on two patients: one degree of freedom, and not four."""
    values = np.tile([0.7, 0.9], (5, 1)) + 1e-6 * np.random.default_rng(14).normal(size=(5, 2))
    found = stats.interval(np.zeros(2), values, np.arange(2), metric="mean")
    assert found.df == pytest.approx(1, abs=0.01)
    assert found.high - found.low == pytest.approx(2 * 12.706 * 0.1, rel=0.01)


def test_values_without_variance_show_nothing():
    labels, perfect = np.arange(20) % 2, np.tile(np.arange(20) % 2, (3, 1)).astype(float)
    found = stats.compare(labels, perfect, perfect, np.arange(20), margin=0.02)
    assert found.verdict == "undecided" and found.low is None and found.note  # ten patients of each class
    many = np.arange(400) % 2
    found = stats.compare(many, many + np.zeros((3, 400)), many + np.zeros((3, 400)), np.arange(400), margin=0.02)
    assert found.verdict == "equivalent"
    nothing = stats.interval(np.zeros(20), np.zeros((1, 20)), np.arange(20), metric="mean")  # such as Dice 0 everywhere
    assert nothing.mean == 0 and nothing.low is None and nothing.note


def test_one_run_takes_the_variance_of_the_other_seeds():
    """The level holds for one run against five; with the variance of its seeds as 0, 30 % would be significant."""
    rng, false = np.random.default_rng(15), 0
    for _ in range(400):
        cases = rng.normal(size=60)
        one, five = (cases + rng.normal(size=(count, 1)) + 0.3 * rng.normal(size=(count, 60)) for count in (1, 5))
        found = stats.compare(np.zeros(60), one, five, np.arange(60), metric="mean")
        false += found.p < 0.05
        assert found.note and found.runs == (1, 5)
    assert false < 400 * 0.08


def test_unequal_numbers_of_runs_count_as_the_smaller_one_for_the_resolution():
    rng = np.random.default_rng(16)
    first, second = (rng.normal(size=(count, 1)) + rng.normal(size=(count, 80)) for count in (5, 4))
    cells = [contributions(np.zeros(80), scores, np.arange(80), "mean") for scores in (first, second)]
    one, two = (estimate(cell.values, cell.vectors, cell.cases_df).run_variance for cell in cells)
    assert difference(*cells).run_variance / 4 == pytest.approx(one / 5 + two / 4)
