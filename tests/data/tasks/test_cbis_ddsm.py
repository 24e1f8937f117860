"""CBIS-DDSM: findings to images, pathologies merged, both layouts of files."""

import shutil

from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError

TRAIN = "mass_case_description_train_set.csv"


def test_one_row_an_image_and_malignant_if_one_finding_is(tmp_path):
    task = fake_task("mammograms", tmp_path)
    for split in task.splits:
        names = ("id", "label", "findings", "patient_id", "view", "side")
        for key, label, findings, patient, view, side in zip(*(task.column(split, n) for n in names), strict=True):
            number = int(patient[-3:])
            assert findings == (2 if number % 3 == 1 else 1)
            # 0: malignant; 1: benign and without callback; 2: without callback
            assert label == (number % 3 == 0) and f"_{patient}_{side}_{view}" in key
    path = tmp_path / TRAIN
    path.write_text(path.read_text().replace(",BENIGN_WITHOUT_CALLBACK,", ",MALIGNANT,"))
    changed = load_task("mammograms", root=tmp_path)
    mixed = [
        label
        for split in changed.splits
        for key, label in zip(changed.column(split, "id"), changed.column(split, "label"), strict=True)
        if key.startswith("Mass-Training") and int(key.split("_")[2][-3:]) % 3 == 1
    ]
    assert mixed and all(mixed)  # one finding benign, one malignant


def test_columns_are_found_by_name_and_tables_in_csv_too(tmp_path):
    task = fake_task("mammograms", tmp_path)
    (tmp_path / "csv").mkdir()
    for path in tmp_path.glob("*.csv"):
        lines = [line.split(",") for line in path.read_text().splitlines()]
        order = list(reversed(range(len(lines[0]))))
        (tmp_path / "csv" / path.name).write_text("\n".join(",".join(line[i] for i in order) for line in lines) + "\n")
        path.unlink()
    again = load_task("mammograms", root=tmp_path)
    for split in task.splits:
        assert again.column(split, "id") == task.column(split, "id")
        assert again.column(split, "label") == task.column(split, "label")


def test_dicom_folders_as_downloaded(tmp_path):
    fake_task("mammograms", tmp_path)
    for path in list((tmp_path / "images").iterdir()):
        place = (
            tmp_path / "CBIS-DDSM" / path.stem / "08-07-2016-DDSM-NA-1" / "1.000000-full mammogram images-2" / "1-1.dcm"
        )
        place.parent.mkdir(parents=True)
        shutil.move(path, place)
    roi = tmp_path / "CBIS-DDSM" / "Mass-Training_P_02000_LEFT_CC_1" / "x" / "y"
    roi.mkdir(parents=True)
    (roi / "1-1.dcm").write_bytes(b"x")
    task = load_task("mammograms", root=tmp_path)
    assert all("full mammogram" in key and "_CC_1/" not in key for key in task.column("train", "image"))
    shutil.copy(place, place.with_name("1-2.dcm"))
    with raises(DataContractError, "dicom-files-ambiguous"):
        load_task("mammograms", root=tmp_path)


def test_unknown_pathologies_mixed_patients_and_missing_tables(tmp_path):
    fake_task("mammograms", tmp_path)
    path = tmp_path / TRAIN
    text = path.read_text()
    path.write_text(text.replace(",MALIGNANT,", ",PROBABLY,", 1).replace("\nP_02001,", "\nP_09999,", 1))
    with collecting() as found:
        load_task("mammograms", root=tmp_path)
    by_code = {error.code: str(error) for error in found}
    assert "'PROBABLY'" in by_code["class-unknown"] and "P_09999" in by_code["patient-ambiguous"]
    path.unlink()
    with raises(DataContractError, "tables-missing"):
        load_task("mammograms", root=tmp_path)
