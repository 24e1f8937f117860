"""DRIVE: both layouts, and the real photographs."""

import numpy as np
import pytest
from data_samples import fake_task
from expect import raises
from PIL import Image, ImageFilter

from medzoo.data.problems import collecting
from medzoo.data.readers.masks import MaskReader
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def test_the_official_halves_and_the_field_of_view(tmp_path):
    task = fake_task("drive", tmp_path / "DRIVE", n=10)
    task = load_task("drive", root=tmp_path)  # with the outer folder too
    assert sorted(task.column("test", "id")) == [f"{number:02d}" for number in range(1, 11)]
    assert set(task.column("train", "id")) | set(task.column("validation", "id")) == {str(n) for n in range(21, 31)}
    for split in task.splits:
        for row, path in enumerate(task.column(split, "fov")):
            field = MaskReader(tmp_path).read_mask(path)
            vessels = task.read_mask(split, row)
            assert field.shape == vessels.shape == task.read(split, row)[0].array.shape[:2]
            assert vessels.any() and not (vessels.astype(bool) & ~field.astype(bool)).any()


def test_a_copy_in_png_is_the_same_task(tmp_path):
    official = fake_task("drive", tmp_path / "a", n=10)
    names = {"images": "images", "1st_manual": "manual1", "mask": "fov"}
    for half, copy in (("training", "training"), ("test", "testing")):
        for folder, other in names.items():
            (tmp_path / "b" / copy / other).mkdir(parents=True)
            for path in (tmp_path / "a" / half / folder).iterdir():
                Image.open(path).save(tmp_path / "b" / copy / other / f"{path.name[:2]}.png")
    task = load_task("drive", root=tmp_path / "b")
    for split in official.splits:
        assert task.column(split, "id") == official.column(split, "id")
        for row in range(official.tables[split].num_rows):
            assert np.array_equal(task.read(split, row)[0].array, official.read(split, row)[0].array)
            assert np.array_equal(task.read_mask(split, row), official.read_mask(split, row))


def test_a_test_half_without_vessels_cannot_test(tmp_path):
    fake_task("drive", tmp_path, n=10)
    for path in (tmp_path / "test" / "1st_manual").iterdir():
        path.unlink()
    with raises(DataContractError, "masks-missing"):
        load_task("drive", root=tmp_path)
    folds = load_task("drive", root=tmp_path, fold=0)
    assert all(int(key) > 20 for split in folds.splits for key in folds.column(split, "id"))


def test_what_is_missing_or_of_another_size_is_named(tmp_path):
    fake_task("drive", tmp_path, n=10)
    (tmp_path / "training" / "1st_manual" / "23_manual1.gif").unlink()
    (tmp_path / "training" / "mask" / "24_training_mask.gif").unlink()
    Image.new("L", (9, 9)).save(tmp_path / "test" / "mask" / "05_test_mask.gif")
    with collecting() as found:
        load_task("drive", root=tmp_path)
    words = "\n".join(map(str, found))
    assert "vessels (1st_manual)" in words and "23" in words
    assert "field of view (mask)" in words and "24" in words
    assert "test/mask/05_test_mask.gif" in words and "9 x 9" in words
    (tmp_path / "training" / "images" / "copy of 21.tif").write_bytes(b"x")
    with raises(DataContractError, "file-name-invalid"):
        load_task("drive", root=tmp_path)


def test_changed_vessels_are_other_data(tmp_path):
    before = fake_task("drive", tmp_path, n=10)
    path = tmp_path / "training" / "1st_manual" / "21_manual1.gif"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # same size
    path.write_bytes(data)
    assert load_task("drive", root=tmp_path, fold=0).fingerprint != before.fingerprint


@pytest.mark.real
def test_the_real_photographs_masks_and_fields_line_up(real_data):
    if not (real_data / "drive").is_dir():
        pytest.skip("no DRIVE")
    task = load_task("drive", root=real_data / "drive")
    assert {split: table.num_rows for split, table in task.tables.items()} == {"train": 18, "validation": 2, "test": 20}
    reader = MaskReader(real_data / "drive")
    for split in task.splits:
        for row, path in enumerate(task.column(split, "fov")):
            image, field, vessels = task.read(split, row)[0].array, reader.read_mask(path), task.read_mask(split, row)
            assert image.shape == (584, 565, 3) and field.shape == vessels.shape == (584, 565)
            outside = vessels.astype(bool) & ~field.astype(bool)
            assert outside.sum() <= 0.01 * vessels.sum(), (split, row)
            assert 0.05 < vessels.mean() < 0.2 and 0.6 < field.mean() < 0.8
            around = np.asarray(Image.fromarray(image[..., 1]).filter(ImageFilter.BoxBlur(12)), float)
            assert (image[..., 1] - around)[
                vessels == 1
            ].mean() < -4  # darker than what is around; shifted by 15 px -0.2
            assert image[field == 0].mean() < 0.2 * image[field == 1].mean()
