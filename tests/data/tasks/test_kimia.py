"""KIMIA Path960: the class is the letter."""

import shutil

from data_samples import fake_task
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def test_the_class_is_the_letter(tmp_path):
    task = fake_task("kimia", tmp_path)
    for split in task.splits:
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True):
            assert task.classes[label] == key[0]
    assert len(task.classes) == 20 and set(task.counts("train").values()) == {8}


def test_other_names_and_copies_are_named(tmp_path):
    fake_task("kimia", tmp_path)
    folder = tmp_path / "kimia_path_960"
    shutil.copy(folder / "A1.tif", folder / "X1.tif")
    shutil.copy(folder / "A1.tif", folder / "A1a.tif")
    with raises(DataContractError, "file-name-invalid"):
        load_task("kimia", root=tmp_path)
    (folder / "X1.tif").unlink()
    (folder / "A1a.tif").unlink()
    shutil.copytree(folder, tmp_path / "copy")
    with raises(DataContractError, "file-name-repeated"):
        load_task("kimia", root=tmp_path)
