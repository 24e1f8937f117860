"""ChestX-ray14 of the NIH, as used by two studies: with its 14 findings, and with "No Finding" as a fifteenth class (CX8).

Paper: https://arxiv.org/abs/1705.02315. Files: https://nihcc.app.box.com/v/ChestXray-NIHCC, or Kaggle nih-chest-xrays/data.
A program extracted the findings from reports; the authors estimate that about one in ten is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.csv_rows import read_csv, read_list
from medzoo.data.files.find import by_name, find_one, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.data.vocabulary import EXCLUDED
from medzoo.errors import DataContractError

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
SEX = {"M": "M", "F": "F"}
# Order of dataset/Xray14_*_official.txt, https://github.com/MR-HosseinzadehTaher/BenchmarkTransferLearning
FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax", "Consolidation",
    "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
# Order of the RadNet study, https://github.com/TIO-IKIM/Transfer-learning-across-domain-boundaries
CX8 = (
    "Cardiomegaly", "Emphysema", "Effusion", "No Finding", "Hernia", "Infiltration", "Mass", "Nodule", "Atelectasis",
    "Pneumothorax", "Pleural_Thickening", "Pneumonia", "Fibrosis", "Edema", "Consolidation",
)  # fmt: skip
_LAYOUT = """ROOT/
  Data_Entry_2017_v2020.csv   (or Data_Entry_2017.csv)
  train_val_list.txt          (the two lists are the official split; without them, splits are made by patient)
  test_list.txt
  images/00000001_000.png     (or images_001/images/...: any folders, each name once)"""
_COMMON: dict[str, Any] = {
    "kind": "multilabel", "metric": "auroc", "unit": "image", "groups": "Patient ID", "channels": 1,
    "license": "free use with attribution to the NIH Clinical Center and the paper, and a link to the download",
    "url": "https://nihcc.app.box.com/v/ChestXray-NIHCC",
    "citation": "Wang et al., ChestX-ray8, CVPR 2017, https://arxiv.org/abs/1705.02315",
    "how": "Download the twelve image archives, the CSV and the two lists, and unpack them into one folder (42 GB).",
}  # fmt: skip

TASKS: dict[str, TaskInfo] = {
    "chestxray14": TaskInfo(
        name="chestxray14", title="14 findings in frontal chest radiographs (NIH), official test patients", classes=FINDINGS,
        layout=_LAYOUT,
        split="official: test_list.txt is the test split; 10 % of the patients of train_val_list.txt become validation. For the "
        "study's train and validation lists: --split-file FOLDER with Xray14_{train,val,test}_official.txt.",
        note="112,120 grey PNGs of 1024 px, some stored as RGBA. The labels of an image without findings are all zero.",
        published={
            "auroc": 0.8170, "sd": 0.0015, "model": "ResNet-50, supervised ImageNet",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021), domain-adaptation figure",
        },
        **_COMMON,
    ),
    "cx8": TaskInfo(
        name="cx8", title="14 findings and No Finding in frontal chest radiographs (NIH), as in the RadNet study", classes=CX8,
        layout=_LAYOUT + "\nor ROOT/train_val/*.png and ROOT/test/*.png, with the CSV in ROOT",
        split="official test patients, from the lists or the folders train_val and test; 10 % of the other patients become "
        "validation. (The study drew validation images, so some patients were in both splits; medzoo draws patients.)",
        note="The study weighted the loss of No Finding by 0.001.",
        published={
            "auroc": 0.7539, "sd": 0.0058, "model": "ResNet-50, SimCLR ImageNet, mean of 4 runs",
            "source": "https://arxiv.org/abs/2306.17555 (Jonske et al.), experiment E1",
        },
        **_COMMON,
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """ChestX-ray14 with the labels of one of the studies.

    Args:
        name: "chestxray14" or "cx8".
        root: the folder with the unpacked data.
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing files, unknown findings, or images that are not in the table or the lists.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    table = find_one(root, TABLES, name)
    _, rows = read_csv(table, COLUMNS)
    # Rows whose image exists.
    names = [row["Image Index"] for row in rows]
    files = by_name(root, (".png",), name)
    absent = [key for key in names if key not in files]
    if absent:
        complain_of(
            absent,
            f"Task {name}: {len(absent)} of the {len(names)} images in {table.name} are not below {root}",
            code="images-missing",
        )
        rows = [row for row in rows if row["Image Index"] in files]
        names = [row["Image Index"] for row in rows]
    columns: dict[str, Any] = {
        "id": names,
        "image": [files[key] for key in names],
        "label": _labels(rows, info.classes, str(table)),
        "patient_id": [row["Patient ID"] for row in rows],
        "sex": [SEX.get(row["Patient Gender"]) for row in rows],
        "age": [_years(row["Patient Age"]) for row in rows],
        "view": [row["View Position"] for row in rows],
    }
    splits, lists = _official(root, names, [files[key] for key in names], name)
    return make_task(info, columns, splits, root, [table.name, *lists], pooled=pooled)


