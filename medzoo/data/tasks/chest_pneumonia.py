"""Chest radiographs of children with and without pneumonia (Kermany et al.), grouped by the patient in the file name.

Home: https://data.mendeley.com/datasets/rscbjbr9sj/2. The study's names: https://github.com/DovileDo/revisiting-transfer.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.class_folders import class_folders
from medzoo.data.files.find import find_one, need_folder
from medzoo.data.problems import complain
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, listed

CHOICES = {"split": Choice(("patient", "official"), default="patient")}
TAKES = LoadOptions(pooled=True)
CLASSES = ("NORMAL", "PNEUMONIA")
FOLDERS = {"train": "train", "val": "validation", "test": "test"}
_SICK = re.compile(r"(person\d+)_(bacteria|virus)_.+")
_WELL = re.compile(r"((?:NORMAL2-)?IM)-(\d+)-.+")

TASKS: dict[str, TaskInfo] = {
    "chest_pneumonia": TaskInfo(
        name="chest_pneumonia",
        title="pneumonia in chest radiographs of children (Kermany), by patient",
        kind="binary",
        classes=CLASSES,
        metric="auroc",
        unit="image",
        groups="the patient's number in the file's name",
        channels=1,
        license="cc-by-4.0",
        url="https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia",
        citation="Kermany et al., Identifying medical diagnoses and treatable diseases by image-based deep learning, Cell (2018)",
        how="Download chest-xray-pneumonia and unpack.",
        layout="""ROOT/  (or ROOT/chest_xray/)
  train/NORMAL/IM-0115-0001.jpeg, NORMAL2-IM-0569-0001.jpeg
  train/PNEUMONIA/person1055_bacteria_2989.jpeg, person659_virus_1243.jpeg
  val/{NORMAL,PNEUMONIA}/*.jpeg
  test/{NORMAL,PNEUMONIA}/*.jpeg""",
        split="made by patient over all three folders: 70, 10 and 20 %. `chest_pneumonia,split=official` uses the folders "
        "as splits. The folds of Juodelyte et al. (data/chest of https://github.com/DovileDo/revisiting-transfer): --split-file "
        "FOLDER --fold 0 to 4.",
        note="1,583 normal images, 4,273 with pneumonia; the folders hold 5,216, 16 and 624 images. The patient is person1055, "
        "or the number after IM-, as in the study: 2,790 patients, of whom 264 are in two of the folders. The authors do not say "
        "whether person1_bacteria and person1_virus are the same child. split=official counts them as two patients (and IM-0115 "
        "and NORMAL2-IM-0115 too); then no patient is in two folders.",
        published={
            "auroc": 0.987, "sd": 0.004, "model": "ResNet-50, supervised ImageNet, mean of 5 folds",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "computed on folds that the study replaced later",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, split: str = "patient", pooled: bool = False) -> Task:
    """The radiographs of the three folders.

    Args:
        name: "chest_pneumonia".
        root: the folder with the unpacked data.
        split: "patient" joins the folders and splits by patient; "official" uses the folders as splits.
        pooled: ignore the split by folders.

    Raises:
        DataContractError: for missing folders, and file names without a patient.
        SplitError: with split="official", if a patient is in two folders.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    base = find_one(root, ("train", "chest_xray/train"), name).parent
    # The folder gives split and class, the file name the patient.
    paths: list[str] = []
    labels, splits, patients, odd = [], [], [], []
    for folder, word in FOLDERS.items():
        find_one(base, (folder,), name)
        for label, file in class_folders(base / folder, name, CLASSES, (".jpeg", ".jpg")):
            patient = _patient(file, separate=split == "official")
            if patient is None:
                odd.append(f"{folder}/{label}/{file}")
                continue
            paths.append(f"{folder}/{label}/{file}")
            labels.append(CLASSES.index(label))
            splits.append(word)
            patients.append(patient)
    if odd:
        complain(
            DataContractError(
                f"Task {name}: {len(odd)} file names do not name the patient: {listed(odd)}. Names must look like "
                "person1055_bacteria_2989.jpeg, IM-0115-0001.jpeg or NORMAL2-IM-0569-0001.jpeg.",
                code="patient-not-in-file-name",
                offenders=odd,
            )
        )
    prefix = base.relative_to(root).as_posix()
    rows = {
        "id": paths,
        "image": [path if prefix == "." else f"{prefix}/{path}" for path in paths],
        "label": labels,
        "patient_id": patients,
    }
    official = split == "official"
    full_name = f"{name},split=official" if official else name
    return make_task(info, rows, splits if official else None, root, (), pooled=pooled, name=full_name)


def _patient(file: str, *, separate: bool) -> str | None:
    """The patient id; `separate` makes bacteria and virus, and the two series of healthy children, different patients."""
    if sick := _SICK.fullmatch(file):
        return f"{sick[1]}_{sick[2]}" if separate else sick[1]
    if well := _WELL.fullmatch(file):
        return f"{well[1]}-{well[2]}" if separate else well[2]
    return None


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: JPEG images with names like the original ones.

    Args:
        root: folder.
        n: images of each class in train; half as many in val and test.
        seed: for the noise.
        name: "chest_pneumonia".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    number = 0
    for folder, count in (("train", n), ("val", max(2, n // 2)), ("test", max(2, n // 2))):
        for label in CLASSES:
            place = root / "chest_xray" / folder / label
            place.mkdir(parents=True, exist_ok=True)
            for _ in range(count):
                number += 1
                sick = f"person{number}_{('bacteria', 'virus')[number % 2]}_{number + 7}.jpeg"
                well = f"{('IM', 'NORMAL2-IM')[number % 2]}-{number:04d}-0001.jpeg"
                image = Image.fromarray(rng.integers(0, 256, (40, 48), dtype=np.uint8))
                image.save(place / (sick if label == "PNEUMONIA" else well))
