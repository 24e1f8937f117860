"""SCR: folders of structures in two folds, outlines smaller than the radiographs."""

import shutil

import numpy as np
import pytest
from data_samples import fake_task
from expect import raises
from PIL import Image

from medzoo.data.readers.masks import MaskReader
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, ImageError


@pytest.mark.parametrize("name", ["scr_heart", "scr_clavicle"])
def test_outlines_are_enlarged_to_the_radiograph(name, tmp_path):
    task = fake_task(name, tmp_path)
    for split in task.splits:
        for row, key in enumerate(task.column(split, "mask")):
            mask = task.read_mask(split, row)
            small = MaskReader(tmp_path).read_mask(key.partition("#")[0])
            assert mask.shape == task.read(split, row)[0].array.shape == (2 * small.shape[0], 2 * small.shape[1])
            assert np.array_equal(mask[::2, ::2], small) and np.array_equal(mask[1::2, 1::2], small)


def test_a_clavicle_mask_is_left_and_right_and_no_heart(tmp_path):
    task = fake_task("scr_clavicle", tmp_path)
    key = task.column("train", "mask")[0].partition("#")[0]
    left, right = (MaskReader(tmp_path).read_mask(part) for part in key.split("|"))
    assert "left clavicle" in key and "right clavicle" in key
    assert (task.read_mask("train", 0)[::2, ::2] == (left | right)).all() and left.any() and right.any()
    heart = load_task("scr_heart", root=tmp_path)
    assert not (heart.read_mask("train", 0) & task.read_mask("train", 0)).any()


def test_the_folds_are_the_split_where_they_are_there(tmp_path):
    task = fake_task("scr_heart", tmp_path)
    assert all("fold2/" in key for key in task.column("test", "mask"))
    assert all("fold1/" in key for split in ("train", "validation") for key in task.column(split, "mask"))
    shutil.move(tmp_path / "fold1", tmp_path / "all")
    for path in (tmp_path / "fold2" / "masks" / "heart").iterdir():
        shutil.move(path, tmp_path / "all" / "masks" / "heart" / path.name)
    made = load_task("scr_heart", root=tmp_path)
    assert set(made.splits) == {"train", "validation", "test"} and made.split_hash != task.split_hash


def test_the_layout_of_the_study_one_folder_a_structure_and_ids_in_lists(tmp_path):
    fake_task("scr_clavicle", tmp_path / "a")
    task = load_task("scr_heart", root=tmp_path / "a")
    ids = [key for split in task.splits for key in task.column(split, "id")]
    for folder, structure in (("heart", "heart"), ("clavicle", "left clavicle")):
        (tmp_path / "b" / "masks" / folder).mkdir(parents=True)
        for path in (tmp_path / "a").glob(f"fold*/masks/{structure}/*.gif"):
            shutil.copy(path, tmp_path / "b" / "masks" / folder / path.name)
    shutil.copytree(tmp_path / "a" / "images", tmp_path / "b" / "images")
    lists = tmp_path / "lists"
    lists.mkdir()
    for split, part in (("train", ids[:8]), ("val", ids[8:10]), ("test", ids[10:])):
        (lists / f"{split}.txt").write_text("\n".join(part) + "\n")
    for name in ("scr_heart", "scr_clavicle"):
        listed = load_task(name, root=tmp_path / "b", split_file=lists)
        assert set(listed.column("test", "id")) == set(ids[10:]) and len(listed.column("train", "id")) == 8


def test_sizes_that_are_no_whole_multiple_are_refused(tmp_path):
    fake_task("scr_heart", tmp_path)
    Image.new("L", (35, 32)).save(tmp_path / "fold1" / "masks" / "heart" / "JPCNN003.gif")
    with raises(DataContractError, "mask-size-differs"):
        load_task("scr_heart", root=tmp_path)


def test_names_without_img_and_lost_files(tmp_path):
    fake_task("scr_heart", tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_name(path.name.replace(".IMG", "")))
    assert load_task("scr_heart", root=tmp_path).column("train", "id")
    (tmp_path / "fold2" / "masks" / "heart" / "JPCLN002.gif").unlink()
    with raises(DataContractError, "partner-files-missing"):
        load_task("scr_heart", root=tmp_path)
    shutil.copytree(tmp_path / "images", tmp_path / "copy")
    with raises(DataContractError, "files-duplicated"):
        load_task("scr_heart", root=tmp_path)


def test_radiographs_as_the_jsrt_gives_them_out(tmp_path):
    fake_task("scr_heart", tmp_path)
    stored = np.arange(2048 * 2048, dtype=np.uint32).reshape(2048, 2048) % 4096
    (tmp_path / "images" / "JPCLN001.IMG.png").unlink()
    raw = tmp_path / "images" / "JPCLN001.IMG"
    raw.write_bytes(stored.astype(">u2").tobytes())
    Image.new("L", (1024, 1024), 255).save(tmp_path / "fold1" / "masks" / "heart" / "JPCLN001.gif")
    task = load_task("scr_heart", root=tmp_path)
    split, row = next(
        (split, task.column(split, "image").index("images/JPCLN001.IMG"))
        for split in task.splits
        if "images/JPCLN001.IMG" in task.column(split, "image")
    )
    pixels, _ = task.read(split, row)
    assert pixels.range == (0, 4095) and pixels.unit == "grey" and np.array_equal(pixels.array, 4095 - stored)
    assert task.read_mask(split, row).shape == (2048, 2048)
    for content, why in (
        (raw.read_bytes()[:-2], "raw-image-size-wrong"),
        (stored.astype("<u2").tobytes(), "raw-image-value-too-large"),
    ):
        raw.write_bytes(content)
        with raises(ImageError, why):
            task.read(split, row)
