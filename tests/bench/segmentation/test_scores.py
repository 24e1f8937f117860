"""The metrics of masks: means over images, cases and pixels, by hand and from the stored table."""

import numpy as np
import pytest

from medzoo.bench.results.record import mask_predictions
from medzoo.bench.segmentation.scores import MaskRows, mask_scores

# three images of two cases and two classes: (tp, fp, fn)
COUNTS = np.array([[[2, 1, 1], [0, 0, 0]], [[0, 2, 0], [3, 0, 3]], [[4, 0, 0], [0, 0, 4]]])
ROWS = MaskRows(("liver", "lesion"), COUNTS, np.array([16, 16, 16]), ("a", "a", "b"))


def values(rows):
    return {(row["name"], row["label"]): row["value"] for row in mask_scores(rows)}


def test_every_mean_by_hand():
    found = values(ROWS)
    assert found["dice", "liver"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert found["dice", "lesion"] == pytest.approx((1 + 2 / 3 + 0) / 3)  # the first image has none, and none is found
    assert found["dice", None] == pytest.approx((found["dice", "liver"] + found["dice", "lesion"]) / 2)
    assert found["dice_case", "liver"] == pytest.approx((4 / 8 + 1) / 2)  # the images of a case are counted together
    assert found["dice_pooled", "liver"] == pytest.approx(12 / 16)
    assert found["iou", "liver"] == pytest.approx((2 / 4 + 0 + 1) / 3)


def test_one_image_per_case_has_no_dice_per_case():
    rows = MaskRows(ROWS.classes, COUNTS, ROWS.pixels, ("a", "b", "c"))
    assert "dice_case" not in {name for name, _ in values(rows)}
    assert {row["n_patients"] for row in mask_scores(rows)} == {3}


def test_the_table_gives_the_metrics_again():
    rows = MaskRows(ROWS.classes, COUNTS, ROWS.pixels, ROWS.groups, (0.5, None, 0.75))
    table = mask_predictions(rows.classes, ["x", "y", "z"], rows.groups, rows.counts, rows.pixels, rows.areas)
    assert table.column_names == [
        "sample", "patient", "pixels", "tp:liver", "fp:liver", "fn:liver", "tp:lesion", "fp:lesion", "fn:lesion", "pixel_auroc",
    ]  # fmt: skip
    assert mask_scores(MaskRows.from_table(table)) == mask_scores(rows)
    assert values(rows)["pixel_auroc", None] == 0.625
