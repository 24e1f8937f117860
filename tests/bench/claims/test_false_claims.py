"""The probability of a false claim: against simulations that do not share its formulas, and wrong inputs."""

import numpy as np
import pytest
from expect import raises
from scipy import stats

from medzoo.bench.claims.false_claims import (
    congruence_range,
    false_accuracy_claim,
    false_auroc_claim,
    false_dice_claim,
)
from medzoo.errors import ResultError

DRAWS = 200_000


@pytest.mark.parametrize(
    ("better", "worse", "images", "congruence"),
    [(0.86, 0.85, 100, 0.8), (0.9, 0.8, 50, 0.75), (0.6, 0.65, 200, 0.5), (0.93, 0.93, 1000, 0.9)],
)
def test_accuracies_against_draws_of_the_dirichlet_posterior(better, worse, images, congruence):
    rng = np.random.default_rng(1)
    one, two = images * (better - congruence), images * (worse - congruence)
    drawn = rng.dirichlet([one + 1, two + 1, images - one - two + 2], DRAWS)
    expected = float((drawn[:, 0] <= drawn[:, 1]).mean())
    assert false_accuracy_claim(better, worse, images, congruence) == pytest.approx(expected, abs=0.005)


def test_accuracies_against_a_simulated_prior():
    """Draw methods from the flat prior, keep those with the observed counts, and count how often the claim is false."""
    rng = np.random.default_rng(2)
    n, only_better, only_worse = 20, 5, 2
    shares = rng.dirichlet([1, 1, 1, 1], 2_000_000)  # both, only the better, only the worse, none
    seen = rng.multinomial(n, shares)
    kept = shares[(seen[:, 1] == only_better) & (seen[:, 2] == only_worse)]
    assert len(kept) > 5000
    expected = float((kept[:, 1] <= kept[:, 2]).mean())
    both = 10
    found = false_accuracy_claim((both + only_better) / n, (both + only_worse) / n, n, both / n)
    assert found == pytest.approx(expected, abs=0.01)


def test_dice_against_a_simulated_posterior():
    rng = np.random.default_rng(3)
    n, r = 30, 0.7
    spread = np.sqrt(0.1**2 + 0.12**2 - 2 * 0.1 * 0.12 * r)
    # posterior of the mean of n differences with unknown variance and a flat prior
    variance = spread**2 * (n - 1) / rng.chisquare(n - 1, DRAWS)
    mean = rng.normal(0.03, np.sqrt(variance / n))
    assert false_dice_claim(0.85, 0.82, 0.1, 0.12, n, r) == pytest.approx(float((mean <= 0).mean()), abs=0.005)


def test_auroc_against_simulated_readings():
    """Two readers with independent exponential scores, for which Hanley and McNeil's variance holds."""
    rng = np.random.default_rng(4)
    better, worse, positives, negatives = 0.85, 0.80, 40, 50

    def drawn(area):
        rate = area / (1 - area)  # P(X_pos > X_neg) = rate / (1 + rate)
        high = rng.exponential(rate, (4000, positives))
        low = rng.exponential(1, (4000, negatives))
        return (high[:, :, None] > low[:, None, :]).mean(axis=(1, 2))

    spread = np.sqrt(drawn(better).var() + drawn(worse).var())
    expected = stats.norm.sf((better - worse) / spread)
    assert false_auroc_claim(better, worse, positives, negatives, 0.0) == pytest.approx(expected, abs=0.01)
    assert false_auroc_claim(better, worse, positives, negatives, 0.6) < expected
    five = false_auroc_claim(better, worse, positives, negatives, 0.0, folds=5)
    assert five == pytest.approx(stats.norm.sf((better - worse) / spread * 5**0.5), abs=0.01)


def test_more_images_and_larger_differences_make_a_claim_safer():
    few, many = (false_accuracy_claim(0.86, 0.85, n, 0.8) for n in (100, 10_000))
    assert many < few < 0.5 and false_accuracy_claim(0.85, 0.85, 100, 0.8) == pytest.approx(0.5)
    assert false_accuracy_claim(0.85, 0.86, 100, 0.8) == pytest.approx(1 - few)
    assert false_dice_claim(0.8, 0.8, 0.1, 0.1, 50, 1.0) == 0.5 and false_dice_claim(0.9, 0.8, 0.1, 0.1, 50, 1.0) == 0


def test_what_cannot_be_is_refused():
    low, high = congruence_range(0.9, 0.8)
    assert (low, high) == (pytest.approx(0.7), 0.8)
    for share in (0.69, 0.81):
        with raises(ResultError, "congruence-impossible"):
            false_accuracy_claim(0.9, 0.8, 100, share)
    with raises(ResultError, "share-out-of-range"):
        false_accuracy_claim(90.0, 0.8, 100, 0.7)
    with raises(ResultError, "share-out-of-range"):
        false_auroc_claim(float("nan"), 0.8, 10, 10, 0.0)
    with raises(ResultError, "claim-no-images"):
        false_accuracy_claim(0.9, 0.8, 0, 0.75)
    with raises(ResultError, "claim-no-images"):
        false_auroc_claim(0.9, 0.8, 0, 10, 0.0)
    with raises(ResultError, "claim-no-images"):
        false_dice_claim(0.9, 0.8, 0.1, 0.1, 1, 0.0)
    with raises(ResultError, "correlation-invalid"):
        false_dice_claim(0.9, 0.8, 0.1, 0.1, 10, 1.2)
