"""LogME against the density of the model, and against the authors' fixed point."""

import numpy as np
import pytest

from medzoo.analysis.transfer_scores.logme import log_evidence


def sample(count, width, noise, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width))
    return features, features @ rng.normal(size=width) + noise * rng.normal(size=count)


@pytest.mark.parametrize(("count", "width"), [(30, 4), (12, 12), (10, 25)])
def test_it_is_the_largest_density_of_the_labels(count, width):
    """Labels are normal with the covariance 1/beta + F F' / alpha: maximised directly over both."""
    optimize, multivariate = pytest.importorskip("scipy.optimize").minimize, pytest.importorskip("scipy.stats")
    features, labels = sample(count, width, 1.5)

    def negative(logs):
        covariance = np.eye(count) * np.exp(-logs[1]) + features @ features.T * np.exp(-logs[0])
        return (
            -multivariate.multivariate_normal(np.zeros(count), covariance, allow_singular=True).logpdf(labels) / count
        )

    best = min(
        optimize(negative, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000}).fun
        for start in ([0, 0], [3, -1], [-1, 2])
    )
    assert log_evidence(features, labels[:, None])[0] == pytest.approx(-best, abs=1e-6)


def test_it_is_the_fixed_point_of_the_paper():
    features, labels = sample(40, 6, 1.0, seed=3)
    alpha = beta = 1.0
    sizes = np.linalg.eigvalsh(features.T @ features)
    for _ in range(500):
        inverse = np.linalg.inv(alpha * np.eye(6) + beta * features.T @ features)
        mean = beta * inverse @ features.T @ labels
        gamma = (beta * sizes / (alpha + beta * sizes)).sum()
        alpha, beta = gamma / (mean @ mean), (40 - gamma) / ((features @ mean - labels) ** 2).sum()
    matrix = alpha * np.eye(6) + beta * features.T @ features
    mean = beta * np.linalg.solve(matrix, features.T @ labels)
    evidence = (
        6 / 2 * np.log(alpha) + 40 / 2 * np.log(beta / (2 * np.pi)) - beta / 2 * ((features @ mean - labels) ** 2).sum()
        - alpha / 2 * mean @ mean - np.linalg.slogdet(matrix)[1] / 2
    ) / 40  # fmt: skip
    assert log_evidence(features, labels[:, None])[0] == pytest.approx(evidence, abs=1e-8)


def test_more_images_than_features_and_back_give_the_same():
    features, labels = sample(20, 20, 1.0)
    wide = np.concatenate([features, np.zeros((20, 5))], axis=1)  # goes the other way
    tall = np.concatenate([features[:, :19]], axis=1)
    assert log_evidence(wide, labels[:, None]) == pytest.approx(log_evidence(features, labels[:, None]))
    padded = np.concatenate([tall, np.zeros((20, 5))], axis=1)
    assert log_evidence(padded, labels[:, None]) == pytest.approx(log_evidence(tall, labels[:, None]), abs=1e-6)


def test_an_exact_fit_has_no_bound():
    features, _ = sample(20, 3, 0)
    assert np.isnan(log_evidence(features, features @ np.ones((3, 1)))).all()
    assert np.isnan(log_evidence(features, np.zeros((20, 1)))).all()
