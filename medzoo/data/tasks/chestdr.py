"""ChestDR of MedFMC: nineteen findings in frontal chest radiographs.

Paper: https://doi.org/10.1038/s41597-023-02460-0. Class names in their order and the lists of the authors:
https://github.com/openmedlab/MedFM (medfmc/datasets/medical_datasets.py, data_backup/MedFMC/chest). Lists with all labels:
https://github.com/jlianglab/Ark (Ark_Plus/dataset/ChestDR).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, select_rows
from medzoo.data.files.csv_rows import read_text
from medzoo.data.files.find import find_one, need_folder
from medzoo.data.files.image_variants import stems
from medzoo.data.problems import complain_of
from medzoo.data.synthetic.files import save_picture
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
CLASSES = (
    "pleural_effusion", "nodule", "pneumonia", "cardiomegaly", "hilar_enlargement", "fracture_old", "fibrosis",
    "aortic_calcification", "tortuous_aorta", "thickened_pleura", "TB", "pneumothorax", "emphysema", "atelectasis",
    "calcification", "pulmonary_edema", "increased_lung_markings", "elevated_diaphragm", "consolidation",
)  # fmt: skip
# Ark's lists hold all images, the authors' lists 2,140 of them.
LISTS = {"train": ("fewshot-pool.txt", "trainval.txt"), "test": ("test.txt", "test_WithLabel.txt")}

TASKS: dict[str, TaskInfo] = {
    "chestdr": TaskInfo(
        name="chestdr", title="19 findings in frontal chest radiographs (ChestDR of MedFMC)", kind="multilabel", classes=CLASSES,
        metric="auroc", unit="image", channels=1, groups="none: the lists name images only; no patient ids are published",
        license="see the terms of the collection, https://doi.org/10.6084/m9.figshare.c.6476047.v1",
        url="https://medfm2023.grand-challenge.org/datasets/",
        citation="Wang et al., A real-world dataset and benchmark for foundation model adaptation in medical image "
        "classification, Scientific Data 10 (2023) 574, https://doi.org/10.1038/s41597-023-02460-0",
        how="Download the images from https://medfm2023.grand-challenge.org/datasets/ and put fewshot-pool.txt and test.txt of "
        "https://github.com/jlianglab/Ark (Ark_Plus/dataset/ChestDR) next to the folder images.",
        layout="""ROOT/
  images/5E2653D72460CFB.png
  fewshot-pool.txt    (NAME 0,1,0,...: 19 labels; or the authors' trainval.txt with NAME.png)
  test.txt            (or the authors' test_WithLabel.txt)""",
        split="by the lists: 979 training images, of which 10 % become validation, and 3,869 test images (1,161 in the authors' "
        "list), as in Ark's study.",
        note="4,848 images of 512 px. Rare classes have few positives: elevated_diaphragm 23, consolidation 34 in all. The "
        "authors' few-shot lists (chest_5-shot_train_exp1.txt and so on) name most training images for validation too, so "
        "--split-file does not accept them unchanged.",
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """ChestDR with one of two pairs of lists.

    Args:
        name: "chestdr".
        root: the folder that holds images and two lists.
        pooled: ignore the split of the lists.

    Raises:
        DataContractError: for missing files, and lines that are not a name and 19 labels of 0 or 1.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    lists = {split: find_one(root, files, name).name for split, files in LISTS.items()}
    if not (root / "images").is_dir():
        raise DataContractError(
            f"Task {name}: {root} has no folder `images`. `medzoo tasks info {name}` shows the layout.",
            code="images-not-found",
        )
    # Rows of both lists, with their image files.
    files = stems(root, "images", (".png",))
    columns: dict[str, Any] = {"id": [], "image": [], "label": [], "split": []}
    for split, file in lists.items():
        for image, labels in _lines(root / file):
            columns["id"].append(image)
            columns["image"].append(files.get(image, ""))
            columns["label"].append(labels)
            columns["split"].append(split)
    absent = [image for image, path in zip(columns["id"], columns["image"], strict=True) if not path]
    if absent:
        complain_of(
            absent,
            f"Task {name}: {len(absent)} of {len(columns['id'])} listed images are not in {root / 'images'}",
            code="images-missing",
        )
        columns = select_rows(columns, [bool(path) for path in columns["image"]])
    columns["patient_id"] = columns["id"]
    columns["label"] = np.array(columns["label"], np.float32).reshape(-1, len(CLASSES))
    return make_task(info, columns, columns.pop("split"), root, list(lists.values()), pooled=pooled)


def _lines(path: Path) -> list[tuple[str, list[float]]]:
    """Name (without .png) and labels of each line; names may contain points, labels are separated by commas."""
    rows, bad = [], []
    for line in read_text(path).splitlines():
        image, _, cells = line.strip().rpartition(" ")
        marks = cells.split(",")
        if not image or len(marks) != len(CLASSES) or not set(marks) <= {"0", "1"}:
            bad += [line[:60]] if line.strip() else []
            continue
        rows.append((image.strip().removesuffix(".png"), [float(mark) for mark in marks]))
    complain_of(
        bad, f"{path}: {len(bad)} lines are not a name and {len(CLASSES)} labels of 0 or 1", code="list-line-invalid"
    )
    if not rows:
        raise DataContractError(f"{path} lists no image.", code="list-empty")
    return rows


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: PNG files of noise and the two lists.

    Args:
        root: folder.
        n: images; at least 76, so that each finding occurs in training.
        seed: for the noise and the names.
        name: ignored; there is one task.
    """
    rng = np.random.default_rng(seed)
    lines: dict[str, list[str]] = {split: [] for split in LISTS}
    for number in range(max(n, 76) + 19):
        image = rng.bytes(7).hex().upper() if number % 9 else f"CR.1.2.156.{rng.integers(10**9)}.{number}"
        save_picture(root / "images" / f"{image}.png", rng)
        marks = [str(int(place in (number % 19, number * 5 % 19))) for place in range(19)]
        lines["train" if number < max(n, 76) else "test"].append(f"{image} {','.join(marks)}")
    for split, rows in lines.items():
        (root / LISTS[split][0]).write_text("\n".join(rows) + "\n")
