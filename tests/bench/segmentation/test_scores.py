"""The metrics of masks: means over images, cases and pixels, by hand and from the stored table."""

import numpy as np
import pyarrow as pa
import pytest
from expect import raises

from medzoo.bench.results.record import mask_predictions
from medzoo.bench.review.numbers import _masks
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


def review_of(table, metrics):
    result = {"identity": {"task": {"id": "lits"}}, "metrics": metrics}
    return {check for check, _ in _masks(result, table)}


def test_a_reviewer_computes_the_metrics_again():
    table = mask_predictions(ROWS.classes, ["x", "y", "z"], ROWS.groups, COUNTS, ROWS.pixels)
    metrics = mask_scores(ROWS)
    assert review_of(table, metrics) == set()
    assert review_of(table, [{**metrics[0], "value": 0.9}, *metrics[1:]]) == {"metrics"}
    assert review_of(table, metrics[1:]) == {"metrics"}
    below = table.set_column(3, "tp:liver", pa.array([-1, 0, 4]))
    above = table.set_column(3, "tp:liver", pa.array([16, 0, 4]))
    none = table.set_column(3, "tp:liver", pa.array([None, 0, 4], pa.int64()))
    assert all(review_of(other, metrics) == {"range"} for other in (below, above, none))
    other = mask_predictions(("vessel", "lesion"), ["x", "y", "z"], ROWS.groups, COUNTS, ROWS.pixels)
    assert review_of(other, metrics) == {"columns"}


def test_only_the_columns_of_masks_are_read_and_published(tmp_path):
    import pyarrow.parquet as pq

    from medzoo.bench.sharing.pseudonymize import has_labels, without_labels
    from medzoo.bench.sharing.untrusted import read_predictions
    from medzoo.errors import ResultError

    table = mask_predictions(ROWS.classes, ["x", "y", "z"], ROWS.groups, COUNTS, ROWS.pixels, (0.5, None, 1.0))
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_predictions(tmp_path / "a.parquet").equals(table) and has_labels(table)
    bare = without_labels(table)
    pq.write_table(bare, tmp_path / "b.parquet")
    assert read_predictions(tmp_path / "b.parquet").column_names == ["sample", "patient", "pixels"]
    assert not has_labels(bare)
    pq.write_table(table.drop_columns(["fp:liver"]), tmp_path / "c.parquet")
    with raises(ResultError, "predictions-columns-wrong"):
        read_predictions(tmp_path / "c.parquet")
