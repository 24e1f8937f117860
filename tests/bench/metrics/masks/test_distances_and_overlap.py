"""Dice, IoU, HD95 and NSD: golden pairs with values by hand, and equality with MONAI and with DeepMind's surface-distance."""

import math

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from medzoo.bench import metrics
from medzoo.errors import ResultError, UndefinedMetricError

SPACINGS = [(1.0, 1.0), (0.5, 2.0), (0.25, 0.25)]


def square(shape, corner, size):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(start, start + size) for start in corner)] = True
    return mask


def drawn(seed, shape=(14, 17)):
    """Two masks of a few overlapping blobs."""
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        mask = np.zeros(shape, dtype=bool)
        for _ in range(rng.integers(1, 4)):
            corner = [int(rng.integers(0, side - 3)) for side in shape]
            mask |= square(shape, corner, int(rng.integers(2, 7)))
        masks.append(mask)
    return masks


# golden pairs: prediction, truth, spacing → Dice, IoU, HD95 (larger directed), HD95 (pooled), NSD at 1 mm
SAME = square((7, 7), (2, 2), 3)
FAR = math.hypot(3 * 0.5, 4 * 2)
GOLDEN = {
    "equal squares": (SAME, SAME, (1, 1), 1, 1, 0, 0, 1),
    # a boundary of 8 pixels each. 3 pixels of the outer column are one column away, 4 pixels are in both boundaries, and
    # the one in the hole of the other square is one row away: with columns of 4 mm, 5 of 8 are within 1 mm
    "shifted by one column": (SAME, np.roll(SAME, 1, axis=1), (1, 1), 2 / 3, 1 / 2, 1, 1, 1),
    "shifted by one column of 4 mm": (SAME, np.roll(SAME, 1, axis=1), (1, 4), 2 / 3, 1 / 2, 4, 4, 10 / 16),
    "one pixel each": (square((5, 6), (0, 0), 1), square((5, 6), (3, 4), 1), (0.5, 2), 0, 0, FAR, FAR, 0),
    # prediction: a pixel; truth: that pixel and one 4 mm to its right.
    # to the truth [0], to the prediction [0, 4]: percentiles 0 and 3.8; pooled [0, 0, 4]: 0.95 * 2 = 1.9 → 0.9 * 4 = 3.6
    "a pixel is missing": (
        np.array([[1, 0, 0]], bool), np.array([[1, 0, 1]], bool), (1, 2), 2 / 3, 1 / 2, 3.8, 3.6, 2 / 3,
    ),
    # one erosion of the 3 x 3 x 3 cube leaves its centre, which is the truth: 26 boundary pixels against 1.
    # from the cube: 6 at 1, 12 at √2, 8 at √3; its percentile is √3, that of the truth 1; pooled √3 as well; within 1: 6 + 1
    "a cube and its centre": (
        square((5, 5, 5), (1, 1, 1), 3), square((5, 5, 5), (2, 2, 2), 1), (1, 1, 1),
        2 / 28, 1 / 27, math.sqrt(3), math.sqrt(3), 7 / 27,
    ),
    # slices of 5 mm: the nearest pixel is in the next slice
    "shifted by one slice": (
        square((4, 4, 4), (0, 1, 1), 1), square((4, 4, 4), (1, 1, 1), 1), (5, 0.5, 0.5), 0, 0, 5, 5, 0,
    ),
    # foreground at the edge of the image is boundary: a full image has its outer ring
    "a full image": (np.ones((3, 4), bool), np.ones((3, 4), bool), (1, 1), 1, 1, 0, 0, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_pairs(name):
    prediction, truth, spacing, dice, iou, directed, pooled, nsd = GOLDEN[name]
    for one, two in ((prediction, truth), (truth, prediction)):
        assert metrics.dice(one, two) == pytest.approx(dice) and metrics.iou(one, two) == pytest.approx(iou)
        assert metrics.hd95(one, two, spacing) == pytest.approx(directed)
        assert metrics.hd95(one, two, spacing, definition="pooled") == pytest.approx(pooled)
        assert metrics.nsd(one, two, spacing, 1.0) == pytest.approx(nsd)


def test_boundary_by_hand():
    assert metrics.boundary(np.ones((3, 4))).sum() == 10
    assert metrics.boundary(SAME).sum() == 8 and not metrics.boundary(SAME)[3, 3]
    assert (metrics.boundary(square((4, 4), (1, 1), 1)) == square((4, 4), (1, 1), 1)).all()
    plus = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    assert metrics.boundary(plus).sum() == 4, "the 4 neighbours decide: the centre is inside"


EMPTY, FULL = np.zeros((6, 8), bool), square((6, 8), (1, 1), 2)


def test_empty_masks_by_their_rules():
    assert metrics.dice(EMPTY, EMPTY) == metrics.iou(EMPTY, EMPTY) == metrics.nsd(EMPTY, EMPTY, (1, 1)) == 1
    assert metrics.hd95(EMPTY, EMPTY, (1, 1)) == 0
    for one, two in ((EMPTY, FULL), (FULL, EMPTY)):
        assert metrics.dice(one, two) == metrics.iou(one, two) == metrics.nsd(one, two, (1, 1), 99) == 0
        assert metrics.hd95(one, two, (1, 0.5)) == pytest.approx(math.hypot(6, 4)), "the diagonal of 6 x 4 mm"
        with raises(UndefinedMetricError, "metric-undefined", match="one mask is empty"):
            metrics.hd95(one, two, (1, 1), one_empty="skip")
    for call in (metrics.dice, metrics.iou):
        with raises(UndefinedMetricError, "metric-undefined", match="both masks are empty"):
            call(EMPTY, EMPTY, "skip")
    for call in (metrics.hd95, metrics.nsd):
        with raises(UndefinedMetricError, "metric-undefined", match="both masks are empty"):
            call(EMPTY, EMPTY, (1, 1), empty="skip")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: metrics.dice(FULL * 255, FULL), "mask-values-wrong"),
        (lambda: metrics.dice(FULL * 0.7, FULL), "mask-values-wrong"),
        (lambda: metrics.dice(FULL, FULL * np.nan), "mask-values-wrong"),
        (lambda: metrics.iou(FULL, FULL[1:]), "mask-shapes-differ"),
        (lambda: metrics.dice(FULL, FULL, "nan"), "empty-rule-unknown"),
        (lambda: metrics.hd95(FULL, FULL, (1, 1, 1)), "spacing-wrong"),
        (lambda: metrics.hd95(FULL, FULL, (1, 0)), "spacing-wrong"),
        (lambda: metrics.nsd(FULL, FULL, (1, np.nan)), "spacing-wrong"),
        (lambda: metrics.nsd(FULL, FULL, (1, 1), -1), "tolerance-wrong"),
        (lambda: metrics.hd95(FULL, FULL, (1, 1), definition="max"), "empty-rule-unknown"),
        (lambda: metrics.hd95(FULL, FULL, (1, 1), one_empty="inf"), "empty-rule-unknown"),
        (lambda: metrics.nsd(FULL, FULL, (1, 1), empty="zero"), "empty-rule-unknown"),
    ],
)
def test_wrong_input_is_refused(call, code):
    with raises(ResultError, code):
        call()


