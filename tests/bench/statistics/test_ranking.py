"""Rank intervals, the set of the best, and the winner's value, on checkpoints whose true order is known."""

from itertools import combinations

import numpy as np
import pytest
from simulated_study import Study

from medzoo.bench.statistics.closed_form import contributions
from medzoo.bench.statistics.comparison import compare_cells
from medzoo.bench.statistics.ranking import covariance, ranking


def column(rng, separations, patients=100):
    cells, study = [], Study(runs=3, patients=patients, images=1)
    shown = study.shown(rng)
    for separation in separations:
        one = Study(runs=3, patients=patients, images=1, separation=separation)
        cells.append(contributions(one.labels, one.read(rng, shown), one.groups, "auroc"))
    pairs = list(combinations(range(len(cells)), 2))
    return cells, {(i, j): compare_cells(cells[i], cells[j], "auroc").p for i, j in pairs}


def test_the_ranks_contain_the_true_order():
    rng, wrong, singles = np.random.default_rng(0), 0, 0
    for _ in range(60):
        cells, p = column(rng, (2.5, 1.5, 1.5, 0.3))
        found = ranking(cells, p)
        wrong += not (found.ranks[0][0] == 1 and found.ranks[3][1] == 4 and found.ranks[1][0] <= 3 <= found.ranks[1][1])
        singles += found.ranks[0] == (1, 1)
    assert wrong <= 6 and singles > 30


def test_equal_checkpoints_share_all_ranks_and_the_best_set():
    rng, whole = np.random.default_rng(1), 0
    for _ in range(60):
        found = ranking(*column(rng, (1.2, 1.2, 1.2)))
        whole += found.ranks == ((1, 3),) * 3 and found.best == (0, 1, 2)
    assert whole >= 54


def test_the_winner_is_corrected_for_having_been_chosen():
    rng, plain, corrected = np.random.default_rng(2), [], []
    truth = Study(patients=100, images=1).truth
    for _ in range(60):
        cells, p = column(rng, (1.2,) * 8)
        found = ranking(cells, p)
        plain.append(cells[found.winner].values.mean() - truth)
        corrected.append(found.winner_value - truth)
    assert abs(np.mean(corrected)) < abs(np.mean(plain)) and np.mean(plain) > 0


def test_a_single_checkpoint_is_not_corrected():
    cells, _ = column(np.random.default_rng(3), (1.2,))
    found = ranking(cells, {})
    assert found.ranks == ((1, 1),) and found.winner_value == pytest.approx(cells[0].values.mean(), abs=5e-4)


def test_where_lower_is_better_the_lowest_wins():
    cells, p = column(np.random.default_rng(4), (0.3, 2.5))
    assert ranking(cells, p, higher_is_better=False).winner == 0
    assert ranking(cells, p, higher_is_better=False).winner_value >= cells[0].values.mean()


def test_the_covariance_gives_the_errors_of_the_intervals():
    from medzoo.bench.statistics.intervals import interval_of

    cells, _ = column(np.random.default_rng(5), (1.0, 1.4))
    errors = [interval_of(cell, "auroc").se for cell in cells]
    assert np.diag(covariance(cells)) ** 0.5 == pytest.approx(errors)
    assert covariance(cells)[0, 1] > 0  # the same patients
