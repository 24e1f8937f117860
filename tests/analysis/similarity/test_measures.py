"""All measures alike: identity, types of arrays, and what every one of them refuses; and the Procrustes similarity."""

import numpy as np
import pytest
import torch
from activation_samples import orthogonal, pairs, related, seeds
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.similarity import inputs, measures
from medzoo.analysis.similarity.measures import cka, procrustes
from medzoo.analysis.similarity.moments import moments_of
from medzoo.analysis.similarity.procrustes import procrustes_from_covariances
from medzoo.errors import UsageError

MEASURES = [getattr(measures, name) for name in measures.__all__]
EACH = pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)


def test_all_measures_are_listed():
    assert set(measures.__all__) == {"mean_cca", "svcca", "pwcca", "cka", "procrustes", "mutual_knn", "cknna"}


@EACH
@given(seeds)
def test_a_layer_is_like_itself(measure, seed):
    x, y = related(seed)
    value = measure(x, x)
    assert isinstance(value, float) and value == pytest.approx(1, abs=1e-9)
    assert -1 <= measure(x, y) < 1


@EACH
def test_arrays_tensors_and_lists_give_the_same(measure, monkeypatch):
    x, y = (side.astype(np.float32) for side in related(1))
    value = measure(x, y)
    assert measure(torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)) == value
    assert measure(x.tolist(), y) == pytest.approx(value, abs=1e-12)
    assert measure(np.asfortranarray(x), y[::-1][::-1]) == pytest.approx(value, abs=1e-12)
    monkeypatch.setattr(inputs, "is_on_cpu", lambda values: False)
    assert measure(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(value, abs=1e-12)


@EACH
def test_what_every_measure_refuses(measure):
    x, y = related(2)
    for bad in (x[:, 0], np.zeros((60, 2, 2, 4)), x[:, :0]):
        with raises(UsageError, "activations-shape"):
            measure(bad, y)
        with raises(UsageError, "activations-shape"):
            measure(x, bad)
    with raises(UsageError, "activations-shape", match=r"reshape\(-1"):
        measure(np.zeros((15, 2, 2, 4)), y)
    with raises(UsageError, "activation-rows-differ", match="59"):
        measure(x[1:], y)
    with raises(UsageError, "activations-constant", match="of y "):
        measure(x, np.full((60, 3), 0.1))
    with raises(UsageError, "activations-constant", match="of x "):
        measure(torch.zeros(60, 3), y)
    for value in (np.nan, np.inf):
        broken = y.copy()
        broken[7, 2] = value
        with raises(UsageError, "activations-not-finite", match="1 of 360 values of y"):
            measure(x, broken)
    with raises(UsageError, "samples-too-few"):
        measure(x[:1], y[:1])
    with raises(UsageError, "samples-too-few"):
        measure(x[:0], y[:0])
    with raises(UsageError, "activations-not-real"):
        measure(x.astype(complex), y)


@EACH
def test_inputs_are_not_changed(measure):
    x, y = related(3)
    copies = x.copy(), y.copy()
    measure(x, y)
    assert (x == copies[0]).all() and (y == copies[1]).all()


@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_procrustes_ignores_rotations_scales_and_shifts(seed, d1, d2):
    x, y = related(seed, d1=d1, d2=d2)
    value = procrustes(x, y)
    assert procrustes(0.1 * x @ orthogonal(seed, d1) + 10, 5 - y) == pytest.approx(value, abs=1e-9)
    assert procrustes(y, x) == pytest.approx(value, abs=1e-12)
    assert 0 <= value <= 1


@given(pairs)
def test_procrustes_is_the_best_rotation(pair):
    x, y = pair
    found = procrustes_from_covariances(*moments_of(x, y).covariances())
    assert found == pytest.approx(procrustes(x, y), abs=1e-10)
    if x.shape[1] != y.shape[1]:
        return
    x, y = ((side - side.mean(0)) / np.linalg.norm(side - side.mean(0)) for side in (x, y))
    left, _, right = np.linalg.svd(x.T @ y)
    assert np.linalg.norm(x @ left @ right - y) ** 2 == pytest.approx(2 - 2 * found, abs=1e-9)


def test_procrustes_of_wide_layers_is_that_of_all_their_units():
    x, y = related(4, n=12, d1=40, d2=30)
    centred = [(side - side.mean(0)) / np.linalg.norm(side - side.mean(0)) for side in (x, y)]
    expected = np.linalg.svd(centred[0].T @ centred[1], compute_uv=False).sum()
    assert procrustes(x, y) == pytest.approx(expected, abs=1e-12)


def test_procrustes_of_constant_covariances_is_refused():
    with raises(UsageError, "activations-constant"):
        procrustes_from_covariances(np.eye(2), np.zeros((2, 2)), np.zeros((2, 2)))


def test_biased_cka_grows_with_the_units():
    x, y = np.random.default_rng(0).normal(size=(2, 40, 400))
    assert cka(x, y) > 0.8 > 0.2 > abs(cka(x, y, kind="debiased"))
