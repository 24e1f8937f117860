"""CCA from covariances: next to a plain QR form, invariances, rank cuts and refusals."""

import numpy as np
import pytest
from activation_samples import invertible, orthogonal, pairs, qr_cca, related, seeds
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.similarity import whitening as module
from medzoo.analysis.similarity.cca import (
    cca_coefficients,
    coefficients,
    pwcca_from_covariances,
    svcca_coefficients,
)
from medzoo.analysis.similarity.measures import mean_cca, pwcca, svcca
from medzoo.analysis.similarity.moments import CrossMoments, moments_of
from medzoo.analysis.similarity.whitening import whitening
from medzoo.errors import UsageError


def coefficients_of(x, y, **options):
    moments = moments_of(x, y, **options)
    return cca_coefficients(*moments.covariances(), moments.n, tolerance=moments.tolerance)


@given(pairs)
def test_all_coefficients_are_those_of_orthonormal_bases(pair):
    assert coefficients_of(*pair) == pytest.approx(qr_cca(*pair), abs=1e-9)


@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_an_invertible_map_changes_nothing(seed, d1, d2):
    x, y = related(seed, d1=d1, d2=d2)
    mapped = x @ invertible(seed, d1) + 100, -3 * y @ invertible(seed + 5, d2) - 7
    assert coefficients_of(*mapped) == pytest.approx(coefficients_of(x, y), abs=1e-8)
    assert coefficients_of(x, mapped[0]) == pytest.approx(np.ones(d1), abs=1e-9)
    rotated = 5 * x @ orthogonal(seed, d1) + 3, y
    assert svcca(*rotated) == pytest.approx(svcca(x, y), abs=1e-8)
    assert svcca(x, rotated[0], variance=0.9) == pytest.approx(1, abs=1e-9)
    assert pwcca(x, mapped[0]) == pytest.approx(1, abs=1e-9)
    assert pwcca(x + 1e3, y - 1e3) == pytest.approx(pwcca(x, y), abs=1e-9)


@given(pairs)
def test_the_order_of_the_sides_counts_for_pwcca_only(pair):
    x, y = pair
    assert coefficients_of(y, x) == pytest.approx(coefficients_of(x, y), abs=1e-9)
    assert svcca(y, x) == pytest.approx(svcca(x, y), abs=1e-9)
    assert 0 <= pwcca(x, y) <= 1 + 1e-12
    if x.shape[1] != y.shape[1]:  # the smaller side gives the weights in both orders
        assert pwcca(y, x) == pytest.approx(pwcca(x, y), abs=1e-9)


def test_pwcca_of_equally_many_units_has_the_weights_of_x():
    x, y = related(3, d1=5, d2=5)
    assert abs(pwcca(x, y) - pwcca(y, x)) > 1e-3
    assert pwcca(x, y) == pytest.approx(pwcca_by_definition(x, y), abs=1e-10)


@given(pairs)
def test_pwcca_is_that_of_the_paper(pair):
    x, y = pair if pair[0].shape[1] <= pair[1].shape[1] else pair[::-1]
    assert pwcca(x, y) == pytest.approx(pwcca_by_definition(x, y), abs=1e-9)


def pwcca_by_definition(x, y):
    """From the canonical variates themselves; x has the smaller rank."""
    x, y = x - x.mean(0), y - y.mean(0)
    bases = [np.linalg.qr(side)[0] for side in (x, y)]
    left, rho, _ = np.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    variates = bases[0] @ left
    weights = np.abs(variates.T @ x).sum(1)
    return rho @ weights / weights.sum()


def test_svcca_is_cca_of_the_principal_components():
    x, y = related(4, n=200, d1=8, d2=10)
    for variance in (0.5, 0.9, 0.99, 1.0):
        kept = []
        for side in (x, y):
            left, values, _ = np.linalg.svd(side - side.mean(0), full_matrices=False)
            share = np.cumsum(values**2) / (values**2).sum()
            kept.append(left[:, : int(np.argmax(share >= min(variance, share[-1]))) + 1])
        assert svcca(x, y, variance=variance) == pytest.approx(qr_cca(*kept).mean(), abs=1e-9)
    assert svcca(x, y, variance=1.0) == pytest.approx(mean_cca(x, y), abs=1e-9)
    assert svcca(x, y, components=1) == pytest.approx(svcca(x, y, variance=1e-6), abs=1e-12)


def test_dead_and_duplicate_units_count_not_and_once():
    x, y = related(5)
    wider = np.hstack([x, x[:, [0]], np.zeros((len(x), 2)), x[:, [1]] - 2 * x[:, [2]], np.full((len(x), 1), 0.1)])
    found = coefficients_of(wider, y)
    assert found == pytest.approx(coefficients_of(x, y), abs=1e-8)
    assert found == pytest.approx(qr_cca(wider, y), abs=1e-8)
    assert coefficients_of(wider, wider) == pytest.approx(np.ones(4), abs=1e-8)
    assert coefficients_of(y, np.hstack([np.zeros((len(x), 3)), x])) == pytest.approx(qr_cca(y, x), abs=1e-9)


def test_units_of_very_different_scales_all_count():
    x, y = related(6)
    scaled = x * np.array([1e-6, 1e6, 1.0, 1e3])
    assert coefficients_of(scaled, y) == pytest.approx(coefficients_of(x, y), abs=1e-9)


def test_cholesky_and_eigenvectors_agree_near_the_limit(monkeypatch):
    x, y = related(7, n=500)
    for noise in (1e-2, 1e-4):
        x = x / x.std(0)
        near = np.hstack([x, x[:, [0]] + noise * np.random.default_rng(0).normal(size=(len(x), 1))])
        moments = moments_of(near, y)
        assert whitening(moments.covariances()[0], moments.n).factor is not None
        one = coefficients_of(near, y)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_cholesky", lambda *_: None)
            assert coefficients_of(near, y) == pytest.approx(one, abs=1e-7)
        assert one == pytest.approx(qr_cca(near, y), abs=1e-7)


