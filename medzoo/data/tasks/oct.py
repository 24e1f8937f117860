"""Retinal OCT with three diseases or none (Kermany et al.); training images of test patients are left out.

Home: https://data.mendeley.com/datasets/rscbjbr9sj/3. The official train and test folders share patients:
https://tvst.arvojournals.org/article.aspx?articleid=2778252.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.class_folders import class_folders
from medzoo.data.files.find import find_one, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.data.vocabulary import EXCLUDED

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")
_NAME = re.compile(r"(CNV|DME|DRUSEN|NORMAL)-(\d+)-(\d+)\.jpe?g", re.IGNORECASE)

TASKS: dict[str, TaskInfo] = {
    "oct": TaskInfo(
        name="oct",
        title="CNV, DME, drusen or normal in retinal OCT (Kermany), official test images",
        kind="multiclass",
        classes=CLASSES,
        metric="auroc",
        unit="image",
        groups="the patient's number in the file's name",
        channels=1,
        license="cc-by-4.0",
        url="https://data.mendeley.com/datasets/rscbjbr9sj/3",
        citation="Kermany et al., Identifying medical diagnoses and treatable diseases by image-based deep learning, Cell (2018)",
        how="Download the OCT archive and unpack.",
        layout="""ROOT/  (or ROOT/OCT2017/, ROOT/CellData/OCT/)
  train/{CNV,DME,DRUSEN,NORMAL}/CNV-1016042-1.jpeg   (class, patient, image)
  test/{CNV,DME,DRUSEN,NORMAL}/*.jpeg""",
        split="official test images; training images of the same patients are left out, and 10 % of the other patients become "
        "validation. --fold and --split-file use all images of train and test. A folder val, which some copies have, is never "
        "read.",
        note="The paper has 108,312 training images of 4,686 patients and 1,000 test images of 633 patients. The archive says "
        "that train and test have different patients, but the patient numbers in the file names show that they share some: a "
        "published study reduced the training images to 104,649 for this reason.",
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The OCT images with the official test images.

    Args:
        name: "oct".
        root: the folder with the unpacked data.
        pooled: ignore the official split; then no image is left out.

    Raises:
        DataContractError: for missing folders, file names without a patient, and files in the folder of another class.
    """
    # Find the folder that holds train and test.
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    outer = ("", "OCT2017/", "OCT2017 /", "CellData/OCT/", "OCT/")
    base = find_one(root, [f"{folder}train" for folder in outer], name).parent
    prefix = base.relative_to(root).as_posix()
    # The file name gives class and patient; the class must be that of its folder.
    paths: list[str] = []
    labels, splits, patients, odd = [], [], [], []
    for folder in ("train", "test"):
        for label, file in class_folders(find_one(base, (folder,), name), name, CLASSES, (".jpeg", ".jpg")):
            match = _NAME.fullmatch(file)
            if match is None or match[1].upper() != label:
                odd.append(f"{folder}/{label}/{file}")
                continue
            paths.append(f"{folder}/{label}/{file}")
            labels.append(CLASSES.index(label))
            splits.append(folder)
            patients.append(match[2])
    complain_of(
        odd,
        f"Task {name}: {len(odd)} file names do not give the class of their folder and a patient, like CNV-1016042-1.jpeg in CNV",
        code="patient-not-in-file-name",
    )
    # Training images of test patients are left out.
    tested = {patient for patient, word in zip(patients, splits, strict=True) if word == "test"}
    if not pooled:
        splits = [
            EXCLUDED if word == "train" and patient in tested else word
            for patient, word in zip(patients, splits, strict=True)
        ]
    rows = {
        "id": paths,
        "image": [path if prefix == "." else f"{prefix}/{path}" for path in paths],
        "label": labels,
        "patient_id": patients,
    }
    return make_task(info, rows, splits, root, (), pooled=pooled)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: JPEG images; one patient of each class is in train and in test, as in the original set.

    Args:
        root: folder.
        n: training patients of each class, two images each; two for testing.
        seed: for the noise.
        name: "oct".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for place, label in enumerate(CLASSES):
        for folder, first, count in (("train", 0, n), ("test", n - 1, 3)):
            target = root / "OCT2017" / folder / label
            target.mkdir(parents=True, exist_ok=True)
            for patient in range(first, first + count):
                for image in range(1, 3):
                    file = f"{label}-{1000 * (place + 1) + patient}-{image + 2 * (folder == 'test')}.jpeg"
                    Image.fromarray(rng.integers(0, 256, (32, 44), dtype=np.uint8)).save(target / file)
