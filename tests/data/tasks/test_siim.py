"""SIIM: relative runs down the columns, several rows an image, patients of the DICOM files."""

import shutil

import numpy as np
import pytest
from data_samples import fake_task
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task
from medzoo.data.tasks.siim import draw_runs
from medzoo.errors import DataContractError, ImageError, SplitError


def encode(mask):
    """The other way round, written anew from the competition's text: down the columns, starts from the end of the last run."""
    flat, runs, last, place = mask.T.ravel(), [], 0, 0
    while place < flat.size:
        if flat[place]:
            end = place
            while end < flat.size and flat[end]:
                end += 1
            runs += [place - last, end - place]
            last = place = end
        else:
            place += 1
    return runs


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32))
def test_runs_are_decoded_as_they_were_encoded(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    assert np.array_equal(draw_runs([encode(mask)], mask.shape), mask)


def test_the_example_of_the_competition():
    """A row of train-rle.csv, https://github.com/prasadsawant5/kaggle-pneumothorax: it starts in column 378, from row 548."""
    run = [387620, 23, 996, 33, 986, 43, 977, 51, 968, 58, 962, 65, 956, 70, 952, 74, 949, 76, 946, 79]
    mask = draw_runs([run], (1024, 1024))
    assert mask.sum() == sum(run[1::2])
    columns = np.flatnonzero(mask.any(axis=0))
    assert columns.tolist() == list(range(378, 388))  # one run a column, side by side: a region
    assert np.flatnonzero(mask[:, 378])[[0, -1]].tolist() == [548, 570]
    tops = [np.flatnonzero(mask[:, column])[0] for column in columns]
    assert max(abs(np.diff(tops))) < 10


def test_runs_that_leave_the_image_are_refused():
    with raises(ImageError, "run-outside-image"):
        draw_runs([[4, 9]], (4, 3))
    with pytest.raises(ImageError):
        draw_runs([[0, 2, -2, 3]], (4, 3))


def test_several_rows_are_joined_and_most_masks_are_empty(tmp_path):
    task = fake_task("siim_pneumothorax", tmp_path)
    rows = [(split, row) for split in task.splits for row in range(task.tables[split].num_rows)]
    sums = {task.column(split, "id")[row]: int(task.read_mask(split, row).sum()) for split, row in rows}
    positive = {key for split in task.splits for key, yes in zip(
        task.column(split, "id"), task.column(split, "pneumothorax"), strict=True) if yes}  # fmt: skip
    assert {key for key, total in sums.items() if total} == positive and len(positive) == 4
    assert set(sums.values()) == {0, 23}  # two runs of 10 in one row, and 3 in another


def test_patients_are_those_of_the_headers(tmp_path):
    task = fake_task("siim_pneumothorax", tmp_path)
    groups = [group for split in task.splits for group in task.groups(split)]
    assert len(groups) == 12 and len(set(groups)) == 11  # two images of the last patient, in one split
    assert all(group.startswith("patient-") for group in groups)


def test_images_without_annotation_are_left_out_and_lost_ones_named(tmp_path):
    fake_task("siim_pneumothorax", tmp_path)
    table = tmp_path / "train-rle.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if "1.4.4," not in line) + "\n")
    task = load_task("siim_pneumothorax", root=tmp_path)
    assert sum(part.num_rows for part in task.tables.values()) == 11
    table.write_text("\n".join([*lines, "1.2.276.0.7230010.3.1.4.77, -1"]) + "\n")
    with raises(DataContractError, "partner-files-missing"):
        load_task("siim_pneumothorax", root=tmp_path)


def test_the_later_table_and_damaged_rows(tmp_path):
    fake_task("siim_pneumothorax", tmp_path)
    (tmp_path / "train-rle.csv").rename(tmp_path / "stage_2_train.csv")
    table = tmp_path / "stage_2_train.csv"
    lines = table.read_text().replace(", ", ",").splitlines()
    table.write_text("\n".join(lines) + "\n")
    assert load_task("siim_pneumothorax", root=tmp_path).column("train", "id")
    lines[3], lines[4] = lines[3].replace("-1", "5 6 7"), lines[4].replace("-1", "1 9999")
    table.write_text("\n".join(lines) + "\n")
    next(tmp_path.glob("dicom-images-train/1.2.276.0.7230010.3.1.2.9/*/*.dcm")).write_bytes(b"no dicom")
    with collecting() as found:
        load_task("siim_pneumothorax", root=tmp_path)
    by_code = {error.code: str(error) for error in found}
    assert "'5 6 7'" in by_code["runs-invalid"] and "1 images" in by_code["run-outside-image"]
    assert "1 DICOM headers" in by_code["dicom-header-unreadable"]


def test_the_layout_of_the_study(tmp_path):
    task = fake_task("siim_pneumothorax", tmp_path / "a")
    images, masks = tmp_path / "b" / "images", tmp_path / "b" / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for split in task.splits:
        for row, key in enumerate(task.column(split, "image")):
            name = task.column(split, "id")[row]
            shutil.copy(tmp_path / "a" / key, images / f"{name}.dcm")
            Image.fromarray(task.read_mask(split, row) * 255).save(masks / f"{name}.png")
    study = load_task("siim_pneumothorax", root=tmp_path / "b")
    patients = {
        key: group
        for split in task.splits
        for key, group in zip(task.column(split, "id"), task.groups(split), strict=True)
    }
    assert [study.groups(split) for split in study.splits] == [
        [patients[key] for key in study.column(split, "id")] for split in study.splits
    ]
    for split in study.splits:
        for row, key in enumerate(study.column(split, "id")):
            home = next(part for part in task.splits if key in task.column(part, "id"))
            there = task.column(home, "id").index(key)
            assert np.array_equal(study.read_mask(split, row), task.read_mask(home, there))
            assert np.array_equal(study.read(split, row)[0].array, task.read(home, there)[0].array)
    Image.new("L", (9, 9)).save(masks / f"{study.column('train', 'id')[0]}.png")
    with raises(DataContractError, "mask-size-differs"):
        load_task("siim_pneumothorax", root=tmp_path / "b")


def test_a_patient_in_two_folders_of_the_study_is_refused_and_png_files_name_none(tmp_path):
    task = fake_task("siim_pneumothorax", tmp_path / "a")
    home = next(split for split in task.splits if task.groups(split).count("patient-10") == 2)
    pair = [row for row, group in enumerate(task.groups(home)) if group == "patient-10"]
    for ending in (".dcm", ".png"):
        for folder, row in zip(("train", "test"), pair, strict=True):
            base, name = tmp_path / ending / folder, task.column(home, "id")[row]
            (base / "images").mkdir(parents=True)
            (base / "masks").mkdir()
            if ending == ".dcm":
                shutil.copy(tmp_path / "a" / task.column(home, "image")[row], base / "images" / f"{name}.dcm")
            else:
                Image.fromarray(task.read(home, row)[0].array).save(base / "images" / f"{name}.png")
            Image.fromarray(task.read_mask(home, row) * 255).save(base / "masks" / f"{name}.png")
    with raises(SplitError, "patients-in-several-splits"):
        load_task("siim_pneumothorax", root=tmp_path / ".dcm")
    with collecting() as found:
        load_task("siim_pneumothorax", root=tmp_path / ".png")
    assert not any(isinstance(error, SplitError) for error in found)
