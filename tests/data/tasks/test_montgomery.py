"""Montgomery: both lungs in one mask, in the library's layout and the study's."""

import numpy as np
from data_samples import fake_task
from expect import raises
from PIL import Image

from medzoo.data.readers.masks import MaskReader
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def test_a_mask_is_both_lungs(tmp_path):
    task = fake_task("montgomery", tmp_path)
    for split in task.splits:
        for row, key in enumerate(task.column(split, "mask")):
            left, right = (MaskReader(tmp_path).read_mask(part) for part in key.split("|"))
            assert "leftMask" in key and "rightMask" in key and left.any() and right.any()
            assert np.array_equal(task.read_mask(split, row), left | right)
            assert key.split("|")[0].rpartition("/")[2] == f"{task.column(split, 'id')[row]}.png"


def test_the_outer_folder_may_be_there(tmp_path):
    task = fake_task("montgomery", tmp_path / "MontgomerySet")
    again = load_task("montgomery", root=tmp_path)
    assert again.column("test", "id") == task.column("test", "id")


def test_the_layout_of_the_study_with_its_folders_as_splits(tmp_path):
    rng = np.random.default_rng(0)
    for folder, count in (("train", 4), ("valid", 2), ("test", 3)):
        for kind in ("images", "masks"):
            (tmp_path / folder / kind).mkdir(parents=True)
        for number in range(count):
            name = f"MCUCXR_{number:04d}_0_{folder}.png"
            Image.fromarray(rng.integers(0, 256, (20, 24), dtype=np.uint8)).save(tmp_path / folder / "images" / name)
            Image.new("L", (24, 20), 255).save(tmp_path / folder / "masks" / name)
    task = load_task("montgomery", root=tmp_path)
    assert {split: table.num_rows for split, table in task.tables.items()} == {"train": 4, "validation": 2, "test": 3}
    assert task.read_mask("validation", 0).all()
    assert set(load_task("montgomery", root=tmp_path, fold=0).splits) == {"train", "validation", "test"}


def test_a_lost_lung_and_a_lung_of_another_size_are_named(tmp_path):
    fake_task("montgomery", tmp_path)
    place = tmp_path / "ManualMask" / "leftMask" / "MCUCXR_0003_0.png"
    Image.new("L", (9, 9)).save(place)
    with raises(
        DataContractError,
        "mask-size-mismatch",
        match=r"leftMask/MCUCXR_0003_0.png is 9 x 9, CXR_png/MCUCXR_0003_0.png 48 x 40",
    ):
        load_task("montgomery", root=tmp_path)
    place.unlink()
    with raises(DataContractError, "partner-files-missing"):
        load_task("montgomery", root=tmp_path)
