"""LiTS: NIfTI slices and PNG slices say the same; liver and lesion in one mask; volumes stay whole."""

import shutil

import nibabel
import numpy as np
from data_samples import fake_task
from expect import raises
from PIL import Image

from medzoo.data.problems import collecting
from medzoo.data.readers.nifti_slices import save_volume
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, ImageError, SplitError


def as_png(task, root, folders=None):
    """The layout of the RadNet study out of NIfTI volumes."""
    for split in task.splits:
        for row, key in enumerate(task.column(split, "id")):
            volume, number = key.removeprefix("volume-").split("_")
            base = root / (folders[split] if folders else ".")
            for folder in ("volumes", "segmentations"):
                (base / folder).mkdir(parents=True, exist_ok=True)
            pixels, mask = task.read(split, row)[0], task.read_mask(split, row)
            grey = ((np.clip(pixels.array, -200, 300) + 200) / 500 * 255).astype(np.uint8)
            Image.fromarray(grey).save(base / "volumes" / f"volume-{volume}_{number}.png")
            for what, part in (("liver", mask > 0), ("lesion", mask == 2)):
                Image.fromarray(part).save(base / "segmentations" / f"segmentation-{volume}_{what}mask_{number}.png")


def masks(task):
    return {
        key: task.read_mask(split, row) for split in task.splits for row, key in enumerate(task.column(split, "id"))
    }


def test_slices_masks_and_volumes_line_up(tmp_path):
    task = fake_task("lits", tmp_path)
    for split in task.splits:
        for row, key in enumerate(task.column(split, "id")):
            pixels, mask = task.read(split, row)[0], task.read_mask(split, row)
            number = int(key.rpartition("_")[2])
            assert pixels.unit == "HU" and pixels.range == (-1024.0, 3071.0) and mask.shape == pixels.array.shape
            assert set(np.unique(mask)) == ({0}, {0, 1}, {0, 1, 2}, {0, 1, 2})[number]
            assert task.groups(split)[row] == key.partition("_")[0].removeprefix("volume-")
    assert sum(table.num_rows for table in task.tables.values()) == 3 * 3 + 3 * 4


def test_png_slices_say_the_same_with_and_without_folders(tmp_path):
    task = fake_task("lits", tmp_path / "a")
    as_png(task, tmp_path / "b" / "Clean_LiTS", {"train": "train", "validation": "val", "test": "test"})
    as_png(task, tmp_path / "c")
    study, flat = (load_task("lits", root=tmp_path / name) for name in "bc")
    assert study.name == "lits,files=png"
    for split in task.splits:
        assert set(study.column(split, "id")) == set(task.column(split, "id"))
    want = masks(task)
    for other in (study, flat):
        found = masks(other)
        assert found.keys() == want.keys() and all(np.array_equal(found[key], want[key]) for key in want)
    assert len(set(flat.groups("train")) & set(flat.groups("test"))) == 0


def test_folders_that_part_a_volume_are_refused(tmp_path):
    task = fake_task("lits", tmp_path / "a")
    base = tmp_path / "b"
    as_png(task, base, {"train": "train", "validation": "val", "test": "test"})
    key = task.column("train", "id")[0]
    volume, number = key.removeprefix("volume-").split("_")
    shutil.move(base / "train" / "volumes" / f"{key}.png", base / "test" / "volumes")
    for what in ("liver", "lesion"):
        name = f"segmentation-{volume}_{what}mask_{number}.png"
        shutil.move(base / "train" / "segmentations" / name, base / "test" / "segmentations")
    with raises(SplitError, "patients-in-several-splits"):
        load_task("lits", root=base)
    assert load_task("lits", root=base, fold=1).splits  # by volume


def test_slices_beside_the_folders_of_the_splits_are_refused(tmp_path):
    task = fake_task("lits", tmp_path / "a")
    base = tmp_path / "b"
    as_png(task, base, {"train": "train", "validation": "val", "test": "test"})
    (base / "volumes").mkdir()
    key = task.column("test", "id")[0]
    shutil.move(base / "test" / "volumes" / f"{key}.png", base / "volumes")
    with raises(DataContractError, "files-outside-split-folders"):
        load_task("lits", root=base)


