"""Kermany's OCT: patients of the test half are not trained on."""

import shutil

import pytest
from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def test_training_images_of_tested_patients_are_left_out(tmp_path):
    task = fake_task("oct", tmp_path)
    assert len(task.column("test", "id")) == 4 * 3 * 2
    assert not set(task.groups("test")) & (set(task.groups("train")) | set(task.groups("validation")))
    kept = len(task.column("train", "id")) + len(task.column("validation", "id"))
    assert kept == 4 * 11 * 2  # of twelve patients a class one is tested too
    folds = load_task("oct", root=tmp_path, fold=2)
    assert (
        sum(table.num_rows for table in folds.tables.values()) == 4 * (12 + 3) * 2
    )  # grouped by patient, nothing is lost


def test_labels_are_the_folders_and_the_names_have_to_agree(tmp_path):
    task = fake_task("oct", tmp_path)
    for split in task.splits:
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True):
            assert key.rpartition("/")[2].startswith(task.classes[label] + "-")
    folder = tmp_path / "OCT2017" / "train"
    picture = next((folder / "CNV").iterdir())
    shutil.copy(picture, folder / "DME" / "CNV-5-1.jpeg")
    shutil.copy(picture, folder / "DRUSEN" / "drusen.jpeg")
    with collecting() as found:
        load_task("oct", root=tmp_path)
    assert found[0].code == "patient-not-in-file-name" and "2 file names" in str(found[0])
    assert "train/DME/CNV-5-1.jpeg" in str(found[0]) and "train/DRUSEN/drusen.jpeg" in str(found[0])


@pytest.mark.parametrize("outer", ["", "OCT2017", "OCT2017 ", "CellData/OCT"])
def test_the_folders_that_archives_bring(outer, tmp_path):
    fake_task("oct", tmp_path / "a")
    (tmp_path / "b" / outer).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tmp_path / "a" / "OCT2017", tmp_path / "b" / outer)
    (tmp_path / "b" / outer / "val" / "CNV").mkdir(parents=True)  # a copy on Kaggle has this; it is never read
    assert load_task("oct", root=tmp_path / "b").counts("test")["CNV"] == 6


def test_missing_classes_are_named(tmp_path):
    fake_task("oct", tmp_path)
    shutil.rmtree(tmp_path / "OCT2017" / "test" / "DRUSEN")
    with raises(DataContractError, "class-folders-wrong"):
        load_task("oct", root=tmp_path)