def test_a_unit_that_differs_by_rounding_from_another_is_a_duplicate():
    """Cholesky does not fail on it, and would take the rounding as a direction."""
    x, y = related(7, n=500)
    x = x / x.std(0)
    near = np.hstack([x, x[:, [0]] + 3e-7 * np.random.default_rng(0).normal(size=(len(x), 1))])
    np.linalg.cholesky(np.corrcoef(near.T))
    assert coefficients_of(near, y) == pytest.approx(coefficients_of(x, y), abs=1e-6)


@pytest.mark.parametrize("basis", [False, True])
def test_a_whitening_gives_the_identity(basis):
    x, _ = related(8)
    x = np.hstack([np.ones((len(x), 1)), x, x[:, :1]]) if basis else x
    covariance = np.cov(x.T)
    found = whitening(covariance, len(x))
    assert (found.basis is not None) == basis and found.rank == 4
    assert found.apply(found.apply(covariance).T) == pytest.approx(np.eye(4), abs=1e-10)


def test_small_coefficients_are_accurate():
    """Eigenvalues of A A' alone would give zeros with an error of 1e-8."""
    x = np.linalg.qr(np.random.default_rng(1).normal(size=(100, 9)) @ np.eye(9))[0]
    x -= x.mean(0)
    x = np.linalg.qr(x)[0]
    y = x[:, :3] * [0.5, 1e-7, 0.0] + x[:, 3:6] * np.sqrt(1 - np.array([0.5, 1e-7, 0.0]) ** 2)
    mixed = x[:, :3] @ invertible(0, 3), y @ invertible(1, 3)
    assert coefficients_of(*mixed) == pytest.approx([0.5, 1e-7, 0.0], abs=1e-14)


def test_independent_layers_are_near_the_null_of_permutations():
    x, y = np.random.default_rng(2).normal(size=(2, 256, 64))
    moments = moments_of(x, y)
    cxx, cyy, cxy = moments.covariances()
    sides = whitening(cxx, 256), whitening(cyy, 256)
    nulls = []
    for seed in range(20):
        cross = CrossMoments(64, 64)
        cross.update(x, y[np.random.default_rng(seed).permutation(256)])
        nulls.append(coefficients(*sides, cross.covariance()).mean())
    value = coefficients(*sides, cxy).mean()
    assert value == pytest.approx(mean_cca(x, y), abs=1e-12)
    assert 0.3 < value < 0.6  # far above 0: with d of n dimensions each, by chance
    assert abs(value - np.mean(nulls)) < 5 * np.std(nulls)
    assert mean_cca(x, x + 0.5 * y) > np.mean(nulls) + 20 * np.std(nulls)


def test_float32_products_give_three_digits_more_than_is_reported():
    x, y = related(9, n=2000)
    assert coefficients_of(x, y, products="float32") == pytest.approx(coefficients_of(x, y), abs=1e-4)
    wider = np.hstack([x, x[:, :2]])  # rounding in float32 must not count as two directions
    found = coefficients_of(wider, y, products="float32")
    assert len(found) == 4 and found == pytest.approx(coefficients_of(x, y), abs=1e-4)


@pytest.mark.parametrize("measure", [mean_cca, svcca, pwcca])
@pytest.mark.parametrize("samples", [1, 2, 3, 8, 9])
def test_too_few_samples_are_refused(measure, samples):
    """With 9 samples of 8 units, x spans all of the centred space: every coefficient would be 1."""
    x, y = related(10, n=samples, d1=8, d2=2)
    for pair in ((x, y), (y, x), (np.hstack([x, np.ones((samples, 3))]), y)):
        with raises(UsageError, "samples-too-few"):
            measure(*pair)
    assert measure(*related(10, n=10, d1=8, d2=2)) < 1


def test_the_message_says_how_many_samples_are_needed():
    x, y = related(11, n=30, d1=50, d2=3)
    with raises(UsageError, "samples-too-few", match="52 samples"):
        mean_cca(x, y)
    with raises(UsageError, "samples-too-few", match="components=k"):
        svcca(x, y)
    assert 0 < svcca(x, y, components=3) < 1  # few components of a wide layer
    with raises(UsageError, "samples-too-few"):
        svcca(x, x[:, ::-1] + 1, components=29)


@pytest.mark.parametrize("measure", [mean_cca, svcca, pwcca])
def test_constant_activations_are_refused(measure):
    x, y = related(12)
    for pair, side in (((np.full_like(x, 0.1), y), "x"), ((x, np.zeros_like(y)), "y")):
        with raises(UsageError, "activations-constant", match=f"of {side} "):
            measure(*pair)


def test_options_outside_their_limits_are_refused():
    x, y = related(13)
    for variance in (0.0, -1.0, 1.1, np.nan):
        with raises(UsageError, "variance-outside-range"):
            svcca(x, y, variance=variance)
    for components in (0, -1, 5):
        with raises(UsageError, "components-outside-range"):
            svcca(x, y, components=components)


def test_values_of_functions_on_covariances_are_those_on_arrays():
    x, y = related(14)
    moments = moments_of(x, y)
    covariances = moments.covariances()
    assert svcca_coefficients(*covariances, moments.n, variance=0.8).mean() == svcca(x, y, variance=0.8)
    assert pwcca_from_covariances(*covariances, moments.n) == pwcca(x, y)
    # a factor of all covariances, as from dividing by n, changes nothing
    assert cca_coefficients(*(7 * part for part in covariances), moments.n).mean() == pytest.approx(mean_cca(x, y))
