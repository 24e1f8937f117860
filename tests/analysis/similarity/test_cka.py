"""CKA: next to formulas with whole matrices, invariances, all pairs of layers, and refusals."""

import numpy as np
import pytest
from activation_samples import orthogonal, pairs, related, seeds
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.similarity import gram_products
from medzoo.analysis.similarity.cka import cka_matrix, linear_cka_from_covariances
from medzoo.analysis.similarity.measures import cka
from medzoo.errors import UsageError

KINDS = ["linear", "debiased", "rbf", "rbf_nonzero_median", "minibatch"]


def distances(x):
    return ((x[:, None] - x) ** 2).sum(-1)


def kernel(x, kind):
    """The kernel matrix by its definition."""
    if kind == "rbf":
        return np.exp(-distances(x) / (2 * np.median(distances(x))))
    if kind == "rbf_nonzero_median":
        found = np.sort(distances(x)[distances(x) > 0])
        return np.exp(-distances(x) / (2 * found[(len(found) - 1) // 2]))
    return x @ x.T


def biased(k, l):  # noqa: E741
    centre = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ centre @ l @ centre)


def unbiased(k, l):  # noqa: E741
    """Song et al. 2012, equation 4."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    ones = np.ones(n)
    whole = (
        np.trace(k @ l) + ones @ k @ ones * (ones @ l @ ones) / (n - 1) / (n - 2) - 2 / (n - 2) * ones @ k @ l @ ones
    )
    return whole / (n * (n - 3))


def by_definition(x, y, kind, batch_size=10):
    if kind == "minibatch":
        batches = [slice(first, first + batch_size) for first in range(0, len(x) - batch_size + 1, batch_size)]
        parts = [
            [unbiased(a[rows] @ a[rows].T, b[rows] @ b[rows].T) for a, b in ((x, y), (x, x), (y, y))]
            for rows in batches
        ]
        cross, self_x, self_y = np.mean(parts, axis=0)
    else:
        hsic = unbiased if kind == "debiased" else biased
        k, l = kernel(x, kind), kernel(y, kind)  # noqa: E741
        cross, self_x, self_y = hsic(k, l), hsic(k, k), hsic(l, l)
    return cross / np.sqrt(self_x * self_y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [256, 7])
@pytest.mark.parametrize("units", [(4, 6), (90, 3), (80, 70)])
def test_values_are_those_of_the_definitions(kind, block, units, monkeypatch):
    monkeypatch.setattr(gram_products, "BLOCK", block)
    x, y = related(0, n=45, d1=units[0], d2=units[1])
    x, y = x / x.std(0) + 5, y / y.std(0) - 3
    assert cka(x, y, kind=kind, batch_size=10) == pytest.approx(by_definition(x, y, kind), abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, st.integers(1, 6), st.integers(1, 6), st.sampled_from([1e-3, 1.0, 50.0]))
def test_rotations_scales_and_shifts_change_nothing(kind, seed, d1, d2, scale):
    x, y = related(seed, d1=d1, d2=d2)
    value = cka(x, y, kind=kind, batch_size=20)
    mapped = scale * x @ orthogonal(seed, d1) + 10, -y + 3
    assert cka(*mapped, kind=kind, batch_size=20) == pytest.approx(value, abs=1e-8)
    assert cka(y, x, kind=kind, batch_size=20) == pytest.approx(value, abs=1e-10)
    assert cka(x, mapped[0], kind=kind, batch_size=20) == pytest.approx(1, abs=1e-8)
    assert value <= 1 + 1e-10 and (value >= 0 or kind in ("debiased", "minibatch"))


def test_an_invertible_map_is_not_ignored():
    x, _ = related(1)
    assert cka(x, x * [1, 100, 1, 0.01]) < 0.99


@given(pairs)
def test_cka_from_covariances(pair):
    x, y = pair
    whole = np.cov(x.T, y.T)
    units = x.shape[1]
    found = linear_cka_from_covariances(whole[:units, :units], whole[units:, units:], whole[:units, units:])
    assert found == pytest.approx(cka(x, y), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_all_pairs_of_layers_at_once(kind):
    xs = [related(seed, n=40, d1=units)[0] for seed, units in ((0, 3), (1, 50), (2, 7))]
    ys = [related(seed, n=40, d2=units)[1] for seed, units in ((0, 4), (1, 60))]
    found = cka_matrix(xs, ys, kind=kind, batch_size=10)
    assert found.shape == (3, 2)
    expected = [[cka(x, y, kind=kind, batch_size=10) for y in ys] for x in xs]
    assert found == pytest.approx(np.array(expected), abs=1e-11)
    assert len(np.unique(found.round(6))) == 6


def test_features_are_used_for_few_units_and_gram_matrices_for_many(monkeypatch):
    seen = []
    inner = gram_products._block_products
    monkeypatch.setattr(gram_products, "_block_products", lambda *args, **kw: seen.append(1) or inner(*args, **kw))
    cka(*related(0, n=60, d1=10, d2=10))
    assert not seen
    cka(*related(0, n=60, d1=100, d2=100))
    assert seen == [1]


def test_debiased_cka_of_independent_layers_is_near_0():
    x, y = np.random.default_rng(0).normal(size=(2, 48, 160))
    values = [cka(x, y[np.random.default_rng(seed).permutation(48)], kind="debiased") for seed in range(20)]
    assert cka(x, y) > 0.7
    assert abs(cka(x, y, kind="debiased") - np.mean(values)) < 5 * np.std(values) < 0.3
    assert cka(x, x + y, kind="debiased") > 0.3


def test_equal_rows_have_a_distance_of_0_and_do_not_count_for_the_nonzero_median():
    x, y = related(2, n=40, d1=64, d2=5)
    x[10:30] = x[0]
    assert (gram_products.squared_distances(x - x.mean(0))[10:30, 10:30] == 0).all()
    assert cka(x, y, kind="rbf_nonzero_median") == pytest.approx(by_definition(x, y, "rbf_nonzero_median"), abs=1e-10)
    x[:35] = x[0]
    with raises(UsageError, "bandwidth-zero"):
        cka(x, y, kind="rbf")
    assert 0 < cka(x, y, kind="rbf_nonzero_median") < 1


def test_the_lower_of_two_middle_distances():
    """Three rows have distances 1, 1, 9, 9, 16, 16: the lower median is 9; of four rows, it differs from the mean of two."""
    x, y = np.array([[0.0], [1.0], [4.0], [9.0]]), np.array([[0.0], [2.0], [3.0], [7.0]])
    found = np.sort(distances(x)[distances(x) > 0])
    assert found[5] != found[6]
    expected = by_definition(x, y, "rbf_nonzero_median")
    assert cka(x, y, kind="rbf_nonzero_median") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("kind", KINDS)
def test_very_large_and_very_small_values(scale, kind):
    x, y = related(3)
    assert cka(scale * x, y, kind=kind, batch_size=20) == pytest.approx(cka(x, y, kind=kind, batch_size=20), abs=1e-12)


def test_an_incomplete_last_batch_is_left_out():
    x, y = related(4, n=47)
    assert cka(x, y, kind="minibatch", batch_size=10) == cka(x[:40], y[:40], kind="minibatch", batch_size=10)


def test_wrong_input_is_refused():
    x, y = related(5)
    for options, code in (
        ({"kind": "cosine"}, "unknown-cka-kind"),
        ({"kind": "rbf", "threshold": 0.0}, "threshold-outside-range"),
        ({"kind": "minibatch", "batch_size": 3}, "batch-size-outside-range"),
        ({"kind": "minibatch", "batch_size": 61}, "samples-too-few"),
    ):
        with raises(UsageError, code):
            cka(x, y, **options)
    with raises(UsageError, "activations-without-layers"):
        cka_matrix([], [y])
    with raises(UsageError, "activation-rows-differ"):
        cka_matrix([x, x], [y, y[:-1]])
    with raises(UsageError, "samples-too-few"):
        cka(x[:3], y[:3], kind="debiased")
    with raises(UsageError, "activations-constant"):
        linear_cka_from_covariances(np.zeros((2, 2)), np.eye(2), np.zeros((2, 2)))
    one = np.eye(4)[:, :1]  # only one sample differs: the unbiased HSIC of it with itself is not positive
    with raises(UsageError, "similarity-undefined"):
        cka(one, y[:4], kind="debiased")
