"""BraTS: three of four channels, label 4 as 3, regions, cases whole, NIfTI and .npy alike."""

import pickle
import shutil

import numpy as np
from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.readers.nifti_slices import save_volume
from medzoo.data.task_registry import load_task, task_info
from medzoo.errors import DataContractError, ImageError, SplitError


def as_npy(task, root, folders):
    """Slices as the RadNet study stores them, with the labels of the data (4, not 3)."""
    for split in task.splits:
        (root / folders[split]).mkdir(parents=True, exist_ok=True)
        for row, key in enumerate(task.column(split, "id")):
            array, mask = task.read(split, row)[0].array, task.read_mask(split, row)
            for place, channel in enumerate(("t1", "t1ce", "flair")):
                np.save(root / folders[split] / f"{key}_{channel}.npy", array[..., place])
            np.save(root / folders[split] / f"{key}_t2.npy", np.full(mask.shape, 1e6, np.float32))
            np.save(root / folders[split] / f"{key}_seg.npy", np.where(mask == 3, 4, mask).astype(np.int16))


def test_channels_labels_and_cases(tmp_path):
    import nibabel

    task = fake_task("brats2020", tmp_path)
    for split in task.splits:
        for row, key in enumerate(task.column(split, "id")):
            case, _, number = key.rpartition("_")
            pixels, mask = task.read(split, row)[0], task.read_mask(split, row)
            low, high = pixels.range
            assert pixels.array.shape == (24, 24, 3) and (pixels.array.min(), pixels.array.max()) == (low, high)
            assert task.groups(split)[row] == case and "_t2" not in task.column(split, "image")[row]
            assert set(np.unique(mask)) == ({0}, {0, 2, 3}, {0, 1, 2, 3})[int(number)]
            for place, channel in enumerate(("t1", "t1ce", "flair")):
                stored = np.asarray(nibabel.load(tmp_path / case / f"{case}_{channel}.nii.gz").dataobj)[
                    ..., int(number)
                ]
                assert np.array_equal(np.sort(stored, axis=None), np.sort(pixels.array[..., place], axis=None))


def test_images_and_masks_are_turned_alike(tmp_path):
    """The corner that is marked in the segmentation is the bright one of every channel."""
    fake_task("brats2020", tmp_path)
    case = "BraTS20_Training_003"
    seg = np.zeros((24, 24, 3), np.uint8)
    seg[1:5, 15:22] = 4
    for channel in ("t1", "t1ce", "t2", "flair"):
        save_volume(tmp_path / case / f"{case}_{channel}.nii.gz", (seg * 100).astype(np.int16))
    save_volume(tmp_path / case / f"{case}_seg.nii.gz", seg)
    task = load_task("brats2020", root=tmp_path)
    split, row = next(
        (split, task.column(split, "id").index(f"{case}_1")) for split in task.splits if case in task.groups(split)
    )
    array, mask = task.read(split, row)[0].array, task.read_mask(split, row)
    assert all(np.array_equal(array[..., place] > 0, mask == 3) for place in range(3)) and mask.any()


def test_regions_are_those_of_the_evaluation_code():
    info = task_info("brats2020")
    assert info.regions == {"ET": (3,), "WT": (1, 2, 3), "TC": (1, 3)}
    assert info.classes[0] == "NCR/NET" and info.classes[2] == "enhancing tumour"


def test_npy_slices_are_the_same_and_their_folders_the_split(tmp_path):
    task = fake_task("brats2020", tmp_path / "a")
    folders = {"train": "train", "validation": "val", "test": "test"}
    as_npy(task, tmp_path / "b" / "BraTS", folders)
    other = load_task("brats2020", root=tmp_path / "b")
    assert other.name == "brats2020,files=npy"
    for split in task.splits:
        assert sorted(other.column(split, "id")) == sorted(task.column(split, "id"))
        for row, key in enumerate(other.column(split, "id")):
            there = task.column(split, "id").index(key)
            assert np.array_equal(other.read(split, row)[0].array, task.read(split, there)[0].array)
            assert other.read(split, row)[0].range == task.read(split, there)[0].range
            assert np.array_equal(other.read_mask(split, row), task.read_mask(split, there))
    for path in (tmp_path / "b" / "BraTS" / "train").glob("BraTS20_Training_*_1_*.npy"):
        shutil.move(path, tmp_path / "b" / "BraTS" / "test")
    with raises(SplitError, "patients-in-several-splits", match="BraTS20_Training_"):
        load_task("brats2020", root=tmp_path / "b")


def test_ids_that_do_not_say_their_case_are_refused(tmp_path):
    for key in ("a", "b"):
        for channel in ("t1", "t1ce", "flair", "seg"):
            np.save(tmp_path / f"{key}_{channel}.npy", np.zeros((4, 4), np.float32))
    with raises(DataContractError, "patient-not-in-file-name"):
        load_task("brats2020", root=tmp_path)


