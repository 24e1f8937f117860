"""The probability that a claim of a better mean is false, from published numbers alone."""

from __future__ import annotations

from math import erfc, sqrt

from medzoo.bench.statistics.crossed import special_functions, t_tail
from medzoo.errors import ResultError


def false_accuracy_claim(better: float, worse: float, images: int, congruence: float) -> float:
    """The probability that the first method's accuracy is not larger, given two accuracies on the same images.

    The posterior of the shares of images that only the first, or only the second method gets right is a Dirichlet distribution
    with a flat prior; the probability that the first share is not the larger one is a regularised incomplete beta function.

    Args:
        better: accuracy of the method that is claimed to be better.
        worse: accuracy of the other one.
        images: number of test images, taken as independent.
        congruence: share of images that both get right.

    Raises:
        ResultError: for accuracies outside 0 and 1, no images, or a congruence that the accuracies do not allow.

    Source: Christodoulou et al. 2025, "False Promises in Medical Imaging AI?", https://arxiv.org/abs/2505.04720: Dirichlet
    distribution with parameters x1 + 1, x2 + 1, n - x1 - x2 + 2.

    >>> round(false_accuracy_claim(0.86, 0.85, 100, 0.80), 3), round(false_accuracy_claim(0.86, 0.85, 10_000, 0.80), 5)
    (0.387, 0.00128)
    """
    _check_share(better, worse)
    if images < 1:
        raise ResultError(f"The number of test images is {images}; it should be at least 1.", code="claim-no-images")
    low, high = congruence_range(better, worse)
    if not low - 1e-9 <= congruence <= high + 1e-9:
        raise ResultError(
            f"A congruence of {congruence:g} is impossible with accuracies of {better:g} and {worse:g}: it is between "
            f"{low:g} and {high:g}.",
            code="congruence-impossible",
        )
    only_better = max(images * (better - congruence), 0.0)
    only_worse = max(images * (worse - congruence), 0.0)
    return float(special_functions().betainc(only_better + 1, only_worse + 1, 0.5))


def congruence_range(first: float, second: float) -> tuple[float, float]:
    """The smallest and the largest share of images that both methods can get right.

    Args:
        first: accuracy.
        second: accuracy.

    >>> congruence_range(0.75, 0.5)
    (0.25, 0.5)
    """
    return max(0.0, first + second - 1), min(first, second)


def false_dice_claim(
    better: float, worse: float, sd_better: float, sd_worse: float, images: int, correlation: float
) -> float:
    """The probability that the first method's mean score is not larger, given means and deviations over the same images.

    Args:
        better: mean of the method that is claimed to be better.
        worse: mean of the other one.
        sd_better: standard deviation over images, not over runs.
        sd_worse: standard deviation over images.
        images: number of test images.
        correlation: of the two methods' scores over images.

    Raises:
        ResultError: for fewer than two images, and for a correlation outside -1 and 1.

    Source: as `false_accuracy_claim`; a t distribution with n - 1 degrees of freedom.

    >>> round(false_dice_claim(0.86, 0.85, 0.1, 0.1, 100, 0.8), 4)
    0.0585
    """
    if images < 2:
        raise ResultError(f"The number of test images is {images}; it should be at least 2.", code="claim-no-images")
    _check_correlation(correlation)
    spread = sd_better**2 + sd_worse**2 - 2 * sd_better * sd_worse * correlation
    if spread <= 0:
        return 0.5 if better == worse else float(better < worse)
    return t_tail(sqrt(images) * (better - worse) / sqrt(spread), images - 1)


def false_auroc_claim(
    better: float, worse: float, positives: int, negatives: int, correlation: float, folds: int = 1
) -> float:
    """The probability that the first method's AUROC is not larger, by a normal approximation with a flat prior.

    An AUROC is not a proportion of images, so the formula for accuracies does not apply.

    Args:
        better: AUROC of the method that is claimed to be better.
        worse: AUROC of the other one.
        positives: number of positive test images.
        negatives: number of negative test images.
        correlation: of the two AUROCs, because both are of the same images.
        folds: number of disjoint test sets of this size over which both are averaged.

    Raises:
        ResultError: for an AUROC outside 0 and 1, a class without images, and a correlation outside -1 and 1.

    Source: variance of one AUROC: Hanley and McNeil 1982 (doi:10.1148/radiology.143.1.7063747); of a difference on the same cases:
    Hanley and McNeil 1983 (doi:10.1148/radiology.148.3.6878708).

    >>> round(false_auroc_claim(0.9, 0.88, 68, 66, 0.6), 3)
    0.22
    """
    _check_share(better, worse)
    _check_correlation(correlation)
    if min(positives, negatives, folds) < 1:
        raise ResultError("Both classes need at least 1 test image.", code="claim-no-images")
    one, two = (_auroc_variance(value, positives, negatives) for value in (better, worse))
    spread = (one + two - 2 * correlation * sqrt(one * two)) / folds
    if spread <= 0:
        return 0.5 if better == worse else float(better < worse)
    return 0.5 * erfc((better - worse) / sqrt(2 * spread))


def _auroc_variance(value: float, positives: int, negatives: int) -> float:
    """Of one AUROC, for scores with negative exponential distributions."""
    first, second = value / (2 - value), 2 * value**2 / (1 + value)
    more = (positives - 1) * (first - value**2) + (negatives - 1) * (second - value**2)
    return (value * (1 - value) + more) / (positives * negatives)


def _check_share(*values: float) -> None:
    for value in values:
        if not 0 <= value <= 1:
            raise ResultError(f"A share is {value:g}; it should be between 0 and 1.", code="share-out-of-range")


def _check_correlation(value: float) -> None:
    if not -1 <= value <= 1:
        raise ResultError(f"The correlation is {value:g}; it should be between -1 and 1.", code="correlation-invalid")
