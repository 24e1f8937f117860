"""CheXpert of Stanford: fourteen findings in chest radiographs, uncertain ones among them, scored on five.

Paper: https://arxiv.org/abs/1901.07031. Home: https://stanfordmlgroup.github.io/competitions/chexpert/. Labels of the official
test studies: https://github.com/rajpurkarlab/cheXpert-test-set-labels. Columns and counts of train.csv were read from
https://github.com/mlmed/torchxrayvision (torchxrayvision/data/chexpert_train.csv.gz), the other tables from
https://github.com/jlianglab/Ark (Ark_Plus/dataset/CheXpert) and https://github.com/felixkrones/BenchmarkTransferLearning_f.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import concatenate_rows, make_task, name_with_choices, select_rows
from medzoo.data.files.csv_columns import numbers, read_columns
from medzoo.data.files.find import files_below, find_folder, find_one, need_files, need_folder
from medzoo.data.label_policy import parse_policy
from medzoo.data.problems import complain, complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.data.tasks._chexpert_labels import BLANK_NOTE, BLANKS, FINDINGS, FIVE, findings
from medzoo.data.vocabulary import EXCLUDED
from medzoo.errors import DataContractError

CHOICES = {
    "view": Choice(("all", "frontal", "lateral"), default="all"),
    "test": Choice(("valid", "official", "glocker"), default="valid"),
    "blank": Choice(BLANKS, default="zero"),
}
TAKES = LoadOptions(label_policy=True, pooled=True)
OUTER = ("CheXpert-v1.0", "CheXpert-v1.0-small")
# Where each choice of a test set is listed: with one row an image (Ark), or one a study (the authors); images of train.csv.
TEST_TABLES = {
    "official": ("CheXpert_test_official.csv", "groundtruth.csv"),
    "glocker": ("CheXpert_test_Glocker.csv",),
}
PEOPLE = ("Sex", "Age", "AP/PA")
SEX = {"Male": "M", "Female": "F"}
_PATH = re.compile(r"(?:^|/)((?:train|valid|test)/(patient\d+)/(study\d+)(?:/(view\d+_(frontal|lateral)\.\w+))?)/?$")

TASKS: dict[str, TaskInfo] = {
    "chexpert": TaskInfo(
        name="chexpert", title="14 findings in chest radiographs (CheXpert), scored on 5, uncertain labels by policy",
        kind="multilabel", classes=FINDINGS, scored=FIVE, metric="auroc", unit="image", groups="patient, from the path",
        channels=1, uncertain=True, labels_stay=True,
        license="Stanford University Dataset Research Use Agreement (research use)",
        url="https://stanfordmlgroup.github.io/competitions/chexpert/",
        citation="Irvin et al., CheXpert, AAAI 2019, https://arxiv.org/abs/1901.07031",
        how="Register at https://stanfordmlgroup.github.io/competitions/chexpert/, accept the agreement, and unpack "
        "CheXpert-v1.0 (or CheXpert-v1.0-small).",
        layout="""ROOT/   (CheXpert-v1.0 or CheXpert-v1.0-small itself, or the folder that holds one of them)
  train.csv                   (Path from the folder above: CheXpert-v1.0/train/patient00001/...)
  valid.csv
  train/patient00001/study1/view1_frontal.jpg
  valid/patient64541/study1/view1_frontal.jpg
  CheXpert_test_official.csv or groundtruth.csv, and test/patient64741/study1/view1_frontal.jpg   (for test=official)
  CheXpert_test_Glocker.csv                                                                       (for test=glocker)""",
        split="official: valid.csv (200 patients, read by radiologists) is the test split, as in the studies; 10 % of the patients "
        "of train.csv become validation. test=official: the 500 official test studies are the test split and valid.csv is "
        "validation. test=glocker: the frontal training images that CheXpert_test_Glocker.csv lists (12,866 patients) are "
        "the test split, all other images of these patients are left out, and valid.csv is validation. The studies' lists: "
        "--split-file FOLDER with CheXpert_train_official.csv, and CheXpert_valid_official.csv renamed to say test.",
        note=BLANK_NOTE + " Uncertain labels were soft (soft:0.55:0.85) in Hosseinzadeh Taher et al. and zero in Krones et al. "
        "view=frontal or view=lateral keeps one kind of image (Krones et al. test on frontal ones). train.csv has 223,414 "
        "images of 64,540 patients, 12 rows without any label (rows of zeros), and three ages of 0, which are read as "
        "unknown. The official test tables have no sex, age or view. In valid.csv Fracture has no positive.",
        published={
            "auroc": 0.8710, "sd": 0.0036, "model": "ResNet-50, supervised ImageNet; mean of the five, valid.csv as test",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021), domain-adaptation figure",
        },
    ),
}  # fmt: skip


def load(
    name: str,
    root: Path | None = None,
    *,
    view: str = "all",
    test: str = "valid",
    blank: str = "zero",
    label_policy: str | None = None,
    pooled: bool = False,
) -> Task:
    """CheXpert with one of three test sets.

    Args:
        name: "chexpert".
        root: CheXpert-v1.0, CheXpert-v1.0-small, or the folder that holds one of them.
        view: "all", "frontal" or "lateral" images.
        test: "valid" (valid.csv, as in the studies), "official" (the official test studies) or "glocker".
        blank: what an empty cell means: "zero" (absent, as in the studies) or "mask" (not annotated).
        label_policy: what uncertain labels (-1) become: "mask", "zero", "one", "soft" or "soft:LOW:HIGH".
        pooled: leave out the splits.

    Raises:
        DataContractError: for missing files, unknown labels or paths, and images that are listed twice.
    """
    info = TASKS[name]
    base = find_folder(need_folder(root, name, info.how), ("train.csv",), OUTER, name)
    tables = ["train.csv", find_one(base, ("valid.csv",), name).name]
    parts = [_images(base / table, base, name, blank) for table in tables]
    words = [["train"] * len(parts[0]["id"]), ["test" if test == "valid" else "validation"] * len(parts[1]["id"])]
    if test != "valid":
        table = find_one(base, TEST_TABLES[test], name)
        tables.append(table.name)
        listed_here = _images(table, base, name, blank)
        if test == "official":
            parts.append(listed_here)
            words.append(["test"] * len(listed_here["id"]))
        else:
            words[0] = _held_out(parts[0], listed_here["id"], table, name)
    columns = concatenate_rows(parts)
    splits = [word for part in words for word in part]
    wanted = [
        word != EXCLUDED and (view == "all" or f"_{view}." in key)
        for word, key in zip(splits, columns["id"], strict=True)
    ]
    columns = select_rows(columns, wanted)
    splits = [word for word, yes in zip(splits, wanted, strict=True) if yes]
    if "test" not in splits:
        raise DataContractError(f"Task {name}: no image of {tables[-1]} is {view}; the test split would be empty.")
    absent = need_files(base, columns["image"], name)
    if absent:
        there = [key not in absent for key in columns["image"]]
        columns, splits = select_rows(columns, there), [word for word, yes in zip(splits, there, strict=True) if yes]
    said = name_with_choices(name, {"view": view, "test": test, "blank": blank}, CHOICES)
    return make_task(
        info, columns, splits, base, tables, policy=parse_policy(label_policy), pooled=pooled, name=said
    )  # fmt: skip


def _images(table: Path, base: Path, task: str, blank: str) -> dict[str, Any]:
    """The rows of a table, one an image; a row that stands for a study is one for each of its images."""
    columns = read_columns(table, FINDINGS, ("Path", "Study", *PEOPLE))
    if ("Path" in columns) == ("Study" in columns):
        raise DataContractError(f"{table}: should have the column Path (one row an image) or Study (one row a study).")
    paths = columns["Path"] if "Path" in columns else columns["Study"]
    places = [_PATH.search(path) for path in paths]
    bad = [path for path, place in zip(paths, places, strict=True) if place is None]
    complain_of(
        bad, f"{table}: {len(bad)} paths are not like CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg"
    )
    labels = findings(columns, paths, table, blank)
    sex, age = columns.get("Sex", [""] * len(paths)), numbers(columns.get("Age", [""] * len(paths)), 1, 120)
    views = columns.get("AP/PA", [""] * len(paths))
    found: dict[str, Any] = {key: [] for key in ("id", "patient_id", "study_id", "sex", "age", "view")}
    rows: list[int] = []
    for row, place in enumerate(places):
        if place is None:
            continue
        for key in (place[1],) if place[4] else _of_study(base, place[1], table, task):
            rows.append(row)
            found["id"].append(key)
            found["patient_id"].append(place[2])
            found["study_id"].append(f"{place[2]}/{place[3]}")
            found["sex"].append(SEX.get(sex[row]))
            found["age"].append(age[row])
            found["view"].append(views[row] or ("lateral" if "_lateral." in key else "frontal"))
    return {**found, "image": list(found["id"]), "label": labels[rows]}


def _of_study(base: Path, study: str, table: Path, task: str) -> list[str]:
    files = [f"{study}/{file}" for file in files_below(base / study, (".jpg", ".jpeg", ".png")) if "/" not in file]
    if not files:
        complain(
            DataContractError(f"Task {task}: {table.name} lists {study}, and {base} holds no image of this study.")
        )
    return files


def _held_out(train: dict[str, Any], chosen: Iterable[str], table: Path, task: str) -> list[str]:
    """The split of each training image when some are the test set: the rest of their patients is left out."""
    listed_ids = set(chosen)
    unknown = sorted(listed_ids - set(train["id"]))
    complain_of(unknown, f"Task {task}: {len(unknown)} images of {table.name} are not in train.csv")
    patients = {patient for key, patient in zip(train["id"], train["patient_id"], strict=True) if key in listed_ids}
    return [
        "test" if key in listed_ids else EXCLUDED if patient in patients else "train"
        for key, patient in zip(train["id"], train["patient_id"], strict=True)
    ]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny CheXpert-v1.0-small: JPEG files of noise and the five tables.

    Args:
        root: folder, which becomes CheXpert-v1.0-small itself.
        n: training images; at least 90, so that each finding occurs in training.
        seed: of the noise.
        name: ignored; there is one task.
    """
    from medzoo.data.synthetic.files import save_picture

    rng = np.random.default_rng(seed)
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(FINDINGS)
    lines = {"train": [header], "valid": [header], "test": ["Path," + ",".join(FINDINGS)]}
    studies, glocker = ["Study," + ",".join(FINDINGS)], [header]
    places = [("train", 1 + number // 3, 1 + number % 3 // 2, 1 + number % 3 % 2) for number in range(max(n, 90))]
    places += [("valid", 64541 + number, 1, 1) for number in range(12)]
    places += [("valid", 64541 + number, 1, 2) for number in range(0, 12, 3)]
    places += [("test", 64741 + number, 1, 1) for number in range(12)]
    for number, (split, patient, visit, view) in enumerate(places):
        study, side = f"{split}/patient{patient:05d}/study{visit}", "lateral" if view == 2 else "frontal"
        key = f"{study}/view{view}_{side}.jpg"
        save_picture(root / key, rng)
        cells = ",".join(_cell(number, place, split) for place in range(len(FINDINGS)))
        person = f"{('Male', 'Female')[patient % 2]},{20 + patient % 70},{side.title()},{'' if view == 2 else 'AP'}"
        row = f"CheXpert-v1.0-small/{key},{person},{cells}"
        lines[split].append(f"CheXpert-v1.0/{key},{cells}" if split == "test" else row)
        if split == "test":
            studies.append(f"CheXpert-v1.0/{study},{cells.replace('.0', '')}")
        if split == "train" and side == "frontal" and patient % 10 == 1:
            glocker.append(row.replace("-small", ""))
    for file, rows in {
        "train.csv": lines["train"], "valid.csv": lines["valid"], "CheXpert_test_official.csv": lines["test"],
        "groundtruth.csv": studies, "CheXpert_test_Glocker.csv": glocker,
    }.items():  # fmt: skip
        (root / file).write_text("\n".join(rows) + "\n")


def _cell(number: int, place: int, split: str) -> str:
    if split != "train":
        return "1.0" if (number // 2 + place) % 5 == 0 else "0.0"
    if place == 0:  # No Finding is 1 or empty
        return "1.0" if number % 7 == 0 else ""
    kind = (number * 5 + place * 3) % 11
    return "1.0" if kind < 3 else "0.0" if kind < 5 else "-1.0" if kind == 5 else ""
