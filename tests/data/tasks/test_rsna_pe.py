import csv
import shutil

import numpy as np
import pytest
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.data.tasks import rsna_pe
from medzoo.errors import DataContractError, ImageError, UnknownNameError, UsageError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "root"
    rsna_pe.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def rows_of(root):
    with (root / "train.csv").open() as stream:
        return list(csv.DictReader(stream))


def write(root, rows):
    with (root / "train.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_a_study_is_in_one_split_with_all_of_its_slices(root):
    task = load_task("rsna_pe", root=root)
    place = {study: split for split in task.tables for study in task.groups(split)}
    rows = rows_of(root)
    assert set(place) == {row["StudyInstanceUID"] for row in rows}
    for split in task.tables:
        here = [row for row in rows if place[row["StudyInstanceUID"]] == split]
        expected = {row["SOPInstanceUID"]: int(row["pe_present_on_image"]) for row in here}
        assert dict(zip(task.column(split, "id"), task.labels(split).tolist(), strict=True)) == expected
        assert set(task.column(split, "negative_exam_for_pe")) == {0, 1}


@pytest.mark.parametrize("choice, window", [
    ("", (-250, 450)), (",window=-250:450", (-250, 450)), (",window=lung", (-1350, 150)), (",window=0:100.5", (0, 100.5)),
])  # fmt: skip
def test_slices_are_hounsfield_units_in_the_window(root, choice, window):
    task = load_task(f"rsna_pe{choice}", root=root)
    assert task.info.window == window and task.name == ("rsna_pe" if window == (-250, 450) else f"rsna_pe{choice}")
    pixels, label = task.read("train", 0)
    assert pixels.unit == "HU" and pixels.range == window and label in (0, 1)
    assert pixels.array.min() >= window[0] and pixels.array.max() <= window[1]


def test_windows_that_are_none(root):
    for choice, error in (("brian", UnknownNameError), ("5:1", UsageError), ("a:b", UsageError)):
        with pytest.raises(error):
            load_task(f"rsna_pe,window={choice}", root=root)


def test_the_window_is_part_of_what_is_decoded(root, tmp_path):
    from medzoo.data.decode_cache.cache import decoded

    lung, usual = (
        decoded(load_task(f"rsna_pe{choice}", root=root), "test", size=16, cache_dir=tmp_path)
        for choice in (",window=lung", "")
    )
    assert not np.array_equal(lung.images, usual.images)


@pytest.mark.parametrize("change, cause", [
    (lambda rows: [*rows, rows[0]], "image-id-repeated"),
    (lambda rows: [rows[0] | {"pe_present_on_image": "2"}, *rows[1:]], "label-invalid"),
    (lambda rows: [rows[0] | {"qa_motion": "1"}, *rows[1:]], "label-conflict"),
    (lambda rows: [*rows, rows[0] | {"SOPInstanceUID": "gone"}], "data-files-missing"),
    (lambda rows: rows[1:], "images-not-in-table"),  # a slice of a series without a row
    (lambda rows: rows[3:], "images-not-in-table"),  # a whole study without rows
])  # fmt: skip
def test_f34_broken_tables_say_why(copy, change, cause):
    write(copy, change(rows_of(copy)))
    with raises(DataContractError, cause):
        load_task("rsna_pe", root=copy)


def test_labels_of_studies_may_be_missing(copy):
    write(copy, [{key: row[key] for key in (*rsna_pe.UIDS, rsna_pe.IMAGE_LABEL)} for row in rows_of(copy)])
    assert "indeterminate" not in load_task("rsna_pe", root=copy).tables["train"].column_names


def test_a_slice_that_does_not_say_its_hounsfield_units_is_refused(copy):
    import pydicom

    task = load_task("rsna_pe", root=copy)
    path = copy / task.column("train", "image")[0]
    header = pydicom.dcmread(path)
    del header.RescaleSlope, header.RescaleIntercept
    header.save_as(path)
    with raises(ImageError, "image-not-in-hu"):
        task.read("train", 0)
    assert task.read("train", 1)[0].unit == "HU"
