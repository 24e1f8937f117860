"""How many images a data set is worth."""

import numpy as np
import pytest
from expect import raises

from medzoo.analysis.gains import effective_size
from medzoo.analysis.gains.effective_size import (
    IMAGENET,
    RADNET,
    gzip_ratio,
    gzip_share,
    lower_factor,
    score_at_size,
    upper_factor,
)
from medzoo.errors import UsageError


def test_both_ends_of_the_line_are_the_sets():
    smaller, larger = (IMAGENET, 75.63, 0.3), (RADNET, 74.33, 0.4)
    for one in (smaller, larger):
        found = score_at_size(one[0], smaller, larger)
        assert (found.score, found.se) == pytest.approx(one[1:])
    bounds = [score_at_size(IMAGENET * factor, smaller, larger).score for factor in (1.136, 3.807)]
    assert bounds == pytest.approx([75.609, 75.1953], abs=2e-3) and bounds[0] > bounds[1]
    with raises(UsageError, "sizes-equal"):
        score_at_size(1, smaller, smaller)


def test_redundant_slices_are_worth_fewer_images():
    rng = np.random.default_rng(0)
    alone = [rng.integers(0, 256, (6, 32, 32), dtype=np.uint8) for _ in range(6)]
    alike = [np.repeat(one[:1], 6, axis=0) for one in alone]
    assert lower_factor(alone) == pytest.approx(1, abs=0.02) and lower_factor(alike) > 2
    assert upper_factor(alone) == pytest.approx(1, abs=0.1) and upper_factor(alike) == pytest.approx(6, rel=0.05)
    half = [np.repeat(one[:3], 2, axis=0) for one in alone]
    assert upper_factor(half) == pytest.approx(2, rel=0.1)


def test_the_same_seed_gives_the_same_factor():
    rng = np.random.default_rng(0)
    volumes = [rng.integers(0, 40, (5, 16, 16), dtype=np.uint8) for _ in range(4)]
    for function in (lower_factor, upper_factor):
        assert function(volumes, seed=3) == function(volumes, seed=3)


def test_compressed_bytes_for_each_raw_byte():
    noise, smooth = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8), np.zeros((64, 64), np.uint8)
    assert gzip_share([noise]) == pytest.approx(1, abs=0.05)
    assert gzip_share([noise, smooth]) == pytest.approx((gzip_share([noise]) + gzip_share([smooth])) / 2)
    assert gzip_ratio([noise], [noise]) == 1
    assert gzip_share([noise.T[::2]]) == gzip_share([noise.T[::2].copy()])  # not the layout in memory


def test_wrong_arguments():
    with raises(UsageError, "images-missing"):
        gzip_share([])
    for function in (effective_size.lower_factor, effective_size.upper_factor):
        with raises(UsageError, "volumes-shape-wrong"):
            function([np.zeros((2, 4, 4))])
        with raises(UsageError, "volumes-shape-wrong"):
            function([np.zeros((2, 4, 4)), np.zeros((2, 5, 4))])
