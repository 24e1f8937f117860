"""The metrics of masks: means over images, cases and pixels, by hand and from the stored table."""

import numpy as np
import pyarrow as pa
import pytest
from expect import raises

from medzoo.bench.metrics import METRICS
from medzoo.bench.metrics.masks.rows import NO_SPACING, Distances, MaskRows, mask_columns, mask_scores
from medzoo.bench.results.record import mask_predictions
from medzoo.bench.results.schema import METRIC, _check
from medzoo.bench.review.numbers import _masks

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
    assert found["dice_per_case", "liver"] == pytest.approx(
        (4 / 8 + 1) / 2
    )  # the images of a case are counted together
    assert found["dice_pooled", "liver"] == pytest.approx(12 / 16)
    assert found["iou", "liver"] == pytest.approx((2 / 4 + 0 + 1) / 3)


def measured(unit):
    """The rows with their original size, where the second image is twice as large, and with distances."""
    distances = Distances(np.arange(18).reshape(3, 2, 3) / 100, unit)
    original = COUNTS * np.array([1, 4, 1])[:, None, None], np.array([16, 64, 16])
    return MaskRows(ROWS.structures, COUNTS, ROWS.pixels, ROWS.groups, (0.5, None, 0.75), original, distances)


def test_one_image_per_case_is_the_mean_over_images():
    rows = MaskRows(ROWS.structures, COUNTS, ROWS.pixels, ("a", "b", "c"))
    found = values(rows)
    assert found["dice_per_case", None] == found["dice", None]
    assert {row["n_patients"] for row in mask_scores(rows)} == {3}


def test_the_original_size_has_its_own_dice_and_a_mean_of_distances():
    rows = measured("mm")
    counts = rows.original[0].copy()
    counts[0, 0] = [0, 4, 0]
    found = values(
        MaskRows(ROWS.structures, COUNTS, ROWS.pixels, ROWS.groups, None, (counts, ROWS.pixels), rows.distances)
    )
    assert found["dice_original", "liver"] == pytest.approx((0 + 0 + 1) / 3)
    assert found["dice", "liver"] == values(ROWS)["dice", "liver"] != found["dice_original", "liver"]
    assert found["hd95", "liver"] == pytest.approx(0.06) and found["nsd", "lesion"] == pytest.approx(0.11)
    assert found["hd95", None] == pytest.approx((0.06 + 0.09) / 2)


def test_distances_in_pixels_are_never_shown_in_mm():
    rows = {(row["name"], row["label"]): row for row in mask_scores(measured("pixels"))}
    assert rows["hd95", None]["value"] is None and rows["hd95", "liver"]["undefined"] == NO_SPACING
    assert rows["hd95_pixels", "liver"]["value"] == pytest.approx(0.06)
    assert "within 2 pixels" in rows["nsd_pixels", None]["definition"] and "definition" not in rows["dice", None]
    with_mm = {row["name"] for row in mask_scores(measured("mm"))}
    assert "hd95_pixels" not in with_mm and "within 2 mm" in next(
        row["definition"] for row in mask_scores(measured("mm")) if row["name"] == "nsd"
    )


@pytest.mark.parametrize("unit", ["mm", "pixels"])
def test_every_row_is_a_metric_and_has_the_form_of_a_result(unit):
    for row in mask_scores(measured(unit)):
        _check(row, METRIC, "metrics")
        assert row["name"] in METRICS and (row["value"] is None) == (row["undefined"] is not None)


@pytest.mark.parametrize("rows", [ROWS, measured("mm"), measured("pixels")], ids=["counts", "mm", "pixels"])
def test_the_table_gives_the_metrics_again(rows):
    table = mask_predictions(rows, ["x", "y", "z"])
    assert table.column_names == mask_columns(table.column_names)
    assert mask_scores(MaskRows.from_table(table)) == mask_scores(rows)


def review_of(table, metrics, task="lits"):
    result = {"identity": {"task": {"id": task}}, "metrics": metrics}
    return {check for check, _ in _masks(result, table)}


def changed(table, name, column):
    return table.set_column(table.column_names.index(name), name, pa.array(column))


@pytest.mark.parametrize("rows", [ROWS, measured("mm")], ids=["counts", "mm"])
def test_a_reviewer_computes_the_metrics_again(rows):
    table = mask_predictions(rows, ["x", "y", "z"])
    metrics = mask_scores(rows)
    assert review_of(table, metrics) == set()
    assert review_of(table, [{**metrics[0], "value": 0.9}, *metrics[1:]]) == {"metrics"}
    assert review_of(table, metrics[1:]) == {"metrics"}
    wrong = [("tp:liver", [-1, 0, 4]), ("tp:liver", [16, 0, 4]), ("tp:liver", [None, 0, 4])]
    if rows.original is not None:
        wrong += [("original_tp:liver", [2, 65, 4]), ("hd95:liver", [-0.1, 0, 0]), ("nsd:lesion", [1.1, 0, 0])]
        wrong.append(("hd95:liver", [float("inf"), 0, 0]))
    for name, column in wrong:
        assert review_of(changed(table, name, column), metrics) == {"range"}, (name, column)
    other = mask_predictions(MaskRows(("vessel", "lesion"), COUNTS, ROWS.pixels, ROWS.groups), ["x", "y", "z"])
    assert review_of(other, metrics) == {"columns"}


def test_a_reviewer_expects_the_regions_of_a_task():
    counts = np.repeat(COUNTS, 2, axis=1)[:, :3]
    regions = MaskRows(("ET", "WT", "TC"), counts, ROWS.pixels, ROWS.groups)
    classes = MaskRows(("NCR/NET", "edema", "enhancing tumour"), counts, ROWS.pixels, ROWS.groups)
    assert review_of(mask_predictions(regions, ["x", "y", "z"]), mask_scores(regions), "brats2020") == set()
    assert review_of(mask_predictions(classes, ["x", "y", "z"]), mask_scores(classes), "brats2020") == {"columns"}


def test_only_the_columns_of_masks_are_read_and_published(tmp_path):
    import pyarrow.parquet as pq

    from medzoo.bench.results.untrusted import read_predictions
    from medzoo.bench.sharing.pseudonymize import has_labels, without_labels
    from medzoo.errors import ResultError

    table = mask_predictions(measured("mm"), ["x", "y", "z"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_predictions(tmp_path / "a.parquet").equals(table) and has_labels(table)
    bare = without_labels(table)
    pq.write_table(bare, tmp_path / "b.parquet")
    assert read_predictions(tmp_path / "b.parquet").column_names == [
        "sample", "patient", "pixels", "original_pixels",
    ]  # fmt: skip
    assert not has_labels(bare)
    pq.write_table(table.drop_columns(["fp:liver"]), tmp_path / "c.parquet")
    with raises(ResultError, "predictions-columns-wrong"):
        read_predictions(tmp_path / "c.parquet")
