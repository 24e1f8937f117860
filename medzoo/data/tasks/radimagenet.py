"""RadImageNet: 165 labels in CT, MR and ultrasound images, for pre-training.

Home: https://www.radimagenet.com/. Lists and paper: https://github.com/BMEII-AI/RadImageNet, https://doi.org/10.1148/ryai.210315.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, numbered, select_rows
from medzoo.data.files.class_folders import PICTURES
from medzoo.data.files.csv_columns import read_columns
from medzoo.data.files.find import files_below, find_one, need_files, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, listed

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
LISTS = {"train": "RadiologyAI_train.csv", "validation": "RadiologyAI_val.csv", "test": "RadiologyAI_test.csv"}
FOLDER = "radiology_ai"  # the first part of the paths in the lists

TASKS: dict[str, TaskInfo] = {
    "radimagenet": TaskInfo(
        name="radimagenet",
        title="165 labels in CT, MR and ultrasound (RadImageNet), official split",
        kind="multiclass",
        classes=(),
        metric="accuracy",
        unit="image",
        groups="none: the lists name files and labels, no patients",
        channels=1,
        license="on request at radimagenet.com, under the terms agreed there",
        url="https://www.radimagenet.com/",
        citation="Mei et al., RadImageNet, Radiology: Artificial Intelligence, https://doi.org/10.1148/ryai.210315",
        how="Request the images at https://www.radimagenet.com/; https://github.com/BMEII-AI/RadImageNet links the three lists.",
        layout="""ROOT/  (or ROOT/radiology_ai/ with the lists inside or next to it)
  RadiologyAI_train.csv, RadiologyAI_val.csv, RadiologyAI_test.csv      (filename,label)
  radiology_ai/MR/knee/acl/*.png                                        (modality, anatomy, label)""",
        split="official: the three lists of the authors. Without the lists every folder modality/anatomy/label is a class, and "
        "splits are made by image: 70, 10 and 20 %.",
        note="1.35 million images of 131,872 patients, 11 anatomies. The classes are the labels of the training list, sorted. "
        "Images of one patient are similar, but the patient of an image is not published. So splits made by image share patients; "
        "the authors do not say whether their lists do. Users of the data report duplicate and empty images.",
        published={
            "accuracy": 0.723, "model": "ResNet50 (Keras), from scratch",
            "source": "https://github.com/BMEII-AI/RadImageNet, README, top-1",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The images in the authors' lists, or in the class folders.

    Args:
        name: "radimagenet".
        root: the folder with the unpacked data.
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing lists or images, images in two lists, and labels that are not in the training list.
    """
    # Without lists, the folders are the classes.
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    places = [f"{folder}{file}" for folder in ("", f"{FOLDER}/") for file in LISTS.values()]
    if not any((root / place).is_file() for place in places):
        return _from_folders(info, root, name, pooled)
    base = find_one(root, places, name).parent
    absent = [file for file in LISTS.values() if not (base / file).is_file()]
    if absent:
        raise DataContractError(
            f"Task {name}: {listed(absent)} not found in {base}. Add the missing lists, or remove all three.",
            code="lists-missing",
        )
    # Rows of the three lists; the labels of the training list are the classes.
    files: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    for split, file in LISTS.items():
        columns = read_columns(base / file, ("filename", "label"))
        files += columns["filename"]
        labels += columns["label"]
        splits += [split] * len(columns["filename"])
    classes = tuple(sorted({word for word, split in zip(labels, splits, strict=True) if split == "train"}))
    keys = [_below(root, file) for file in files]
    missing = need_files(root, keys, name)
    rows: dict[str, Any] = {
        "id": files,
        "image": keys,
        "label": numbered(labels, classes, files, f"{base / LISTS['train']} and the other lists"),
        "patient_id": files,
    }
    if missing:
        exists = [key not in missing for key in keys]
        rows, splits = select_rows(rows, exists), [split for split, yes in zip(splits, exists, strict=True) if yes]
    tables = [(base / file).relative_to(root).as_posix() for file in LISTS.values()]
    return make_task(info, rows, splits, root, tables, pooled=pooled, classes=classes)


def _below(root: Path, file: str) -> str:
    """A path of the lists, relative to the root; the root may be the folder that the paths begin with."""
    path = file.replace("\\", "/").removeprefix("./")
    return path if root.name != FOLDER or (root / FOLDER).is_dir() else path.removeprefix(f"{FOLDER}/")


def _from_folders(info: TaskInfo, root: Path, task: str, pooled: bool) -> Task:
    start = find_one(root, (FOLDER, "CT", "MR", "US"), task)
    base = start if start.name == FOLDER else root
    files = files_below(base, PICTURES)
    shallow = [file for file in files if file.count("/") != 3]
    complain_of(
        shallow,
        f"Task {task}: without the authors' lists, images must be in folders modality/anatomy/label; {len(shallow)} images below "
        f"{base} are not",
        code="folder-depth-wrong",
    )
    files = [file for file in files if file.count("/") == 3]
    names = [file.rpartition("/")[0] for file in files]
    classes = tuple(sorted(set(names)))
    if len(classes) < 2:
        raise DataContractError(
            f"Task {task}: {base} has {len(classes)} class folders modality/anatomy/label; at least 2 are needed.",
            code="class-folders-missing",
        )
    prefix = base.relative_to(root).as_posix()
    rows = {
        "id": files,
        "image": [file if prefix == "." else f"{prefix}/{file}" for file in files],
        "label": numbered(names, classes, files, base),
        "patient_id": files,
    }
    return make_task(info, rows, None, root, (), pooled=pooled, classes=classes)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: PNG images of six labels and the three lists.

    Args:
        root: folder.
        n: training images of each label; at least 10, and 3 of each in the other lists.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "radimagenet".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    kinds = ("MR/knee/acl", "MR/knee/normal", "CT/lung/nodule", "CT/abd/normal", "US/gb/stone", "US/gb/normal_gb")
    lists = {split: ["filename,label"] for split in LISTS}
    for kind in kinds:
        modality, anatomy, label = kind.split("/")
        (root / FOLDER / kind).mkdir(parents=True, exist_ok=True)
        for split, count in (("train", max(n, 10)), ("validation", 3), ("test", 3)):
            for number in range(count):
                path = f"{FOLDER}/{kind}/{split}{number:06d}.png"
                Image.fromarray(rng.integers(0, 256, (30, 26 + seed), dtype=np.uint8)).save(root / path)
                lists[split].append(f"{path},{modality}_{anatomy}_{label}")
    for split, file in LISTS.items():
        (root / file).write_text("\n".join(lists[split]) + "\n")
