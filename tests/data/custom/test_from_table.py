"""Roles of columns in a user's table: masks of any format, and names that medzoo uses for its own columns."""

import numpy as np
import pytest
from custom_samples import png, table
from expect import raises
from PIL import Image

from medzoo.data.splits.assign import arrange
from medzoo.data.splits.reduce_training import take_per_class
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def masks(root, name):
    """A table of 20 images with masks, each under the name that `name` gives."""
    return table(root, ["image", "mask", "patient_id"], [(f"i{k}.png", name(k), f"p{k}") for k in range(20)])


@pytest.mark.parametrize("classes", [None, '["organ", "lesion"]'])
@pytest.mark.parametrize("ending", ["jpg", "png"])  # the content decides, not the name
def test_a_jpeg_mask_is_refused(tmp_path, ending, classes):
    task = masks(tmp_path, lambda k: f"m{k}.{ending if k == 7 else 'png'}")
    for k in range(20):
        png(tmp_path / f"m{k}.png", k % 2)
    Image.fromarray(np.full((6, 5), 255, np.uint8)).save(tmp_path / f"m7.{ending}", "JPEG")
    if classes:
        (tmp_path / "classes.json").write_text(classes)
    with raises(DataContractError, "mask-format-refused", match=rf"m7\.{ending}.*128"):
        load_task(task)


def test_masks_are_slices_of_files(tmp_path):
    import nibabel

    volume = np.zeros((5, 6, 20), np.uint8)
    volume[1:3, 2:4, ::2] = 1
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "seg.nii.gz")
    task = load_task(masks(tmp_path, lambda k: f"seg.nii.gz#{k}"))
    for split in task.tables:
        for row, key in enumerate(task.column(split, "id")):
            assert task.read_mask(split, row).sum() == 4 * (int(key[1:-4]) % 2 == 0)
    nibabel.save(nibabel.Nifti1Image(1 - volume, np.eye(4)), tmp_path / "seg.nii.gz")
    assert load_task(f"folder:{tmp_path}").fingerprint != task.fingerprint


@pytest.mark.parametrize("column", ["uncertain", "stated_fold"])
def test_a_users_column_may_have_the_name_of_a_column_of_medzoo(tmp_path, column):
    header = ["image", "Edema", "Mass", "patient_id", "sex", column]
    rows = [(f"i{k}.png", k % 2, k // 2 % 2, f"p{k}", "FM"[k % 2], f"no{k}") for k in range(40)]
    task = load_task(f"{table(tmp_path, header, rows)},labels=Edema;Mass", label_policy="mask")
    assert column not in task.tables["train"].column_names and "sex" in task.tables["train"].column_names
    assert any(column in note and "ename" in note for note in task.notes)
    assert take_per_class(task, 2).counts("train")["Edema"] == 2
    assert set(arrange(task, fold=1).tables) == {"train", "validation", "test"}
