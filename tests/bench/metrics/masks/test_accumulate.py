"""The accumulator of a segmented test set: means over images and cases, pooled pixels, and its rules for empty masks."""

import numpy as np
import pytest
from expect import raises

from medzoo.bench import metrics
from medzoo.bench.results.schema import METRIC, _check
from medzoo.errors import ResultError


def mask(*pixels, width=8):
    values = np.zeros((1, width), dtype=bool)
    values[0, list(pixels)] = True
    return values


# prediction, truth, case: two slices of case a, one of b, and an empty one of b
IMAGES = [
    (mask(0, 1, 2, 3), mask(2, 3), "a"),  # Dice 4/6, IoU 2/4
    (mask(0), mask(0, 1, 2), "a"),  # Dice 2/4, IoU 1/3
    (mask(5), mask(6), "b"),  # Dice 0
    (mask(), mask(), "b"),  # empty
]
BY_HAND = {
    "one": {
        "dice": (4 / 6 + 2 / 4 + 0 + 1) / 4, "dice_per_case": (6 / 10 + 0) / 2, "dice_pooled": 6 / 12,
        "iou": (2 / 4 + 1 / 3 + 0 + 1) / 4, "iou_per_case": (3 / 7 + 0) / 2, "iou_pooled": 3 / 9,
    },
    "skip": {
        "dice": (4 / 6 + 2 / 4 + 0) / 3, "dice_per_case": (6 / 10 + 0) / 2, "dice_pooled": 6 / 12,
        "iou": (2 / 4 + 1 / 3 + 0) / 3, "iou_per_case": (3 / 7 + 0) / 2, "iou_pooled": 3 / 9,
    },
}  # fmt: skip


def filled(images=IMAGES, spacing=None, **options):
    made = metrics.SegmentationMetrics(**options)
    for prediction, truth, case in images:
        made.add(prediction, truth, case, spacing)
    return made


def by_name(rows, label=None):
    return {row["name"]: row for row in rows if row["label"] == label}


@pytest.mark.parametrize("empty", BY_HAND)
def test_images_cases_and_pixels_by_hand(empty):
    rows = by_name(filled(empty=empty, distances=False).rows())
    assert {name: row["value"] for name, row in rows.items()} == pytest.approx(BY_HAND[empty])
    images = 4 if empty == "one" else 3
    assert (rows["dice"]["n"], rows["dice"]["n_patients"], rows["dice"]["n_pos"]) == (images, 2, 3)
    assert rows["dice_per_case"]["n"] == 2 and rows["dice_pooled"]["n"] == 4


def test_the_order_of_images_and_the_size_of_a_batch_do_not_matter():
    assert filled(IMAGES[::-1]).rows() == filled().rows()


def test_distances_are_means_over_images_in_mm():
    """Pixels of 2 mm: HD95 of the third image is 2; the empty one has 0 or none."""
    made = filled(spacing=(1, 2), tolerance_mm=2)
    rows = by_name(made.rows())
    each = [metrics.hd95(one, two, (1, 2)) for one, two, _ in IMAGES]
    assert each[2:] == [2, 0]
    assert rows["hd95"]["value"] == pytest.approx(np.mean(each))
    pooled = [metrics.hd95(one, two, (1, 2), definition="pooled") for one, two, _ in IMAGES]
    assert rows["hd95_pooled"]["value"] == pytest.approx(np.mean(pooled))
    nsd = [metrics.nsd(one, two, (1, 2), 2) for one, two, _ in IMAGES]
    assert rows["nsd"]["value"] == pytest.approx(np.mean(nsd)) and nsd[2:] == [1, 1]
    without = by_name(filled(spacing=(1, 2), tolerance_mm=2, empty="skip").rows())
    assert without["hd95"]["value"] == pytest.approx(np.mean(each[:3])) and without["hd95"]["n"] == 3


def test_one_empty_mask_is_never_free_by_default():
    images = [*IMAGES[:1], (mask(), mask(1), "c")]
    far = by_name(filled(images, (1, 1)).rows())["hd95"]
    assert far["value"] == pytest.approx((metrics.hd95(*images[0][:2], (1, 1)) + np.hypot(1, 8)) / 2)
    left_out = by_name(filled(images, (1, 1), one_empty="skip").rows())
    assert left_out["hd95"]["n"] == 1 and left_out["nsd"]["n"] == 2 and left_out["dice"]["n"] == 2


