"""How many images a curve needs for a score: the value, and an interval that covers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.gains.data_curve import CurvePoint, images_ratio, needed_images
from medzoo.bench.statistics.influence import Contributions

PATIENTS = 120


def point(images, score, vectors=None, values=None):
    flat = np.zeros((1, PATIENTS)) if vectors is None else vectors
    return CurvePoint(images, Contributions(np.array([score] if values is None else values), flat, PATIENTS - 1.0))


@given(st.floats(0.55, 0.95))
def test_scores_are_linear_in_the_logarithm(score):
    curve = [point(100, 0.5), point(1000, 0.8), point(10000, 1.0)]
    found = needed_images(point(1, score), curve).images
    assert found == pytest.approx(np.exp(np.interp(score, [0.5, 0.8, 1.0], np.log([100, 1000, 10000]))))


def test_a_score_outside_the_curve_has_no_value():
    curve = [point(100, 0.6), point(1000, 0.8)]
    above, below = needed_images(point(1, 0.9), curve), needed_images(point(1, 0.5), curve)
    assert above.images is None and "above" in above.reason
    assert below.images is None and "below" in below.reason
    assert (above.low, above.high, below.low, below.high) == (1000, None, None, 100)
    assert images_ratio(above, 100).images is None and images_ratio(above, 100).low == 10


class Study:
    """Two checkpoints: the score of each image is a mean that depends on the training images, patients and seeds."""

    def __init__(self, slope, shift, seeds=5, seed_effect=0.02, shared=0.9):
        self.slope, self.shift, self.seeds, self.seed_effect, self.shared = slope, shift, seeds, seed_effect, shared

    sizes = (50, 200, 800, 3200)

    def draw(self, rng):
        """A curve of the one checkpoint and the score of the other one at 800 images."""
        patients = rng.normal(size=PATIENTS)

        def at(size, shift):
            mean = 0.6 + self.slope * np.log(size / 50) + shift + self.seed_effect * rng.normal(size=(self.seeds, 1))
            noise = self.shared * patients + np.sqrt(1 - self.shared**2) * rng.normal(size=(self.seeds, PATIENTS))
            cases = mean + 0.3 * noise
            values = cases.mean(axis=1)
            return point(size, 0, (cases - values[:, None]) / PATIENTS, values)

        return [at(size, 0.0) for size in self.sizes], at(800, self.shift)

    @property
    def truth(self):
        return 800 * np.exp(self.shift / self.slope)


@pytest.mark.parametrize(
    "study",
    [Study(0.06, 0.04), Study(0.06, -0.04, seeds=3), Study(0.02, 0.0), Study(0.06, 0.04, seed_effect=0.0)],
    ids=["better", "worse, 3 seeds", "flat", "no seed effect"],
)
def test_the_interval_covers_the_truth(study):
    rng, hits, ends = np.random.default_rng(5), [], []
    for _ in range(150):
        curve, target = study.draw(rng)
        found = needed_images(target, curve)
        hits.append((found.low or 0) <= study.truth <= (found.high or np.inf))
        ends.append(found.low is not None and found.high is not None)
    assert np.mean(hits) >= 0.92
    if study.slope == 0.02:
        assert np.mean(ends) < 0.9  # a flat curve often has no end


def test_the_test_is_paired():
    """What patients do to both scores cancels."""
    rng = np.random.default_rng(6)

    def width(shared):
        curve, target = Study(0.06, 0.0, seed_effect=0.0, shared=shared).draw(rng)
        found = needed_images(target, curve)
        return np.log((found.high or 3200) / (found.low or 50))

    assert width(0.99) < 0.5 * width(0.1)


def lacking(images, score, why):
    one = point(images, score)
    return CurvePoint(images, replace(one.cell, lacking=why))


def test_an_error_below_the_whole_curve_needs_more_images():
    curve = [point(100, 6.0), point(1000, 5.5)]
    small, large = (needed_images(point(1, error), curve, higher_is_better=False) for error in (3.0, 7.0))
    assert (small.images, small.low, small.high) == (None, 1000, None) and "below the curve" in small.reason
    assert (large.images, large.low, large.high) == (None, None, 100) and "above the curve" in large.reason
    assert needed_images(point(1, 5.75), curve, higher_is_better=False).images == pytest.approx(1000 / 10**0.5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_without_an_interval_of_a_score_there_are_no_ends(place):
    scores = [0.6, 0.8, 0.9]
    points = [
        (lacking(10 ** (2 + n), one, "few") if n == place else point(10 ** (2 + n), one))
        for n, one in enumerate(scores)
    ]
    found = needed_images(points[2], points[:2])
    assert (found.images, found.low, found.high) == (None, None, None)
    assert found.reason == "the score is above the curve, which has 100 to 1000 images; few"
    inside = needed_images(replace(points[2], cell=replace(points[2].cell, values=np.array([0.7]))), points[:2])
    assert (
        inside.images == pytest.approx(1000 / 10**0.5) and inside.low is inside.high is None and inside.reason == "few"
    )


def test_one_patient_gives_no_ends():
    alone = [CurvePoint(n, Contributions(np.array([s]), np.zeros((1, 1)), 0.0)) for n, s in ((100, 0.6), (1000, 0.8))]
    found = needed_images(replace(alone[0], cell=replace(alone[0].cell, values=np.array([0.9]))), alone)
    assert found.low is found.high is None and found.reason.endswith("; fewer than 2 patients")
