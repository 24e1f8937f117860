"""Values of google/svcca, of Kornblith's formulas and of the definitions of papers, on stored arrays."""

from pathlib import Path

import numpy as np
import pytest
from activation_samples import FIXTURES

from medzoo.analysis.similarity.cca import cca_coefficients
from medzoo.analysis.similarity.cka import linear_cka_from_covariances
from medzoo.analysis.similarity.measures import cka, mean_cca, procrustes, pwcca, svcca
from medzoo.analysis.similarity.moments import moments_of
from medzoo.analysis.similarity.procrustes import procrustes_from_covariances
from medzoo.analysis.similarity.whitening import principal_components

# the stored ones, and more of the same form where the data of the project are
SHARED = Path(__file__).resolve().parents[4] / "shared" / "golden" / "cca"
FILES = {path.stem: path for folder in (SHARED, FIXTURES) for path in sorted(folder.glob("*.npz"))}
CASES = sorted(FILES)
WITH_CCA = [case for case in CASES if not case.startswith("wide")]


def read(case):
    """x and y as samples x units, and the expected values."""
    with np.load(FILES[case]) as file:
        x, y = (file[side].reshape(-1, file[side].shape[-1]) for side in "xy")
        return x, y, {key.removeprefix("out_"): file[key] for key in file.files if key.startswith("out_")}


def mean_until(coefficients, share):
    """google's mean of the first coefficients: as many as have this share of the whole sum."""
    sums = np.cumsum(coefficients)
    return coefficients[: int(np.argmax(sums >= share * sums[-1])) + 1].mean()


def test_the_cases_are_there():
    assert len(CASES) >= 3 and len(WITH_CCA) >= 2


@pytest.mark.parametrize("case", WITH_CCA)
def test_cca(case):
    x, y, expected = read(case)
    moments = moments_of(x, y)
    found = cca_coefficients(*moments.covariances(), moments.n)
    google = 1e-5 if case.startswith("dead") else 1e-8  # its epsilon counts where variances are tiny
    assert found == pytest.approx(expected["cca_coef_qr"], abs=1e-9)
    assert found == pytest.approx(expected["cca_coef_eps1e-12"], abs=google)
    assert found == pytest.approx(expected["cca_coef_eps1e-10"], abs=google)
    assert mean_cca(x, y) == pytest.approx(expected["cca_mean_all"], abs=google)
    assert mean_until(found, 0.98) == pytest.approx(expected["cca_mean_thr0.98"], abs=google)


@pytest.mark.parametrize("case", WITH_CCA)
def test_svcca(case):
    x, y, expected = read(case)
    moments = moments_of(x, y)
    cxx, cyy, _ = moments.covariances()
    ranks = [principal_components(side, moments.n, variance=0.99).rank for side in (cxx, cyy)]
    assert ranks == expected["svcca_var0.99_k"].tolist()
    tolerance = 1e-5 if case.startswith("dead") else 1e-6
    assert svcca(x, y) == pytest.approx(expected["svcca_var0.99"], abs=tolerance)
    assert svcca(x, y, components=8) == pytest.approx(expected["svcca_k8"], abs=tolerance)


@pytest.mark.parametrize("case", WITH_CCA)
def test_pwcca(case):
    x, y, expected = read(case)
    assert pwcca(x, y) == pytest.approx(expected["pwcca_paper"], abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_cka(case):
    x, y, expected = read(case)
    assert cka(x, y) == pytest.approx(expected["cka_linear"], abs=1e-12)
    assert cka(x, y) == pytest.approx(expected["cka_linear_gram"], abs=1e-12)
    assert linear_cka_from_covariances(*moments_of(x, y).covariances()) == pytest.approx(
        expected["cka_linear"], abs=1e-12
    )
    assert cka(x, y, kind="debiased") == pytest.approx(expected["cka_linear_debiased"], abs=1e-10)
    for threshold in (1.0, 0.5):
        found = cka(x, y, kind="rbf", threshold=threshold)
        assert found == pytest.approx(expected[f"cka_rbf_thr{threshold}"], abs=1e-10)
    found = cka(x, y, kind="minibatch", batch_size=24)
    assert found == pytest.approx(expected["cka_minibatch_unbiased_bs24"], abs=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_procrustes(case):
    x, y, expected = read(case)
    assert procrustes(x, y) == pytest.approx(expected["procrustes_sim"], abs=1e-10)
    found = procrustes_from_covariances(*moments_of(x, y).covariances())
    assert found == pytest.approx(expected["procrustes_sim"], abs=1e-10)
