import shutil

import pytest
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.data.tasks import shenzhen
from medzoo.errors import DataContractError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "ChinaSet_AllFiles"
    shenzhen.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "ChinaSet_AllFiles")
    return tmp_path / "ChinaSet_AllFiles"


def all_of(task, *columns):
    return {
        row[0]: row[1:]
        for split in task.tables
        for row in zip(*(task.column(split, column) for column in ("id", *columns)), strict=True)
    }


def test_the_file_name_is_the_label(root):
    labels = all_of(load_task("shenzhen", root=root), "label")
    assert len(labels) == 20 and all(key == f"{key[:12]}{label}.png" for key, (label,) in labels.items())


def test_the_folder_and_its_parent_are_the_same_data(root):
    inside, outside = load_task("shenzhen", root=root), load_task("shenzhen", root=root.parent)
    assert (inside.fingerprint, inside.split_hash) == (outside.fingerprint, outside.split_hash)


def test_the_studies_lists_give_exactly_their_splits(root, tmp_path):
    files = sorted(file.name for file in (root / "CXR_png").iterdir())
    lists = {"train": files[::2], "valid": files[1::4], "test": files[3::4]}
    for split, names in lists.items():
        lines = [f"{name},{name[-5]}" for name in names]
        (tmp_path / f"ShenzenCXR_{split}_data.txt").write_text("\r\n".join(lines) + "\r\n")
    task = load_task("shenzhen", root=root, split_file=tmp_path)
    assert {split: set(task.column(split, "id")) for split in task.tables} == {
        "train": set(lists["train"]), "validation": set(lists["valid"]), "test": set(lists["test"])
    }  # fmt: skip


def test_readings_give_sex_and_age(root, copy):
    people = all_of(load_task("shenzhen", root=root), "sex", "age")
    assert people["CHNCXR_0001_0.png"] == ("M", 20.0) and people["CHNCXR_0002_0.png"] == ("F", 21.0)
    readings = copy / "ClinicalReadings"
    (readings / "CHNCXR_0001_0.txt").write_text("something else")
    (readings / "CHNCXR_0002_0.txt").unlink()
    (readings / "CHNCXR_0003_0.txt").write_text("male , 24days\nnormal")
    people = all_of(load_task("shenzhen", root=copy), "sex", "age")
    assert [people[f"CHNCXR_000{number}_0.png"] for number in (1, 2, 3)] == [(None, None), (None, None), ("M", None)]
    shutil.rmtree(readings)
    task = load_task("shenzhen", root=copy)
    assert set(all_of(task, "sex").values()) == {(None,)}
    assert task.split_hash == load_task("shenzhen", root=root).split_hash


def test_readings_of_another_kind_are_an_error(copy):
    for path in (copy / "ClinicalReadings").iterdir():
        path.write_text("nothing of use")
    with raises(DataContractError, "readings-without-sex-and-age"):
        load_task("shenzhen", root=copy)


def test_f34_other_files_are_named(copy):
    (copy / "CXR_png/CHNCXR_0001_0.png").rename(copy / "CXR_png/CHNCXR_0001_2.png")
    with raises(DataContractError, "file-name-invalid"):
        load_task("shenzhen", root=copy)
