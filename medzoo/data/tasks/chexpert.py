"""CheXpert of Stanford: fourteen findings in chest radiographs, some uncertain; five are scored.

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
from medzoo.data.synthetic.files import save_picture
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
TEST_TABLES = {  # one row per image (Ark) or per study (the authors); glocker lists images of train.csv
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
        layout="""ROOT/   (CheXpert-v1.0 or CheXpert-v1.0-small, or the folder that holds one of them)
  train.csv                   (Path from the folder above: CheXpert-v1.0/train/patient00001/...)
  valid.csv
  train/patient00001/study1/view1_frontal.jpg
  valid/patient64541/study1/view1_frontal.jpg
  CheXpert_test_official.csv or groundtruth.csv, and test/patient64741/study1/view1_frontal.jpg   (for test=official)
  CheXpert_test_Glocker.csv                                                                       (for test=glocker)""",
        split="official: valid.csv (200 patients, read by radiologists) is the test split, as in the studies; 10 % of the patients "
        "of train.csv become validation. test=official: the 500 official test studies are the test split and valid.csv is "
        "validation. test=glocker: the frontal training images in CheXpert_test_Glocker.csv (12,866 patients) are the test "
        "split, all other images of these patients are left out, and valid.csv is validation. For the studies' lists: "
        "--split-file FOLDER with CheXpert_train_official.csv, and CheXpert_valid_official.csv with `test` in its new name.",
        note=BLANK_NOTE + " Hosseinzadeh Taher et al. used soft labels for uncertain findings (soft:0.55:0.85), Krones et al. "
        "used zero. view=frontal or view=lateral keeps one kind of image (Krones et al. test on frontal ones). train.csv has "
        "223,414 images of 64,540 patients, 12 rows without any label (rows of zeros), and three ages of 0, which are read as "
        "unknown. The official test tables have no sex, age or view. In valid.csv Fracture has no positives.",
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
        blank: the meaning of an empty cell: "zero" (absent, as in the studies) or "mask" (not annotated).
        label_policy: what to do with uncertain labels (-1): "mask", "zero", "one", "soft" or "soft:LOW:HIGH".
        pooled: ignore the splits.

    Raises:
        DataContractError: for missing files, unknown labels or paths, and images that are listed twice.
    """
    # Rows of train.csv and valid.csv.
    info = TASKS[name]
    base = find_folder(need_folder(root, name, info.how), ("train.csv",), OUTER, name)
    tables = ["train.csv", find_one(base, ("valid.csv",), name).name]
    parts = [_images(base / table, base, name, blank) for table in tables]
    words = [["train"] * len(parts[0]["id"]), ["test" if test == "valid" else "validation"] * len(parts[1]["id"])]
    # Another test set: the official test studies, or images of train.csv.
    if test != "valid":
        table = find_one(base, TEST_TABLES[test], name)
        tables.append(table.name)
        tested = _images(table, base, name, blank)
        if test == "official":
            parts.append(tested)
            words.append(["test"] * len(tested["id"]))
        else:
            words[0] = _hold_out(parts[0], tested["id"], table, name)
    # Rows of the chosen view whose file exists.
    columns = concatenate_rows(parts)
    splits = [word for part in words for word in part]
    selected = [
        word != EXCLUDED and (view == "all" or f"_{view}." in key)
        for word, key in zip(splits, columns["id"], strict=True)
    ]
    columns = select_rows(columns, selected)
    splits = [word for word, yes in zip(splits, selected, strict=True) if yes]
    if "test" not in splits:
        raise DataContractError(
            f"Task {name}: {tables[-1]} has no {view} image, so the test split would be empty. Choose another view or test set.",
            code="test-split-empty",
        )
    absent = need_files(base, columns["image"], name)
    if absent:
        exists = [key not in absent for key in columns["image"]]
        columns, splits = select_rows(columns, exists), [word for word, yes in zip(splits, exists, strict=True) if yes]
    full_name = name_with_choices(name, {"view": view, "test": test, "blank": blank}, CHOICES)
    policy = parse_policy(label_policy)
    return make_task(info, columns, splits, base, tables, policy=policy, pooled=pooled, name=full_name)


