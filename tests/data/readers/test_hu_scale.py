"""CT tasks on the whole scale of HU: real and drawn CT keep their values, other images are refused."""

import shutil

import numpy as np
import pytest
from expect import raises
from PIL import Image

import medzoo
from medzoo.data.decode_cache.cache import content_key, decoded
from medzoo.data.images.pixels import Pixels
from medzoo.data.readers.hu_scale import HUReader, on_hu_scale
from medzoo.data.synthetic.files import save_dicom
from medzoo.data.task_registry import load_task, open_family, task_names
from medzoo.errors import ImageError, UsageError

CT = "phantom_ct,n=6,n_validation=4,n_test=4,image_size=48"


def in_hu(rows):
    return np.asarray(rows[:], np.float64) / 65535 * 4095 - 1024


def test_drawn_ct_is_stored_with_sixteen_steps_for_each_hu():
    task = load_task(CT)
    wide = on_hu_scale(task)
    rows = decoded(wide, "train", size=48)
    assert rows.images.dtype == np.uint16 and wide.name == task.name
    for row, found in enumerate(in_hu(rows.images)):
        given = wide.read("train", row)[0].array
        assert np.abs(found - given).max() < 0.032
        # the same drawing, clipped to the task's own window
        assert np.array_equal(np.clip(given, -160, 240), task.read("train", row)[0].array)
    assert in_hu(rows.images).min() < -900, "lungs or air are not clipped"


def test_rows_of_the_plain_task_keep_their_store_and_the_whole_scale_has_its_own(tmp_path):
    task = load_task(CT)
    assert content_key(task, 32) != content_key(on_hu_scale(task), 32)
    assert set(vars(task.reader)) == {"name", "image_size", "data_seed", "_window"}, "public attributes are in the key"
    for number in (1, 2):
        Image.new("I;16", (8, 8)).save(tmp_path / f"{number}.png")
    keys = [content_key(on_hu_scale(load_task(name)), 32) for name in (CT, CT + ",data_seed=1")]
    assert keys[0] != keys[1]


def test_a_folder_of_dicom_ct(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        save_dicom(tmp_path / f"p{number}" / "a.dcm", rng, modality="CT")
    wide = on_hu_scale(load_task(f"folder:{tmp_path}", unlabelled=True, groups="parent"))
    plain = medzoo.read_image(tmp_path / "p0" / "a.dcm")
    assert plain.unit == "HU" and wide.read("train", 0)[0].range == (-1024.0, 3071.0)
    assert len(decoded(wide, "train", size=32).ids) == 3
    # one radiograph among them is found when it is decoded
    save_dicom(tmp_path / "p3" / "a.dcm", rng, modality="DX")
    mixed = on_hu_scale(load_task(f"folder:{tmp_path}", unlabelled=True, groups="parent"))
    with raises(ImageError, "ct-windows-need-hu", match="p3"):
        decoded(mixed, "train", size=32)


@pytest.mark.parametrize("name", ["phantom_oct", "phantom_chest", "phantom_natural"])
def test_other_images_are_refused(name):
    with raises(UsageError, "ct-windows-need-hu", match=name):
        on_hu_scale(load_task(f"{name},n=12"))


def test_a_folder_of_pictures_is_refused(tmp_path):
    for number in range(3):
        Image.new("L", (8, 8)).save(tmp_path / f"{number}.png")
    with raises(UsageError, "ct-windows-need-hu"):
        on_hu_scale(load_task(f"folder:{tmp_path}", unlabelled=True, groups="none"))


def test_real_ct_keeps_its_hu(real_data, tmp_path):
    for number in range(1, 4):
        (tmp_path / f"s{number}").mkdir()
        shutil.copy(real_data / "dicom" / f"ct3_0{number}.dcm", tmp_path / f"s{number}")
    rows = decoded(on_hu_scale(load_task(f"folder:{tmp_path}", unlabelled=True, groups="parent")), "train", size=512)
    for name, found in zip(rows.ids, in_hu(rows.images), strict=True):
        given = medzoo.read_image(tmp_path / name).array
        assert np.abs(found - given).max() < 0.032


def test_slices_of_nifti(tmp_path):
    nib = pytest.importorskip("nibabel")
    volume = np.random.default_rng(0).integers(-1100, 3200, (12, 12, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1])), tmp_path / "scan.nii.gz")
    (tmp_path / "table.csv").write_text("image\n" + "".join(f"scan.nii.gz#{number}\n" for number in range(3)))
    task = load_task(f"folder:{tmp_path}", unlabelled=True, groups="none")
    rows = decoded(on_hu_scale(task), "train", size=12)
    for key, found in zip(task.column("train", "image"), in_hu(rows.images), strict=True):
        given = medzoo.read_image(f"{tmp_path}/{key}", window=(-1024, 3071)).array
        assert np.abs(found - given).max() < 0.032


@pytest.mark.parametrize("name", ["lits", "rsna_pe"])
def test_ct_tasks_with_a_window_of_their_own(name, tmp_path):
    pytest.importorskip("nibabel")
    open_family(task_names()[name]).fake(tmp_path, 12, name=name)
    wide = on_hu_scale(load_task(name, root=tmp_path))
    pixels, _ = wide.read("train", 0)
    assert (pixels.unit, pixels.range, wide.info.window) == ("HU", (-1024.0, 3071.0), (-1024.0, 3071.0))
    assert len(decoded(wide, "train", size=16).ids) == wide.tables["train"].num_rows


def test_numbers_on_the_same_scale_that_are_not_hu_are_refused():
    class Grey:
        def with_window(self, window):
            return self

        def read(self, key):
            return Pixels(np.zeros((4, 4), np.int16), (-1024.0, 3071.0), "grey")

    with raises(ImageError, "ct-windows-need-hu", match="a.dcm"):
        HUReader(Grey()).read("a.dcm")
