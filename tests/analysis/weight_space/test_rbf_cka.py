"""CKA of weights against the definition, written out."""

import numpy as np
import torch

from medzoo.analysis.similarity.measures import cka
from medzoo.analysis.weight_space.rbf_cka import centred_kernel, some_rows, uniqueness, weight_cka, weight_rows


def defined(first, second):
    """By the formulas of the paper, with loops and the centring matrix."""

    def kernel(rows):
        distances = np.array([[((a - b) ** 2).sum() for a in rows] for b in rows])
        above = np.sort(distances[distances > 0])
        return np.exp(-distances / (2 * above[(len(above) - 1) // 2]))

    n = len(first)
    centre = np.eye(n) - np.ones((n, n)) / n

    def hsic(k, m):
        return ((centre @ k @ centre) * (centre @ m @ centre)).sum()

    k, m = kernel(first), kernel(second)
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_cka_is_the_definition():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(23, 3)), rng.normal(size=(23, 5)) * 7
    second[:4] = second[0]  # equal rows, whose distances are not in the median
    found = weight_cka(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(found, defined(first, second), rtol=1e-9)
    np.testing.assert_allclose(found, cka(first, second, kind="rbf_nonzero_median"), rtol=1e-9)  # as for activations


def test_rows_of_a_convolution():
    weights = torch.arange(2 * 3 * 2 * 2.0).reshape(2, 3, 2, 2)
    rows = weight_rows(weights)
    assert rows.shape == (8, 3)
    assert rows[1].tolist() == weights[0, :, 0, 1].tolist() and rows[6].tolist() == weights[1, :, 1, 0].tolist()


def test_uniqueness_is_the_mean_over_28_pairs():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(35, 4))
    found = uniqueness(torch.from_numpy(values))
    blocks = [values[4 * k : 4 * k + 4] for k in range(8)]
    expected = [1 - defined(blocks[i], blocks[j]) for i in range(8) for j in range(i + 1, 8)]
    assert found.pairs == 28
    np.testing.assert_allclose([found.mean, found.sd], [np.mean(expected), np.std(expected)], rtol=1e-9)
    assert uniqueness(torch.from_numpy(values[:15])) is None


def test_constant_rows_have_no_kernel():
    assert centred_kernel(torch.ones(5, 3)) is None
    assert weight_cka(torch.ones(5, 3), torch.randn(5, 3)) is None


def test_the_draw_of_rows_is_the_same_for_both_networks():
    rows = torch.arange(40.0)[:, None]
    assert torch.equal(some_rows(rows, 10, 3), some_rows(rows + 0, 10, 3)) and len(some_rows(rows, 10, 3)) == 10
    assert not torch.equal(some_rows(rows, 10, 3), some_rows(rows, 10, 4))
    assert some_rows(rows, 40, 3) is rows
