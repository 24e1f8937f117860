"""How many images a data set is worth: redundant slices, measured by compression and by mutual information.

Source: Jonske et al. 2025 (https://arxiv.org/abs/2306.17555); paper_eval/DatasetComplexityLB.py, DatasetComplexityUB.py and
paper_eval_results.ipynb in https://github.com/TIO-IKIM/Transfer-learning-across-domain-boundaries.

The two factors of the study are about CT alone, although they were read as a ratio of CT to photographs. Slices of one CT scan
resemble each other; a photograph has no such neighbours. The lower factor is the size of stacks of slices that are drawn at random,
compressed, over the size of the real scans, compressed. The upper factor is the number of slices over the sum of what is new in
each slice, by mutual information.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from medzoo.errors import UsageError

LOWER_FACTOR = 1.136  # slices of CT that are worth one image, by compression
UPPER_FACTOR = 3.807  # by mutual information
IMAGENET, RADNET = 1_281_167, 12_034_617  # images of ImageNet and RadNet-1.28M, and of RadNet-12M
BINS = 64  # of the histograms of the study


@dataclass(frozen=True)
class ScoreAtSize:
    """An interpolated score.

    Args:
        score: at the size.
        se: its standard error.
    """

    score: float
    se: float


def score_at_size(size: float, smaller: tuple[float, float, float], larger: tuple[float, float, float]) -> ScoreAtSize:
    """The score that a pre-training set of a size would give, on the line between two sets.

    The study interpolates in the number of images, and not in its logarithm. Its standard error adds those of slope and intercept
    as if they were independent, which makes it larger than that of either end; here it is that of the weighted mean.

    Args:
        size: number of images.
        smaller: images, score and standard error of the smaller set.
        larger: of the larger set.

    Raises:
        UsageError: if both sets have the same size.

    >>> bound = score_at_size(IMAGENET * UPPER_FACTOR, (IMAGENET, 75.63, 0.3), (RADNET, 74.33, 0.4))
    >>> round(bound.score, 2), round(bound.se, 2)
    (75.2, 0.24)
    """
    if smaller[0] == larger[0]:
        raise UsageError("Both sets have the same number of images. Give two different sizes.", code="sizes-equal")
    share = (size - smaller[0]) / (larger[0] - smaller[0])
    return ScoreAtSize(
        (1 - share) * smaller[1] + share * larger[1], sqrt(((1 - share) * smaller[2]) ** 2 + (share * larger[2]) ** 2)
    )


def gzip_share(images: Sequence[np.ndarray]) -> float:
    """The mean compressed bytes for each raw byte of images, each compressed alone.

    Args:
        images: arrays of any shape and type, at least one.

    Raises:
        UsageError: without images.

    >>> gzip_share([np.zeros((64, 64), np.uint8)]) < 0.02
    True
    """
    if not len(images):
        raise UsageError("There are no images to compress. Give at least one.", code="images-missing")
    return float(np.mean([_compressed(image) / np.ascontiguousarray(image).nbytes for image in images]))


def gzip_ratio(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """How much less the first images can be compressed than the second ones, byte for byte.

    Args:
        first: for example photographs.
        second: for example CT slices, in the same type.

    >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    >>> gzip_ratio([noise], [np.zeros((64, 64), np.uint8)]) > 50
    True
    """
    return gzip_share(first) / gzip_share(second)


def lower_factor(volumes: Sequence[np.ndarray], *, seed: int = 0) -> float:
    """How many slices are worth one image, at least: compressed stacks of random slices over compressed scans.

    Args:
        volumes: (slices, height, width) of each scan, all of one height, width and type.
        seed: of the draw of the slices.

    Raises:
        UsageError: for volumes of other shapes, or fewer than two.

    >>> rng = np.random.default_rng(0)
    >>> scans = [np.repeat(rng.integers(0, 256, (1, 16, 16), dtype=np.uint8), 8, axis=0) for _ in range(10)]
    >>> lower_factor(scans) > 2
    True
    """
    _check(volumes)
    rng = np.random.default_rng(seed)
    slices = np.concatenate(list(volumes))
    random = sum(_compressed(slices[rng.integers(0, len(slices), len(volume))]) for volume in volumes)
    return random / sum(_compressed(volume) for volume in volumes)


def upper_factor(volumes: Sequence[np.ndarray], *, seed: int = 0, pairs: int = 100) -> float:
    """How many slices are worth one image, at most: slices over the sum of what is new in each.

    What is new in a slice is 1 minus its largest relative mutual information with an earlier slice of its scan, in a random order.
    The mutual information is relative to that of a slice with itself (1) and with slices of other scans (0).

    Args:
        volumes: (slices, height, width) of each scan, all of one height, width and type.
        seed: of the order and the pairs.
        pairs: of slices of different scans, for the value of unrelated slices.

    Raises:
        UsageError: for volumes of other shapes, or fewer than two.

    >>> rng = np.random.default_rng(0)
    >>> scans = [np.repeat(rng.normal(size=(1, 32, 32)), 4, axis=0) for _ in range(3)]
    >>> round(upper_factor(scans), 2)
    4.0
    """
    _check(volumes)
    rng = np.random.default_rng(seed)
    unrelated = []
    for _ in range(pairs):
        one, two = rng.choice(len(volumes), 2, replace=False)
        unrelated.append(mutual_information(_slice(volumes[one], rng), _slice(volumes[two], rng)))
    floor, slices, new = float(np.mean(unrelated)), 0, 0.0
    for volume in volumes:
        order = volume[rng.permutation(len(volume))]
        for place, image in enumerate(order):
            whole = mutual_information(image, image) - floor
            known = (
                [(mutual_information(image, other) - floor) / whole for other in order[:place]] if whole > 0 else [1.0]
            )
            new += 1.0 if not place else float(np.clip(1 - max(known), 0, 1))
            slices += 1
    return slices / new


def mutual_information(first: np.ndarray, second: np.ndarray, bins: int = BINS) -> float:
    """The mutual information of two images' pixels, in nats, from their smoothed joint histogram.

    Args:
        first: (H, W).
        second: (H, W).
        bins: of each image.

    >>> image = np.random.default_rng(0).normal(size=(64, 64))
    >>> mutual_information(image, image) > 10 * mutual_information(image, image[::-1])
    True
    """
    from scipy.ndimage import gaussian_filter

    joint = np.histogram2d(np.ravel(first), np.ravel(second), bins=bins)[0]
    joint = gaussian_filter(joint, sigma=1, mode="constant") + 1e-6
    joint = joint / joint.sum()
    alone = joint.sum(axis=1, keepdims=True) @ joint.sum(axis=0, keepdims=True)
    return float((joint * np.log(joint / alone)).sum())


def _slice(volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image: np.ndarray = volume[rng.integers(len(volume))]
    return image


def _compressed(array: np.ndarray) -> int:
    return len(gzip.compress(np.ascontiguousarray(array).tobytes(), mtime=0))


def _check(volumes: Sequence[np.ndarray]) -> None:
    if len(volumes) < 2 or len({(volume.shape[1:], volume.dtype) for volume in volumes}) > 1 or volumes[0].ndim != 3:
        raise UsageError(
            "Give at least two volumes (slices, height, width) of one height, width and type.",
            code="volumes-shape-wrong",
        )