def test_the_segmentation_with_another_name_is_found(tmp_path):
    task = fake_task("brats2020", tmp_path)
    folder = tmp_path / "BraTS20_Training_002"
    (folder / "BraTS20_Training_002_seg.nii.gz").rename(folder / "W39_1998.09.19_Segm.nii.gz")
    again = load_task("brats2020", root=tmp_path)
    assert again.column("train", "id") == task.column("train", "id")
    (folder / "W39_1998.09.19_Segm.nii.gz").unlink()
    with raises(DataContractError, "partner-files-missing"):
        load_task("brats2020", root=tmp_path)


def test_other_labels_shapes_and_numbers_are_refused(tmp_path):
    task = fake_task("brats2020", tmp_path / "a")
    as_npy(task, tmp_path / "b", {"train": "x", "validation": "x", "test": "x"})
    stem = tmp_path / "b" / "x" / task.column("train", "id")[0]
    other = load_task("brats2020", root=tmp_path / "b")
    split = next(split for split in other.splits if stem.name in other.column(split, "id"))
    row = other.column(split, "id").index(stem.name)
    np.save(f"{stem}_seg.npy", np.full((24, 24), 5))
    with raises(ImageError, "mask-values-invalid"):
        other.read_mask(split, row)
    np.save(f"{stem}_flair.npy", np.full((24, 24), np.nan))
    with raises(ImageError, "pixels-not-finite", match="NaN"):
        other.read(split, row)
    np.save(f"{stem}_flair.npy", np.zeros((9, 9)))
    with raises(ImageError, "file-sizes-differ"):
        other.read(split, row)
    np.save(f"{stem}_flair.npy", np.zeros((2, 24, 24)))
    with raises(ImageError, "npy-not-a-slice"):
        other.read(split, row)
    (tmp_path / "b" / "x" / f"{stem.name}_flair.npy").write_bytes(b"\x93NUMPY")
    with raises(ImageError, "npy-unreadable"):
        other.read(split, row)


def test_a_black_slice_has_a_range(tmp_path):
    task = fake_task("brats2020", tmp_path / "a")
    as_npy(task, tmp_path / "b", {"train": "x", "validation": "x", "test": "x"})
    other = load_task("brats2020", root=tmp_path / "b")
    stem = tmp_path / "b" / "x" / other.column("train", "id")[0]
    for channel in ("t1", "t1ce", "flair"):
        np.save(f"{stem}_{channel}.npy", np.zeros((24, 24)))
    assert other.read("train", 0)[0].range == (0.0, 1.0)


def test_lost_channels_are_heard_together(tmp_path):
    fake_task("brats2020", tmp_path)
    (tmp_path / "BraTS20_Training_001" / "BraTS20_Training_001_t1ce.nii.gz").unlink()
    (tmp_path / "BraTS20_Training_002" / "BraTS20_Training_002_flair.nii.gz").unlink()
    (tmp_path / "BraTS20_Training_003" / "BraTS20_Training_003_t2.nii.gz").unlink()  # not needed
    with collecting() as found:
        task = load_task("brats2020", root=tmp_path)
    words = "\n".join(map(str, found))
    assert "BraTS20_Training_001_t1ce.nii.gz" in words and "BraTS20_Training_002_flair.nii.gz" in words
    assert len({group for split in task.splits for group in task.groups(split)}) == 4


def test_the_reader_goes_to_other_processes_and_unpacks_a_volume_once(tmp_path, monkeypatch):
    task = fake_task("brats2020", tmp_path)
    reader = pickle.loads(pickle.dumps(task.reader))
    from medzoo.data.images import volume_cache

    calls = []
    real = volume_cache.unpacked
    monkeypatch.setattr(volume_cache, "unpacked", lambda *args: calls.append(args) or real(*args))
    keys = [key for key in task.column("train", "image") if "Training_001" in key or "Training_002" in key]
    for key in keys:
        reader.read(key)
    assert len(calls) == 3 * len({key.partition("#")[0] for key in keys}) < 3 * len(keys)
    with raises(ImageError, "frame-out-of-range"):
        reader.read(keys[0].partition("#")[0] + "#99")


def test_folders_of_volumes_are_the_splits(tmp_path):
    fake_task("brats2020", tmp_path / "all")
    cases = sorted(path.name for path in (tmp_path / "all").iterdir())
    places = dict(zip(cases, ("train", "train", "train", "val", "test", "test"), strict=True))
    for case, folder in places.items():
        (tmp_path / "root" / folder).mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / "all" / case, tmp_path / "root" / folder / case)
    task = load_task("brats2020", root=tmp_path / "root")
    words = {"train": "train", "validation": "val", "test": "test"}
    assert {split: sorted(set(task.groups(split))) for split in task.tables} == {
        split: [case for case in cases if places[case] == folder] for split, folder in words.items()
    }
