"""Shared neighbours: next to plain loops, invariances, limits and refusals."""

import numpy as np
import pytest
from activation_samples import orthogonal, related, seeds
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.similarity import neighbours
from medzoo.analysis.similarity.measures import cka, cknna, mutual_knn
from medzoo.errors import UsageError


def nearest(x, k, metric):
    """The k nearest samples of each, one after the other."""
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        away = -(x @ x.T)
    else:
        away = ((x[:, None] - x) ** 2).sum(-1)
    return [set(sorted(set(range(len(x))) - {i}, key=lambda j: away[i, j])[:k]) for i in range(len(x))]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(seeds, st.integers(1, 29))
def test_mutual_neighbours_are_those_of_a_plain_loop(metric, seed, k):
    x, y = related(seed, n=30)
    sides = nearest(x, k, metric), nearest(y, k, metric)
    expected = np.mean([len(a & b) / k for a, b in zip(*sides, strict=True)])
    assert mutual_knn(x, y, k, metric=metric) == pytest.approx(expected, abs=1e-12)


def test_blocks_of_rows_change_nothing(monkeypatch):
    x, y = related(0)
    value = mutual_knn(x, y, 5)
    monkeypatch.setattr(neighbours, "ROWS", 7)
    assert mutual_knn(x, y, 5) == value


@given(seeds)
def test_rotations_and_scales_change_nothing(seed):
    x, y = related(seed)
    turned = 7 * x @ orthogonal(seed, 4)
    assert mutual_knn(turned + 100, y, 5) == pytest.approx(mutual_knn(x, y, 5), abs=1e-12)
    assert mutual_knn(turned, y, 5, metric="cosine") == pytest.approx(mutual_knn(x, y, 5, metric="cosine"), abs=1e-12)
    assert mutual_knn(x, turned - 5, 5) == mutual_knn(x, x, 5) == 1
    assert mutual_knn(y, x, 5) == mutual_knn(x, y, 5)
    assert cknna(turned, y, 9) == pytest.approx(cknna(x, y, 9), abs=1e-9)
    assert cknna(x, turned, 9) == pytest.approx(1, abs=1e-9)
    assert cknna(y, x, 9) == pytest.approx(cknna(x, y, 9), abs=0.02)  # the authors' definition is not quite symmetric


def test_cosine_is_not_euclidean():
    x, y = related(1)
    assert mutual_knn(x, x * np.arange(1, 61)[:, None], 5, metric="cosine") == 1
    assert mutual_knn(x, x * np.arange(1, 61)[:, None], 5) < 1
    assert mutual_knn(x + 50, y, 5, metric="cosine") != mutual_knn(x, y, 5, metric="cosine")


def test_independent_layers_share_neighbours_by_chance():
    x, y = np.random.default_rng(0).normal(size=(2, 300, 8))
    assert mutual_knn(x, y, 10) == pytest.approx(10 / 299, abs=0.01)
    assert abs(cknna(x, y, 10)) < 0.1
    assert mutual_knn(x, x + 0.1 * y, 10) > 0.5 < cknna(x, x + 0.1 * y, 10)


def cknna_by_definition(x, y, k):
    """With matrices and masks as the authors have them."""
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    grams, masks = [x @ x.T, y @ y.T], []
    for side in (x, y):
        mask = np.zeros((len(x), len(x)))
        for i, found in enumerate(nearest(side, k, "cosine")):
            mask[i, sorted(found)] = 1
        masks.append(mask)

    def alignment(one, other):
        mask, n, ones = masks[one] * masks[other], len(x), np.ones(len(x))
        k, l = mask * grams[one], mask * grams[other]  # noqa: E741
        whole = np.sum(k * l.T) + k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 * (ones @ (k @ l) @ ones) / (n - 2)
        return whole / (n * (n - 3))

    return alignment(0, 1) / np.sqrt(alignment(0, 0) * alignment(1, 1))


@given(seeds, st.integers(8, 39))
def test_cknna_is_that_of_its_authors(seed, k):
    x, y = related(seed, n=40)
    assert cknna(x, y, k) == pytest.approx(cknna_by_definition(x, y, k), abs=1e-9)


def test_cknna_with_all_neighbours_is_the_debiased_cka_of_rows_of_length_1():
    x, y = related(2)
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    assert cknna(x, y, 59) == pytest.approx(cka(x, y, kind="debiased"), abs=1e-10)


def test_a_row_of_zeros_is_allowed():
    x, y = related(3)
    x[4] = 0
    assert 0 <= mutual_knn(x, y, 5, metric="cosine") <= 1 and np.isfinite(cknna(x, y, 5))


def test_wrong_input_is_refused():
    x, y = related(4, n=20)
    for measure, ks in ((mutual_knn, (0, -1, 20)), (cknna, (1, 0, 20))):
        for k in ks:
            with raises(UsageError, "neighbours-outside-range", match="to 19"):
                measure(x, y, k)
    with raises(UsageError, "unknown-neighbour-metric"):
        mutual_knn(x, y, metric="dot")
    with raises(UsageError, "samples-too-few"):
        cknna(x[:3], y[:3], 2)
