"""Folders `images` and `masks` without a table."""

import re
import shlex

import numpy as np
import pytest
from custom_samples import png
from expect import raises
from PIL import Image

from medzoo.data.task_registry import load_task, task_info
from medzoo.errors import DataContractError


def pairs(root, folder="", count=20, value=255):
    for k in range(count):
        for what in ("images", "masks"):
            (root / folder / what).mkdir(parents=True, exist_ok=True)
            png(root / folder / what / f"i{k}.png", value * (k % 2) if what == "masks" else 10 * k)
    return f"folder:{root}"


def test_a_mask_has_the_name_of_its_image(tmp_path):
    task = load_task(pairs(tmp_path), groups="none")
    assert task.kind == "segmentation" and task.classes == ("foreground",) and task.metric == "dice"
    for split in task.splits:
        for row, key in enumerate(task.column(split, "id")):
            assert key.startswith("images/") and task.column(split, "mask")[row] == key.replace("images", "masks")
    row = task.column("train", "id").index("images/i1.png")
    assert set(task.read_mask("train", row).ravel()) == {1}


def test_splits_above_the_folders(tmp_path):
    for split in ("train", "val", "test"):
        name = pairs(tmp_path, split, 4)  # the same names in each split
    task = load_task(name, groups="none")
    assert {split: table.num_rows for split, table in task.tables.items()} == {"train": 4, "validation": 4, "test": 4}


def test_names_of_several_classes(tmp_path):
    name = pairs(tmp_path, value=2)
    before = load_task(name, groups="none").fingerprint
    (tmp_path / "classes.json").write_text('["organ", "lesion"]')
    task = load_task(name, groups="none")
    assert task.classes == ("organ", "lesion") and task.fingerprint != before
    row = task.column("train", "id").index("images/i1.png")
    assert set(np.unique(task.read_mask("train", row))) == {2}


@pytest.mark.parametrize("what", ["images", "masks"])
def test_an_image_without_a_mask_and_a_mask_without_an_image(tmp_path, what):
    name = pairs(tmp_path)
    (tmp_path / what / "i3.png").unlink()
    with raises(DataContractError, "partner-files-missing", match="i3"):
        load_task(name, groups="none")


def test_a_mask_of_another_size(tmp_path):
    name = pairs(tmp_path)
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "masks" / "i3.png")
    with raises(DataContractError, "mask-size-mismatch"):
        load_task(name, groups="none")


def test_patients_number_their_images(tmp_path):
    """images/p1/0.png and images/p2/0.png are two images; each has the mask in the folder of its patient."""
    for patient in range(12):
        for what in ("images", "masks"):
            (tmp_path / what / f"p{patient}").mkdir(parents=True)
            for k in range(2):
                png(tmp_path / what / f"p{patient}" / f"{k}.png", 255 if what == "masks" else 10 * k)
    task = load_task(f"folder:{tmp_path}", groups="parent")
    assert sum(table.num_rows for table in task.tables.values()) == 24
    for split in task.splits:
        for key, mask in zip(task.column(split, "id"), task.column(split, "mask"), strict=True):
            assert mask == key.replace("images", "masks")
    (tmp_path / "masks" / "p3" / "1.png").unlink()
    with raises(DataContractError, "partner-files-missing", match="p3/1"):
        load_task(f"folder:{tmp_path}", groups="parent")


@pytest.mark.parametrize("folder", ["Kvasir-SEG", "my scans"])
def test_the_command_in_the_error_is_one_that_runs(tmp_path, folder):
    name = pairs(tmp_path / folder)
    (tmp_path / folder / "masks" / "i3.png").unlink()
    with raises(DataContractError, "partner-files-missing") as caught:
        load_task(name, groups="none")
    [command] = re.findall("`medzoo (.*?)`", str(caught.value))
    assert shlex.split(command) == ["tasks", "info", name] and task_info(name).title


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "npy", "nii.gz"])
def test_masks_in_another_format_are_named(tmp_path, ending):
    name = pairs(tmp_path)
    for path in sorted((tmp_path / "masks").iterdir())[3:5]:
        path.rename(path.with_suffix(f".{ending}"))
    (tmp_path / "masks" / "notes.txt").write_text("of no image")
    with raises(DataContractError, "mask-format-refused", match=r"2 masks.*\.png, \.gif") as caught:
        load_task(name, groups="none")
    assert len(caught.value.offenders) == 2 and "notes" not in str(caught.value)


def test_a_jpeg_file_with_the_name_of_a_png_is_refused(tmp_path):
    name = pairs(tmp_path)
    Image.fromarray(np.full((6, 5), 255, np.uint8)).save(tmp_path / "masks" / "i3.png", "JPEG")
    with raises(DataContractError, "mask-format-refused", match=r"masks/i3\.png.*128"):
        load_task(name, groups="none")