def test_a_tolerance_holds_what_is_equal_but_for_rounding():
    """Three steps of 0.1 mm are 0.30000000000000004."""
    one, two = np.eye(1, 4, 0, dtype=bool), np.eye(1, 4, 3, dtype=bool)
    assert metrics.nsd(one, two, (1, 0.1), 0.3) == 1 and metrics.nsd(one, two, (1, 0.1), 0.29) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(SPACINGS))
def test_a_margin_and_an_axis_change_nothing(seed, spacing):
    """Cropping is an implementation detail; axes and their spacing belong together; swapping the masks changes no distance."""
    one, two = drawn(seed)
    wide = [np.pad(mask, ((9, 4), (0, 7))) for mask in (np.pad(one, 1), np.pad(two, 1))]
    near = [np.pad(one, 1), np.pad(two, 1)]
    for definition in ("max_of_directed", "pooled"):
        value = metrics.hd95(*near, spacing, definition=definition)
        assert metrics.hd95(*wide, spacing, definition=definition) == pytest.approx(value)
        assert metrics.hd95(one.T, two.T, spacing[::-1], definition=definition) == pytest.approx(
            metrics.hd95(two, one, spacing, definition=definition)
        )
    assert metrics.nsd(*wide, spacing, 1) == pytest.approx(metrics.nsd(*near, spacing, 1))
    scaled = tuple(3 * side for side in spacing)
    assert metrics.hd95(one, two, scaled) == pytest.approx(3 * metrics.hd95(one, two, spacing))