def _labels(rows: list[dict[str, str]], classes: Sequence[str], where: str) -> np.ndarray:
    known = {*FINDINGS, "No Finding"}
    labels = np.zeros((len(rows), len(classes)), np.float32)
    bad = []
    for number, row in enumerate(rows):
        findings = {
            "Pleural_Thickening" if word == "Pleural Thickening" else word for word in row["Finding Labels"].split("|")
        }
        if not findings <= known or ("No Finding" in findings and len(findings) > 1):
            bad.append(f"{row['Image Index']}: {row['Finding Labels']!r}")
        labels[number] = [word in findings for word in classes]
    complain_of(bad, f"{where}: {len(bad)} rows have unknown findings, or No Finding with others", code="class-unknown")
    return labels


def _years(text: str) -> float | None:
    """Age in years; the first edition wrote 058Y and had ages above 120, which are typing errors and become None."""
    digits = text.removesuffix("Y")
    return float(digits) if digits.isdecimal() and int(digits) <= 120 else None


def _official(root: Path, names: list[str], files: list[str], task: str) -> tuple[list[str] | None, list[str]]:
    """The split of each image from the official lists, or from the folders train_val and test; None without either."""
    # Without the lists: the folders of the RadNet study, if there are any.
    lists = [name for name in LISTS if (root / name).is_file()]
    if not lists:
        folders = [path.split("/")[0] if "/" in path else "" for path in files]
        if {"train_val", "test"} <= set(folders):
            return ["test" if folder == "test" else "train" for folder in folders], []
        return None, []
    if len(lists) < len(LISTS):
        raise DataContractError(
            f"Task {task}: {root} has {lists[0]} but not the other official list. Add the other list, or remove this one.",
            code="lists-missing",
        )
    # Every image must be in exactly one of the two lists.
    split_of: dict[str, str] = {}
    pairs = [(line[0], split) for file, split in LISTS.items() for line in read_list(root / file)]
    both = [name for name, split in pairs if split_of.setdefault(name, split) != split]
    complain_of(both, f"Task {task}: {len(both)} images are in both official lists", code="image-in-two-lists")
    unlisted = [name for name in names if name not in split_of]
    complain_of(unlisted, f"Task {task}: {len(unlisted)} images are in no official list", code="image-not-in-lists")
    return [split_of.get(name, EXCLUDED) for name in names], lists


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: PNG files of noise (one of them RGBA, as in the original set), the CSV and the lists.

    Args:
        root: folder.
        n: images; at least 60, so that each finding occurs in training.
        seed: for the noise.
        name: either task; they share their files.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    folder = root / "images"
    folder.mkdir(parents=True, exist_ok=True)
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,"
    lines = [header + "Height],OriginalImagePixelSpacing[x,y],"]
    lists: dict[str, list[str]] = {file: [] for file in LISTS}
    for number in range(max(n, 60)):
        patient, visit = divmod(number, 3)
        file = f"{patient + 1:08d}_{visit:03d}.png"
        image = Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8))
        (image.convert("RGBA") if number == 1 else image).save(folder / file)
        first, second = FINDINGS[number % 14], FINDINGS[(number * 5 + 3) % 14]
        findings = "No Finding" if visit == 2 else first if first == second else f"{first}|{second}"
        person = f"{patient + 1},{20 + patient},{'MF'[patient % 2]},{('PA', 'AP')[visit % 2]}"
        lines.append(f"{file},{findings},{visit},{person},2500,2048,0.17,0.17,")
        lists["test_list.txt" if patient % 4 == 3 else "train_val_list.txt"].append(file)
    (root / TABLES[0]).write_text("\n".join(lines) + "\n")
    for file, images in lists.items():
        (root / file).write_text("\n".join(images) + "\n")
