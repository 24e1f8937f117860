"""Kermany's chest radiographs: who the patient is, and the official folders."""

import shutil

from data_samples import fake_task
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.data.tasks.chest_pneumonia import _patient
from medzoo.errors import DataContractError, SplitError

# names and pids of data/chest/train_fold1.csv, https://github.com/DovileDo/revisiting-transfer
NAMES = {
    "person1055_bacteria_2989.jpeg": "person1055", "person659_virus_1243.jpeg": "person659",
    "person447_virus_921_1.jpeg": "person447", "IM-0696-0001.jpeg": "0696", "NORMAL2-IM-0569-0001.jpeg": "0569",
    "IM-0644-0001-0001.jpeg": "0644", "NORMAL2-IM-0395-0001-0001.jpeg": "0395", "IM-0222-0001.jpeg": "0222",
}  # fmt: skip


def test_patients_are_those_of_the_study():
    for name, patient in NAMES.items():
        assert _patient(name, separate=False) == patient
    assert _patient("person1_virus_6.jpeg", separate=True) != _patient("person1_bacteria_2.jpeg", separate=True)
    assert _patient("IM-0115-0001.jpeg", separate=True) != _patient("NORMAL2-IM-0115-0001.jpeg", separate=True)
    assert _patient("scan7.jpeg", separate=False) is None


def base(root):
    return root / "chest_xray"


def test_a_number_in_two_folders_is_one_patient_and_stays_together(tmp_path):
    fake_task("chest_pneumonia", tmp_path)
    picture = next((base(tmp_path) / "train" / "PNEUMONIA").iterdir())
    for folder, name in (("train", "person900_virus_1.jpeg"), ("test", "person900_bacteria_2.jpeg")):
        shutil.copy(picture, base(tmp_path) / folder / "PNEUMONIA" / name)
    task = load_task("chest_pneumonia", root=tmp_path)
    holders = [split for split in task.splits for group in task.groups(split) if group == "person900"]
    assert len(holders) == 2 and len(set(holders)) == 1
    official = load_task("chest_pneumonia,split=official", root=tmp_path)  # by the names there they are two
    assert official.name == "chest_pneumonia,split=official"
    assert all(key.startswith("test/") for key in official.column("test", "id"))
    assert all(key.startswith("val/") for key in official.column("validation", "id"))
    shutil.copy(picture, base(tmp_path) / "test" / "PNEUMONIA" / "person900_virus_3.jpeg")
    with raises(SplitError, "patients-in-several-splits", match="person900_virus"):
        load_task("chest_pneumonia,split=official", root=tmp_path)
    assert load_task("chest_pneumonia,split=official", root=tmp_path, fold=0)


def test_labels_are_the_folders(tmp_path):
    task = fake_task("chest_pneumonia", tmp_path)
    for split in task.splits:
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True):
            assert key.split("/")[1] == task.classes[label]


def test_strange_names_and_folders_are_named(tmp_path):
    fake_task("chest_pneumonia", tmp_path)
    picture = next((base(tmp_path) / "train" / "NORMAL").iterdir())
    shutil.copy(picture, picture.with_name("scan7.jpeg"))
    with raises(DataContractError, "patient-not-in-file-name"):
        load_task("chest_pneumonia", root=tmp_path)
    picture.with_name("scan7.jpeg").unlink()
    (base(tmp_path) / "train" / "COVID").mkdir()
    with raises(DataContractError, "class-folders-wrong"):
        load_task("chest_pneumonia", root=tmp_path)
    (base(tmp_path) / "train" / "COVID").rmdir()
    shutil.rmtree(base(tmp_path) / "val")
    with raises(DataContractError, "data-layout-unknown"):
        load_task("chest_pneumonia", root=tmp_path)
