"""PatchCamelyon: HDF5 read row by row, slides as groups, PNG files of the study."""

import pickle
import threading

import h5py
import numpy as np
import pytest
from data_samples import fake_task
from expect import raises
from PIL import Image

from medzoo.data.task_registry import load_task
from medzoo.data.tasks.pcam import PARTS, STEM
from medzoo.errors import DataContractError, ImageError, SplitError


def test_patches_labels_and_slides_belong_together(tmp_path):
    task = fake_task("pcam", tmp_path)
    for part, split in PARTS.items():
        with h5py.File(tmp_path / f"{STEM}{part}_x.h5") as file:
            patches = np.asarray(file["x"])
        for row, key in enumerate(task.column(split, "id")):
            number = int(key.rpartition("/")[2])
            pixels, label = task.read(split, row)
            assert key == f"{part}/{number}" and np.array_equal(pixels.array, patches[number])
            assert pixels.unit == "rgb" and label == number % 2
            assert task.groups(split)[row] == f"slide_{part}_{number // 2:03d}"


def test_without_meta_files_there_are_no_groups_and_with_some_of_them_an_error(tmp_path):
    fake_task("pcam", tmp_path)
    (tmp_path / f"{STEM}valid_meta.csv").unlink()
    with raises(DataContractError, "tables-missing"):
        load_task("pcam", root=tmp_path)
    for part in ("train", "test"):
        (tmp_path / f"{STEM}{part}_meta.csv").unlink()
    task = load_task("pcam", root=tmp_path)
    assert task.info.groups.startswith("none") and len(set(task.groups("train"))) == 24


def test_a_slide_in_two_splits_is_refused(tmp_path):
    fake_task("pcam", tmp_path)
    path = tmp_path / f"{STEM}test_meta.csv"
    path.write_text(path.read_text().replace("slide_test_000", "slide_train_000"))
    with raises(SplitError, "patients-in-several-splits", match="slide_train_000"):
        load_task("pcam", root=tmp_path)


def test_damaged_packed_and_unequal_files(tmp_path):
    fake_task("pcam", tmp_path)
    labels = tmp_path / f"{STEM}test_y.h5"
    with h5py.File(labels, "w") as file:
        file["y"] = np.zeros((7, 1, 1, 1), np.uint8)
    with raises(DataContractError, "image-count-wrong"):
        load_task("pcam", root=tmp_path)
    with h5py.File(labels, "w") as file:
        file["y"] = np.full((24, 1, 1, 1), 2, np.uint8)
    with raises(DataContractError, "label-invalid"):
        load_task("pcam", root=tmp_path)
    with h5py.File(labels, "w") as file:
        file["z"] = np.zeros(3)
    with raises(DataContractError, "array-missing"):
        load_task("pcam", root=tmp_path)
    labels.write_bytes(b"\x1f\x8b packed")
    with raises(DataContractError, "hdf5-unreadable"):
        load_task("pcam", root=tmp_path)
    labels.rename(labels.with_name(labels.name + ".gz"))
    with raises(DataContractError, "data-file-missing"):
        load_task("pcam", root=tmp_path)


def test_the_reader_goes_to_other_processes_and_threads(tmp_path):
    task = fake_task("pcam", tmp_path)
    want = task.read("train", 3)[0].array
    reader = pickle.loads(pickle.dumps(task.reader))
    key = task.column("train", "image")[3]
    found = []
    threads = [threading.Thread(target=lambda: found.append(reader.read(key).array)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and all(np.array_equal(array, want) for array in found)
    with raises(ImageError, "row-unreadable"):
        reader.read(key.rpartition("/")[0] + "/999")
    with pytest.raises(ImageError):
        reader.read(key.replace("#x", "#y"))
    with raises(DataContractError, "masks-unsupported"):
        reader.read_mask(key)


def test_png_files_of_the_study_are_taken_where_asked_for_or_alone(tmp_path):
    fake_task("pcam", tmp_path)
    folder = tmp_path / "png_images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(
            folder / f"{number}_label={number % 2}.png"
        )
    assert load_task("pcam", root=tmp_path).name == "pcam"
    task = load_task("pcam,files=png", root=tmp_path)
    assert task.name == "pcam,files=png" and task.info.groups.startswith("none")
    for split in task.splits:
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True):
            assert key.endswith(f"label={label}.png")
    Image.new("RGB", (4, 4)).save(folder / "preview.png")
    with raises(DataContractError, "file-name-invalid"):
        load_task("pcam,files=png", root=tmp_path)
    for path in tmp_path.glob("*.h5"):
        path.unlink()
    (folder / "preview.png").unlink()
    assert load_task("pcam", root=tmp_path).name == "pcam,files=png"
    with raises(DataContractError, "data-layout-unknown", match=r"_x.h5"):
        load_task("pcam,files=h5", root=tmp_path)