def test_lost_and_misfit_masks_are_named(tmp_path):
    task = fake_task("lits", tmp_path / "a")
    as_png(task, tmp_path / "b")
    segmentations = tmp_path / "b" / "segmentations"
    (segmentations / "segmentation-2_lesionmask_1.png").unlink()
    (tmp_path / "b" / "volumes" / "volume-3_0.png").unlink()
    Image.new("L", (5, 5)).save(segmentations / "segmentation-1_livermask_0.png")
    with collecting() as found:
        load_task("lits", root=tmp_path / "b")
    words = "\n".join(map(str, found))
    assert "lesionmask" in words and "2_1" in words
    assert "slice volume-V_S.png" in words and "3_0.png" in words
    assert "segmentation-1_livermask_0.png" in words and "5 x 5" in words
    with raises(ImageError, "file-sizes-differ"):
        task = load_task("lits", root=tmp_path / "a")
        as_png(task, tmp_path / "c")
        Image.new("L", (5, 5)).save(tmp_path / "c" / "segmentations" / "segmentation-1_livermask_1.png")
        masks(load_task("lits", root=tmp_path / "c"))


def test_segmentations_of_another_shape_or_with_other_values(tmp_path):
    fake_task("lits", tmp_path)
    place = next(tmp_path.glob("*/segmentation-2.nii"))
    save_volume(place, np.full((28, 24, 3), 7, np.uint8))
    with raises(ImageError, "mask-values-invalid"):
        masks(load_task("lits", root=tmp_path))
    save_volume(place, np.zeros((28, 24, 4), np.uint8))
    with raises(DataContractError, "volumes-differ"):
        load_task("lits", root=tmp_path)
    save_volume(place.with_name("segmentation-2.nii.gz"), np.zeros((28, 24, 3), np.uint8))
    with raises(DataContractError, "files-duplicated"):
        load_task("lits", root=tmp_path)
    place.with_name("segmentation-2.nii.gz").unlink()
    flat = nibabel.Nifti1Image(np.zeros((28, 24, 3), np.uint8), None)
    flat.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), code=1)
    nibabel.save(flat, place)
    with raises(DataContractError, "nifti-header-damaged"):
        load_task("lits", root=tmp_path)
    place.unlink()
    with raises(DataContractError, "partner-files-missing"):
        load_task("lits", root=tmp_path)


def test_what_is_asked_for_is_what_is_read(tmp_path):
    task = fake_task("lits", tmp_path)
    as_png(task, tmp_path / "png")
    assert load_task("lits", root=tmp_path).name == "lits"
    assert load_task("lits,files=png", root=tmp_path).name == "lits,files=png"
    with raises(DataContractError, "images-not-found"):
        load_task("lits,files=nifti", root=tmp_path / "png")


def into_folders(root, number_of_split):
    """Move each NIfTI volume and its segmentation to the folder of its split."""
    for path in sorted(root.rglob("*.nii")):
        folder = root / number_of_split(int(path.stem.rpartition("-")[2]))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(path, folder / path.name)


def test_folders_of_volumes_are_the_splits(tmp_path):
    made = fake_task("lits", tmp_path)
    into_folders(tmp_path, lambda number: ("train", "train", "train", "val", "test", "test")[number])
    task = load_task("lits", root=tmp_path)
    assert {split: set(task.groups(split)) for split in task.tables} == {
        "train": {"0", "1", "2"}, "validation": {"3"}, "test": {"4", "5"},
    }  # fmt: skip
    assert load_task("lits", root=tmp_path, fold=1).split_hash == load_task("lits", root=tmp_path, fold=1).split_hash
    into_folders(tmp_path, lambda number: "train")  # one folder is not a split: the identity of old results stays
    assert load_task("lits", root=tmp_path).split_hash == made.split_hash
    into_folders(tmp_path, lambda number: ("train", "val", "new")[min(number, 2)])
    with raises(DataContractError, "files-outside-split-folders"):
        load_task("lits", root=tmp_path)
