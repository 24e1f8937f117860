"""Your own DICOM files and NIfTI slices as a task."""

import gzip
import pickle

import nibabel
import numpy as np
import pytest
from dicom_samples import RAMP, image, written
from expect import raises

from medzoo.data.decode_cache.cache import content_key, decoded
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, ImageError, UsageError

SIDES = (12, 10, 8)


@pytest.fixture
def folder(tmp_path):
    """Four patients, each with a CT slice in DICOM and two slices of a volume, listed in a CSV."""
    rng = np.random.default_rng(0)
    lines = ["image,label,patient_id,split"]
    for patient in range(4):
        split = ("train", "train", "validation", "test")[patient]
        (tmp_path / f"p{patient}").mkdir()
        header = image(rng.integers(0, 2000, SIDES[:2]).astype(np.int16), modality="CT")
        (tmp_path / f"p{patient}" / "IM1.dcm").write_bytes(written(header))
        volume = rng.integers(-1000, 1000, SIDES).astype(np.int16)
        data = nibabel.Nifti1Image(volume, np.eye(4)).to_bytes()
        (tmp_path / f"p{patient}" / "ct.nii.gz").write_bytes(gzip.compress(data, 1))
        for label, key in enumerate(("IM1.dcm", "ct.nii.gz#3")):
            lines.append(f"p{patient}/{key},{label},{patient},{split}")
        lines.append(f"p{patient}/ct.nii.gz#5,1,{patient},{split}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_slices_of_both_formats_in_a_table(folder):
    task = load_task(f"folder:{folder},window=lung")
    assert task.name.endswith(",window=lung") and task.info.window == (-1350, 150)
    assert [key.rpartition("/")[2] for key in task.column("train", "image")][:3] == [
        "IM1.dcm",
        "ct.nii.gz#3",
        "ct.nii.gz#5",
    ]
    units = {task.read("train", row)[0].unit for row in range(6)}
    ranges = {task.read("train", row)[0].range for row in range(6)}
    assert units == {"HU"} and ranges == {(-1350.0, 150.0)}
    volume = np.asarray(nibabel.load(folder / "p0" / "ct.nii.gz").dataobj)
    assert (task.read("train", 1)[0].array == np.clip(volume[::-1, ::-1, 3].T, -1350, 150)).all()
    rows = decoded(task, "train", size=16)
    assert rows.images.shape == (6, 16, 16) and rows.images.dtype == np.uint16


def test_windows_make_other_tasks_of_the_same_data(folder):
    lung, numbers = load_task(f"folder:{folder},window=lung"), load_task(f"folder:{folder},window=-160:240")
    assert numbers.info.window == (-160, 240) and numbers.name.endswith(",window=-160:240")
    assert lung.fingerprint == numbers.fingerprint and content_key(lung, 8) != content_key(numbers, 8)
    assert numbers.read("train", 0)[0].unit == "HU" and numbers.read("train", 1)[0].range == (-160, 240)
    with raises(UsageError, "unknown-window", match="Unknown window 'lungs'"):
        load_task(f"folder:{folder},window=lungs")
    with raises(ImageError, "pixel-range-unknown"):
        load_task(f"folder:{folder}").read("train", 1)


def test_a_slice_that_is_missing_is_said_before_or_while_reading(folder):
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("p1/ct.nii.gz#3", "p1/none.nii.gz#3"))
    with raises(DataContractError, "image-files-missing"):
        load_task(f"folder:{folder},window=lung")
    table.write_text(table.read_text().replace("p1/none.nii.gz#3", "p1/ct.nii.gz#99"))
    task = load_task(f"folder:{folder},window=lung")
    row = task.column("train", "image").index("p1/ct.nii.gz#99")
    with raises(ImageError, "frame-out-of-range"):
        task.read("train", row)


def test_parquet_cells_hold_medical_files_too(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [
        {"bytes": written(image(np.full((8, 8), value, np.int16), modality="CT")), "path": None} for value in range(20)
    ]
    table = pa.table({"image": cells, "label": [n % 2 for n in range(20)], "patient_id": [str(n) for n in range(20)]})
    pq.write_table(table, tmp_path / "data.parquet")
    task = load_task(f"parquet:{tmp_path / 'data.parquet'},window=full")
    reader = pickle.loads(pickle.dumps(task.reader))
    for one in (task.reader, reader):
        pixels = one.read("data.parquet#7")
        assert (pixels.array == 7 - 1024).all() and pixels.unit == "HU"


def test_masks_in_nifti_and_dicom_need_no_window(tmp_path):
    from medzoo.data.readers.image_file import FileReader

    mask = np.zeros((5, 4, 3), np.int16)
    mask[1, 2, 1] = 7
    (tmp_path / "m.nii").write_bytes(nibabel.Nifti1Image(mask, np.eye(4)).to_bytes())
    (tmp_path / "m.dcm").write_bytes(written(image(RAMP.astype(np.int16) - 100)))
    found = FileReader(tmp_path).read_mask("m.nii#1")
    assert found.sum() == 1 and found.dtype == np.uint8 and found.shape == (4, 5)
    assert FileReader(tmp_path).read_mask("m.dcm").shape == RAMP.shape


def test_a_path_with_commas_and_a_window_of_a_family():
    from medzoo.data.task_registry import split_name

    assert split_name("folder:a,b/c") == ("folder:PATH", "a,b/c", {})
    assert split_name("parquet:a,b,window=1:2") == ("parquet:PATH", "a,b", {"window": "1:2"})
