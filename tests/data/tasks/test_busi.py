"""BUSI: masks are never images, several masks are one, normal counts as benign or not."""

import shutil

import numpy as np
import pytest
from data_samples import fake_task
from expect import raises
from PIL import Image

from medzoo.data.readers.masks import MaskReader
from medzoo.data.task_registry import load_task, task_info
from medzoo.errors import DataContractError, UsageError

FOLDER = "Dataset_BUSI_with_GT"


def ids(task):
    return [key for split in task.splits for key in task.column(split, "id")]


@pytest.mark.parametrize("name", ["busi_seg", "breast", "breast,classes=3"])
def test_mask_images_are_never_taken_for_images(name, tmp_path):
    fake_task("breast", tmp_path)
    task = load_task(name, root=tmp_path)
    assert len(ids(task)) == 36 and not any("mask" in key for key in ids(task))
    assert not any("mask" in key for split in task.splits for key in task.column(split, "image"))


def test_several_masks_are_one(tmp_path):
    task = fake_task("busi_seg", tmp_path)
    seen = 0
    for split in task.splits:
        for row, key in enumerate(task.column(split, "mask")):
            parts = [MaskReader(tmp_path).read_mask(part) for part in key.split("|")]
            assert np.array_equal(task.read_mask(split, row), np.maximum.reduce(parts))
            normal = task.column(split, "id")[row].startswith("normal")
            assert task.read_mask(split, row).any() != normal
            seen += len(parts) > 1
    assert seen == 6  # benign and malignant 4, 8, 12


def test_normal_counts_as_benign_or_for_itself(tmp_path):
    two = fake_task("breast", tmp_path)
    assert two.kind == "binary" and two.classes == ("benign", "malignant") and two.name == "breast"
    three = load_task("breast,classes=3", root=tmp_path)
    assert three.kind == "multiclass" and three.classes == ("benign", "malignant", "normal")
    assert three.name == "breast,classes=3"
    for split in three.splits:
        for key, label in zip(three.column(split, "id"), three.labels(split), strict=True):
            assert key.startswith(three.classes[label])
    for split in two.splits:
        for key, label in zip(two.column(split, "id"), two.labels(split), strict=True):
            assert label == key.startswith("malignant")
    with raises(UsageError, "choice-not-for-task"):
        load_task("busi_seg,classes=3", root=tmp_path)


def test_the_studies_one_folder_is_the_same_data(tmp_path):
    task = fake_task("busi_seg", tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in (tmp_path / "a" / FOLDER).glob("*/*.png"):
        shutil.copy(path, tmp_path / "b" / path.name)
    flat = load_task("busi_seg", root=tmp_path / "b")
    assert flat.column("test", "id") == task.column("test", "id")
    assert all(np.array_equal(flat.read_mask("test", row), task.read_mask("test", row)) for row in range(4))


def test_lists_of_the_study_with_blanks_in_the_names(tmp_path):
    task = fake_task("busi_seg", tmp_path / "a")
    names = ids(task)
    (tmp_path / "lists").mkdir()
    for split, part in (("train", names[:20]), ("valid", names[20:26]), ("test", names[26:])):
        (tmp_path / "lists" / f"{split}.txt").write_text("\n".join(part) + "\n")
    listed = load_task("busi_seg", root=tmp_path / "a", split_file=tmp_path / "lists")
    assert set(listed.column("test", "id")) == set(names[26:])


def test_strange_files_are_named(tmp_path):
    fake_task("breast", tmp_path)
    folder = tmp_path / FOLDER
    picture = folder / "benign" / "benign (1).png"
    shutil.copy(picture, folder / "benign" / "benign1.png")
    with raises(DataContractError, "file-name-invalid"):
        load_task("breast", root=tmp_path)
    (folder / "benign" / "benign1.png").unlink()
    shutil.copy(picture, folder / "malignant" / "benign (77).png")
    with raises(DataContractError, "file-in-wrong-class-folder"):
        load_task("breast", root=tmp_path)
    (folder / "malignant" / "benign (77).png").unlink()
    shutil.copytree(folder, tmp_path / "copy")
    with raises(DataContractError, "files-duplicated"):
        load_task("busi_seg", root=tmp_path)


def test_missing_and_misfit_masks_are_named(tmp_path):
    fake_task("busi_seg", tmp_path)
    mask = tmp_path / FOLDER / "malignant" / "malignant (2)_mask.png"
    Image.new("1", (3, 3)).save(mask)
    with raises(DataContractError, "mask-size-mismatch"):
        load_task("busi_seg", root=tmp_path)
    mask.unlink()
    with raises(DataContractError, "partner-files-missing"):
        load_task("busi_seg", root=tmp_path)
    assert load_task("breast", root=tmp_path).classes == task_info("breast").classes  # which needs none


@pytest.mark.real
def test_the_real_copy_in_parquet_is_no_busi_of_files(real_data):
    if not (real_data / "busi_224").is_dir():
        pytest.skip("no BUSI")
    with raises(DataContractError, "images-not-found"):
        load_task("breast", root=real_data / "busi_224")
    task = load_task(f"parquet:{real_data / 'busi_224'}")
    assert sum(table.num_rows for table in task.tables.values()) == 778
    assert set(task.classes) == {*task_info("breast").classes, "normal"}