@pytest.mark.parametrize("shape", [(14, 17), (9, 11, 8)])
@pytest.mark.parametrize("seed", range(8))
def test_equal_to_monai(seed, shape):
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    one, two = drawn(seed, shape)
    spacing = (0.5, 2.0, 1.25)[: len(shape)]
    pair = [torch.from_numpy(mask)[None, None] for mask in (one, two)]
    dice = monai.compute_dice(*pair, include_background=True)
    iou = monai.compute_iou(*pair, include_background=True)
    hd = monai.compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing))
    assert metrics.dice(one, two) == pytest.approx(float(dice), abs=1e-6)
    assert metrics.iou(one, two) == pytest.approx(float(iou), abs=1e-6)
    assert metrics.hd95(one, two, spacing) == pytest.approx(float(hd), abs=1e-5)
    for tolerance in (0.0, 1.0, 2.1):
        nsd = monai.compute_surface_dice(*pair, [tolerance], include_background=True, spacing=list(spacing))
        assert metrics.nsd(one, two, spacing, tolerance) == pytest.approx(float(nsd), abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_next_to_surface_distance(seed):
    """DeepMind's surface is between pixels and weighted by area: equal Dice, and distances that differ by a pixel at most."""
    theirs = pytest.importorskip("surface_distance")
    one, two = (np.pad(mask, 1) for mask in drawn(seed, (9, 11, 8)))
    spacing = (0.5, 1.0, 1.25)
    assert metrics.dice(one, two) == pytest.approx(theirs.compute_dice_coefficient(two, one))
    found = theirs.compute_surface_distances(two, one, spacing)
    pixel = math.hypot(*spacing)
    assert abs(metrics.hd95(one, two, spacing) - theirs.compute_robust_hausdorff(found, 95)) <= pixel
    same = theirs.compute_surface_distances(one, one, spacing)
    assert theirs.compute_robust_hausdorff(same, 95) == metrics.hd95(one, one, spacing) == 0


def test_next_to_surface_distance_where_the_definitions_meet():
    """Two thick slabs of the full width: all surface elements have one distance, but for those at the edge."""
    theirs = pytest.importorskip("surface_distance")
    one, two = np.zeros((14, 20, 20), bool), np.zeros((14, 20, 20), bool)
    one[:6], two[:9] = True, True
    found = theirs.compute_surface_distances(two, one, (2.0, 1.0, 1.0))
    assert theirs.compute_robust_hausdorff(found, 95) == pytest.approx(6) == metrics.hd95(one, two, (2.0, 1.0, 1.0))


def test_distances_need_scipy_and_say_so(monkeypatch):
    import sys

    from medzoo.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "scipy", None)
    with raises(MissingExtraError, "missing-scipy", match=r"medzoo\[recipes\]"):
        metrics.hd95(FULL, FULL, (1, 1))
    assert metrics.dice(FULL, FULL) == 1