def test_distances_without_spacing_are_undefined_and_never_pixels():
    made = filled(spacing=(1, 1))
    made.add(mask(1), mask(1), "c")
    rows = by_name(made.rows())
    for name in ("hd95", "hd95_pooled", "nsd"):
        assert rows[name]["value"] is None and rows[name]["undefined"] == "not every image has a pixel spacing"
    assert rows["dice"]["value"] is not None


def test_structures_in_both_forms_and_their_mean():
    truth, said = np.array([[0, 1, 1, 2]]), np.array([[0, 1, 2, 2]])
    one = metrics.SegmentationMetrics(("liver", "lesion"))
    two = metrics.SegmentationMetrics(("liver", "lesion"))
    one.add(said, truth, "a", (1, 1))
    two.add(np.stack([said == 1, said == 2]), np.stack([truth == 1, truth == 2]), "a", (1, 1))
    rows = one.rows()
    assert rows == two.rows()
    assert by_name(rows, "liver")["dice"]["value"] == by_name(rows, "lesion")["dice"]["value"] == pytest.approx(2 / 3)
    assert by_name(rows)["dice"]["value"] == pytest.approx(2 / 3) and by_name(rows)["dice"]["n_labels"] == 2
    assert by_name(rows, "liver")["hd95"]["value"] == metrics.hd95(said == 1, truth == 1, (1, 1))


def test_a_structure_that_never_occurs_is_in_no_mean_if_skipped():
    made = metrics.SegmentationMetrics(("liver", "lesion"), empty="skip", distances=False)
    made.add(np.array([[0, 1]]), np.array([[1, 1]]))
    rows = made.rows()
    assert by_name(rows, "lesion")["dice"]["undefined"] == "both masks are empty"
    assert by_name(rows)["dice"]["value"] == pytest.approx(2 / 3) and by_name(rows)["dice"]["n_labels"] == 1


@pytest.mark.parametrize("options", [{}, {"empty": "skip", "one_empty": "skip"}, {"structures": ("a", "b")}])
def test_rows_have_the_form_of_a_result(options):
    made = filled([(one.astype(int), two.astype(int), case) for one, two, case in IMAGES], (1, 1), **options)
    for row in made.rows():
        _check(row, METRIC, "metrics")
        assert row["name"] in metrics.METRICS and (row["value"] is None) == (row["undefined"] is not None)


def test_a_case_without_name_is_its_own_and_images_are_listed():
    made = metrics.SegmentationMetrics(empty="skip")
    made.add(mask(1), mask(1), spacing=(1, 1))
    made.add(mask(), mask(), case=7)
    assert by_name(made.rows())["dice_pooled"]["n_patients"] == 2
    first, second = made.per_image()
    assert first == {
        "case": "image 0",
        "structure": "foreground",
        "dice": 1,
        "iou": 1,
        "hd95": 0,
        "hd95_pooled": 0,
        "nsd": 1,
    }
    assert second == {"case": "7", "structure": "foreground", "dice": None, "iou": None}


def test_definitions_are_named():
    text = metrics.SegmentationMetrics(tolerance_mm=0.5, one_empty="skip").describe()
    assert "0.5 mm" in text["nsd"] and "left out" in text["hd95"] and "one erosion" in text["boundary"]
    assert {"hd95", "hd95_pooled", "nsd"} <= set(text)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: metrics.SegmentationMetrics(empty="zero"), "empty-rule-unknown"),
        (lambda: metrics.SegmentationMetrics(one_empty="inf"), "empty-rule-unknown"),
        (lambda: metrics.SegmentationMetrics(tolerance_mm=-1), "tolerance-wrong"),
        (lambda: metrics.SegmentationMetrics(()), "structures-wrong"),
        (lambda: metrics.SegmentationMetrics(("a", "a")), "structures-wrong"),
        (lambda: metrics.SegmentationMetrics().rows(), "split-empty"),
        (lambda: metrics.SegmentationMetrics(("a", "b")).add(np.array([[3]]), np.array([[0]])), "mask-values-wrong"),
        (
            lambda: metrics.SegmentationMetrics(("a", "b")).add(np.ones((3, 2), bool), np.ones((3, 2), bool)),
            "mask-shapes-differ",
        ),
        (lambda: metrics.SegmentationMetrics().add(mask(1), mask(1), spacing=(1, 1, 1)), "spacing-wrong"),
        (lambda: metrics.SegmentationMetrics().add(mask(1), mask(1, width=9)), "mask-shapes-differ"),
    ],
)
def test_wrong_input_is_refused(call, code):
    with raises(ResultError, code):
        call()