def _images(table: Path, base: Path, task: str, blank: str) -> dict[str, Any]:
    """The rows of a table, one per image; a row of a study becomes one row for each of its images."""
    columns = read_columns(table, FINDINGS, ("Path", "Study", *PEOPLE))
    if ("Path" in columns) == ("Study" in columns):
        raise DataContractError(
            f"{table} must have exactly one of the columns Path (one row per image) and Study (one row per study).",
            code="path-column-missing",
        )
    paths = columns["Path"] if "Path" in columns else columns["Study"]
    places = [_PATH.search(path) for path in paths]
    bad = [path for path, place in zip(paths, places, strict=True) if place is None]
    complain_of(
        bad,
        f"{table}: {len(bad)} paths do not look like CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg",
        code="image-path-invalid",
    )
    # Labels and subgroups of each row.
    labels = findings(columns, paths, table, blank)
    sex, age = columns.get("Sex", [""] * len(paths)), numbers(columns.get("Age", [""] * len(paths)), 1, 120)
    views = columns.get("AP/PA", [""] * len(paths))
    fields: dict[str, Any] = {key: [] for key in ("id", "patient_id", "study_id", "sex", "age", "view")}
    rows: list[int] = []
    # One row per image: a path with a file name is one image, the path of a study means all of its images.
    for row, place in enumerate(places):
        if place is None:
            continue
        for key in (place[1],) if place[4] else _images_of_study(base, place[1], table, task):
            rows.append(row)
            fields["id"].append(key)
            fields["patient_id"].append(place[2])
            fields["study_id"].append(f"{place[2]}/{place[3]}")
            fields["sex"].append(SEX.get(sex[row]))
            fields["age"].append(age[row])
            fields["view"].append(views[row] or ("lateral" if "_lateral." in key else "frontal"))
    return {**fields, "image": list(fields["id"]), "label": labels[rows]}


def _images_of_study(base: Path, study: str, table: Path, task: str) -> list[str]:
    files = [f"{study}/{file}" for file in files_below(base / study, (".jpg", ".jpeg", ".png")) if "/" not in file]
    if not files:
        complain(
            DataContractError(
                f"Task {task}: {table.name} lists the study {study}, but {base} has no image of it.",
                code="images-missing",
                offenders=[study],
            )
        )
    return files


def _hold_out(train: dict[str, Any], tested: Iterable[str], table: Path, task: str) -> list[str]:
    """The split of each training image if some are the test set: other images of their patients are excluded."""
    test_ids = set(tested)
    unknown = sorted(test_ids - set(train["id"]))
    complain_of(
        unknown, f"Task {task}: {len(unknown)} images of {table.name} are not in train.csv", code="images-not-in-table"
    )
    patients = {patient for key, patient in zip(train["id"], train["patient_id"], strict=True) if key in test_ids}
    return [
        "test" if key in test_ids else EXCLUDED if patient in patients else "train"
        for key, patient in zip(train["id"], train["patient_id"], strict=True)
    ]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny CheXpert-v1.0-small: JPEG files of noise and the five tables.

    Args:
        root: folder; it becomes CheXpert-v1.0-small.
        n: training images; at least 90, so that each finding occurs in training.
        seed: for the noise.
        name: ignored; there is one task.
    """
    # (split, patient, study, view) of every image.
    rng = np.random.default_rng(seed)
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(FINDINGS)
    lines = {"train": [header], "valid": [header], "test": ["Path," + ",".join(FINDINGS)]}
    studies, glocker = ["Study," + ",".join(FINDINGS)], [header]
    places = [("train", 1 + number // 3, 1 + number % 3 // 2, 1 + number % 3 % 2) for number in range(max(n, 90))]
    places += [("valid", 64541 + number, 1, 1) for number in range(12)]
    places += [("valid", 64541 + number, 1, 2) for number in range(0, 12, 3)]
    places += [("test", 64741 + number, 1, 1) for number in range(12)]
    # Images and lines of the tables.
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
        "train.csv": lines["train"],
        "valid.csv": lines["valid"],
        "CheXpert_test_official.csv": lines["test"],
        "groundtruth.csv": studies,
        "CheXpert_test_Glocker.csv": glocker,
    }.items():
        (root / file).write_text("\n".join(rows) + "\n")


def _cell(number: int, place: int, split: str) -> str:
    if split != "train":
        return "1.0" if (number // 2 + place) % 5 == 0 else "0.0"
    if place == 0:  # No Finding is 1 or empty
        return "1.0" if number % 7 == 0 else ""
    kind = (number * 5 + place * 3) % 11
    return "1.0" if kind < 3 else "0.0" if kind < 5 else "-1.0" if kind == 5 else ""
