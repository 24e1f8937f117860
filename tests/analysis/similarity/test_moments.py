"""Moments: any batches give the covariances of the whole, also on a device, and bad values are refused."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from activation_samples import pairs, related
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.similarity import inputs
from medzoo.analysis.similarity import moments as module
from medzoo.analysis.similarity.moments import CrossMoments, Moments, moments_of
from medzoo.errors import UsageError


def exact(x, y):
    """The covariances by numpy."""
    whole = np.cov(x.T, y.T)
    units = x.shape[1]
    return whole[:units, :units], whole[units:, units:], whole[:units, units:]


def same(found, expected, tolerance=1e-12):
    """Whether covariances agree relative to the standard deviations."""
    scales = [np.sqrt(np.diag(side)) for side in expected[:2]]
    for part, wanted, (a, b) in zip(found, expected, ((0, 0), (1, 1), (0, 1)), strict=True):
        assert part.dtype == np.float64
        assert np.abs((part - wanted) / np.outer(scales[a], scales[b])).max() < tolerance


@pytest.fixture
def on_device(monkeypatch):
    """Tensors of the CPU take the way of those on an accelerator."""
    monkeypatch.setattr(inputs, "is_on_cpu", lambda values: False)


@given(pairs, st.lists(st.integers(0, 20), max_size=12))
def test_batches_of_any_size_give_the_covariances_of_the_whole(pair, cuts):
    x, y = pair
    moments = Moments(x.shape[1], y.shape[1])
    edges = [0, *np.minimum(np.cumsum(cuts, dtype=int), len(x)), len(x)]
    for first, last in pairwise(edges):
        moments.update(x[first:last], y[first:last])
    assert moments.n == len(x)
    same(moments.covariances(), exact(x, y))


@given(pairs, st.integers(0, 28))
def test_merged_moments_are_those_of_the_whole(pair, cut):
    x, y = pair
    one, other = Moments(x.shape[1], y.shape[1]), Moments(x.shape[1], y.shape[1])
    one.update(x[:cut], y[:cut])
    other.update(x[cut:], y[cut:])
    kept = other.covariances()
    assert one.merge(other) is one and one.n == len(x)
    same(one.covariances(), exact(x, y))
    same(other.covariances(), kept, 1e-15)
    one.update(x, y)  # after a merge into empty moments, the other's sums are not shared
    same(other.covariances(), kept, 1e-15)


@pytest.mark.parametrize("shift", [1e3, 1e6, 1e8])
def test_large_means_lose_no_digits_that_the_data_have(shift):
    x, y = np.random.default_rng(0).normal(size=(2, 500, 3))
    moments = Moments(3, 3)
    for first in range(0, 500, 64):
        moments.update(x[first : first + 64] + shift, y[first : first + 64] - shift)
    same(moments.covariances(), exact(x, y), max(1e-12, 1e-15 * shift))


def test_a_mean_that_drifts_from_batch_to_batch():
    x, y = related(0, n=400)
    x, y = x + 1e5 * np.linspace(0, 1, 400)[:, None], y
    moments = Moments(x.shape[1], y.shape[1])
    for first in range(0, 400, 10):
        moments.update(x[first : first + 10], y[first : first + 10])
    same(moments.covariances(), exact(x, y), 1e-11)


def test_a_large_array_is_added_in_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    x, y = related(1)
    same(moments_of(x, y).covariances(), exact(x, y))


@pytest.mark.parametrize("value", [0.1, 1e6 / 3, -7.3e-5])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_constant_unit_has_a_variance_of_exactly_0(value, kind):
    x, y = (side.astype(kind) for side in related(2))
    x[:, 1] = value
    moments = Moments(x.shape[1], y.shape[1])
    for first in range(0, len(x), 17):
        moments.update(x[first : first + 17], y[first : first + 17])
    cxx, _, cxy = moments.covariances()
    assert not cxx[1].any() and not cxx[:, 1].any() and not cxy[1].any() and cxx[0, 0] > 0


def test_a_constant_unit_on_a_device(on_device):
    x, y = related(2)
    x[:, 1] = 0.1
    moments = Moments(x.shape[1], y.shape[1])
    for first in range(0, len(x), 17):
        moments.update(torch.from_numpy(x[first : first + 17]), torch.from_numpy(y[first : first + 17]))
    assert not moments.covariances()[0][1].any()


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int32])
def test_tensors_of_all_real_types(kind):
    x, y = ((100 * torch.from_numpy(side)).to(kind).requires_grad_(kind.is_floating_point) for side in related(3))
    same(moments_of(x, y).covariances(), exact(x.detach().double().numpy(), y.detach().double().numpy()))


def test_on_a_device_sums_stay_tensors_and_are_the_same(on_device):
    x, y = related(4)
    x[:, 0] = 0.5
    moments = Moments(x.shape[1], y.shape[1])
    moments.update(x[:10], y[:10])  # numpy first, then tensors, then one of each
    moments.update(torch.from_numpy(x[10:30]).float(), torch.from_numpy(y[10:30]))
    assert isinstance(moments._xx, torch.Tensor) and moments._xx.dtype == torch.float64
    moments.update(x[30:40], torch.from_numpy(y[30:40]))
    other = moments_of(x[40:], y[40:])
    assert isinstance(other._xx, np.ndarray)
    other.merge(moments)
    moments.merge(moments_of(x[40:], y[40:]))
    for one in (moments, other):
        cxx, cyy, cxy = one.covariances()
        assert not cxx[0].any()
        same((cxx[1:, 1:], cyy, cxy[1:]), exact(x[:, 1:], y), 1e-6)


def test_products_in_float32_are_summed_in_float64(on_device):
    x, y = related(5, n=2000)
    x, y = x + 1e4, y - 1e4
    for kind in (np.asarray, torch.from_numpy):
        moments = Moments(x.shape[1], y.shape[1], products="float32")
        for first in range(0, 2000, 100):
            moments.update(kind(x[first : first + 100]), kind(y[first : first + 100]))
        same(moments.covariances(), exact(x, y), 1e-6)
        with pytest.raises(AssertionError):  # it is float32 indeed
            same(moments.covariances(), exact(x, y), 1e-12)
        assert moments.tolerance > Moments(1, 1).tolerance


def test_other_pairings_have_their_own_cross_covariance():
    x, y = related(6)
    order = np.random.default_rng(0).permutation(len(x))
    null = CrossMoments(x.shape[1], y.shape[1])
    parts = [CrossMoments(x.shape[1], y.shape[1]) for _ in range(2)]
    for first in range(0, len(x), 16):
        rows = slice(first, first + 16)
        null.update(x[rows], y[order[rows]])
        parts[first // 16 % 2].update(x[rows], y[order[rows]])
    parts[0].merge(parts[1])
    for one in (null, parts[0]):
        assert np.allclose(
            one.covariance(), exact(x, y[order])[2], rtol=0, atol=1e-12 * np.abs(x).max() * np.abs(y).max()
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["x", "y"])
def test_nan_and_inf_are_counted_and_the_side_is_named(value, side):
    x, y = related(7)
    {"x": x, "y": y}[side][[2, 5, 9], 0] = value
    with raises(UsageError, "activations-not-finite", match=rf"3 of {(x if side == 'x' else y).size} values of {side}"):
        moments_of(x, y)


def test_on_a_device_nan_is_found_when_the_covariances_are_asked_for(on_device):
    x, y = (torch.from_numpy(side) for side in related(8))
    y[3, 1] = torch.inf
    moments = Moments(x.shape[1], y.shape[1])
    moments.update(x[:10], y[:10])
    moments.update(x[10:], y[10:])
    with raises(UsageError, "activations-not-finite", match=rf"1 of {y.shape[1]} units of y"):
        moments.covariances()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_values_whose_products_overflow_are_refused():
    x, y = related(9)
    with raises(UsageError, "activations-not-finite"):
        moments_of(x * 1e200, y).covariances()


def test_wrong_input_is_refused():
    x, y = related(10, d1=4, d2=6)
    moments = Moments(4, 6)
    for bad in (x[:, :3], x[0], x[None], np.empty((60, 0))):
        with raises(UsageError, "activations-shape"):
            moments.update(bad, y)
    with raises(UsageError, "activation-rows-differ"):
        moments.update(x, y[:-1])
    for bad in (x.astype(complex), x.astype(str), torch.from_numpy(x).to(torch.complex64)):
        with raises(UsageError, "activations-not-real"):
            moments.update(bad, y)
    with raises(UsageError, "activations-shape"):
        moments.merge(Moments(4, 5))
    with raises(UsageError, "products-unknown"):
        Moments(4, 6, products="float16")
    assert moments.n == 0
    moments.update(x[:1], y[:1])
    with raises(UsageError, "samples-too-few"):
        moments.covariances()
