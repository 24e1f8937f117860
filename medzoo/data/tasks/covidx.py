"""COVIDx CXR of COVID-Net: COVID-19 in chest radiographs, with three classes (lists A) or two (lists B).

Home and lists: https://github.com/lindawangg/COVID-Net (docs/COVIDx.md, labels/). Paper: https://doi.org/10.1038/s41598-020-76550-z.
A line is `patient file class source`; older lists have no source, and some patient names contain a blank (`COVID 1`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices, select_rows
from medzoo.data.files.csv_rows import read_text
from medzoo.data.files.find import need_files, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.synthetic.files import save_picture
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.data.vocabulary import SPLIT_WORDS
from medzoo.errors import DataContractError, UsageError, listed

CLASSES = {"covidx": ("normal", "pneumonia", "COVID-19"), "covidx_binary": ("negative", "positive")}
VERSIONS = {"covidx": ("2", "3", "4", "5", "7A", "8A", "9A"), "covidx_binary": ("6", "7B", "8B", "9B")}
CHOICES = {"version": Choice(("kaggle", *sorted((*VERSIONS["covidx"], *VERSIONS["covidx_binary"]))))}
TAKES = LoadOptions(pooled=True)
VALIDATION = "val.txt"  # only in newer copies of Kaggle, next to train.txt and test.txt
_LAYOUT = """ROOT/
  train_COVIDx{version}.txt   (or train.txt and test.txt, as in the Kaggle copy)
  test_COVIDx{version}.txt
  train/SARS-10.1148rg.242035193-g04mr34g0-Fig8a-day0.jpeg
  test/MIDRC-RICORD-1C-419639-003251-46647-0.png
  val.txt, val/...            (only in newer Kaggle copies)"""
_COMMON: dict[str, Any] = {
    "unit": "image", "groups": "patient, the first field of a line", "channels": 1,
    "license": "the terms of each source, listed in https://github.com/lindawangg/COVID-Net/blob/master/docs/COVIDx.md",
    "url": "https://github.com/lindawangg/COVID-Net/blob/master/docs/COVIDx.md",
    "citation": "Wang, Lin and Wong, COVID-Net, Scientific Reports 10 (2020) 19549, https://doi.org/10.1038/s41598-020-76550-z",
    "how": "Download https://www.kaggle.com/andyczhao/covidx-cxr2 (or build the set with COVID-Net's notebooks), and take the two "
    "lists of a version from https://github.com/lindawangg/COVID-Net (folder labels).",
    "split": "official, by patient: the lists of the version. With Kaggle's val.txt next to train.txt and test.txt, that list is "
    "the validation split; else 10 % of the training patients become validation (the studies used the test list as validation). "
    "For other lists: --split-file FOLDER, for example with Ark's train_COVIDx9A_clean.txt "
    "and the test list.",
}  # fmt: skip
_NOTE = (
    "If ROOT has one pair of lists for this task, that pair decides the version. {name},version=9{letter} chooses one of several "
    "pairs; version=kaggle means train.txt and test.txt (and val.txt). Classes come from different sources, so a model may learn "
    "the source."
)

TASKS: dict[str, TaskInfo] = {
    "covidx": TaskInfo(
        name="covidx", title="normal, pneumonia and COVID-19 in chest radiographs (COVIDx, lists A)", kind="multiclass",
        classes=CLASSES["covidx"], metric="accuracy", layout=_LAYOUT.replace("{version}", "9A"),
        note=_NOTE.format(name="covidx", letter="A") + " Version 9A: 30,130 training images (8,085, 5,555, 16,490) of 16,424 "
        "patients, 400 test images (100, 100, 200) of 378. Version 1 lists files twice, so medzoo does not read it.",
        **_COMMON,
    ),
    "covidx_binary": TaskInfo(
        name="covidx_binary", title="COVID-19 negative and positive in chest radiographs (COVIDx, lists B)", kind="binary",
        classes=CLASSES["covidx_binary"], metric="accuracy", layout=_LAYOUT.replace("{version}", "9B"),
        note=_NOTE.format(name="covidx_binary", letter="B") + " Version 9B: 30,482 training images (13,992, 16,490) of 16,648 "
        "patients, 400 test images (200, 200) of 378. In versions 6 and 7B the patient ANON191 is in training and test, so "
        "they need --split-file or --fold.",
        **_COMMON,
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, version: str | None = None, pooled: bool = False) -> Task:
    """A version of COVIDx with its official lists.

    Args:
        name: "covidx" (three classes) or "covidx_binary".
        root: the folder that holds the lists and the folders train and test.
        version: the version of the lists, for example "9A", or "kaggle" for train.txt, test.txt and, if there is one, val.txt; by
            default the only one found.
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing files, and lines that are not patient, file, class and source.
        UsageError: if the version belongs to the other task.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    if version not in (None, "kaggle", *VERSIONS[name]):
        raise UsageError(
            f"Task {name}: version {version} belongs to the other COVIDx task. Versions of {name}: {', '.join(VERSIONS[name])}.",
            code="version-of-other-task",
        )
    lists = _lists(root, name, version)
    columns: dict[str, list[Any]] = {key: [] for key in ("id", "image", "label", "patient_id", "source", "split")}
    for folder, file in lists.items():
        for patient, image, label, source in _lines(root / file, CLASSES[name]):
            row = (image, f"{folder}/{image}", CLASSES[name].index(label), patient, source, SPLIT_WORDS[folder])
            for cells, cell in zip(columns.values(), row, strict=True):
                cells.append(cell)
    absent = need_files(root, columns["image"], name)
    rows: dict[str, Any] = select_rows(columns, [image not in absent for image in columns["image"]])
    full_name = name_with_choices(name, {"version": version}, CHOICES)
    return make_task(info, rows, rows.pop("split"), root, list(lists.values()), pooled=pooled, name=full_name)


def _lists(root: Path, task: str, version: str | None) -> dict[str, str]:
    """Folder of images → its list: train, test, and val where Kaggle's copy has it."""
    versions = [version] if version else [*VERSIONS[task], "kaggle"]
    pairs = {one: _pair(one) for one in versions}
    available = [one for one, pair in pairs.items() if all((root / file).is_file() for file in pair)]
    if not available:
        files = [file for pair in pairs.values() for file in pair]
        raise DataContractError(
            f"Task {task}: {root} has no complete pair of lists out of {listed(files)}. `medzoo tasks info {task}` shows the "
            "layout.",
            code="lists-missing",
        )
    if len(available) > 1:
        names = listed(f"{task},version={one}" for one in available)
        raise DataContractError(
            f"Task {task}: {root} has the lists of {len(available)} versions. Choose one: {names}.",
            code="version-ambiguous",
        )
    lists = dict(zip(("train", "test"), pairs[available[0]], strict=True))
    return {**lists, "val": VALIDATION} if available == ["kaggle"] and (root / VALIDATION).is_file() else lists


def _pair(version: str) -> tuple[str, str]:
    if version == "kaggle":
        return "train.txt", "test.txt"
    return f"train_COVIDx{version}.txt", f"test_COVIDx{version}.txt"


def _lines(path: Path, classes: tuple[str, ...]) -> list[tuple[str, str, str, str | None]]:
    """Patient, file, class and source of each line; fields are read from the end, because only the patient contains blanks."""
    rows, bad = [], []
    for line in read_text(path).splitlines():
        fields = line.split()
        source = None if not fields or fields[-1] in classes else fields.pop()
        if len(fields) < 3 or fields[-1] not in classes:
            bad += [line[:120]] if line.strip() else []
            continue
        rows.append((" ".join(fields[:-2]), fields[-2], fields[-1], source))
    complain_of(
        bad,
        f"{path}: {len(bad)} lines are not `patient file class source` with one of the classes {listed(classes)}",
        code="list-line-invalid",
    )
    if not rows:
        raise DataContractError(f"{path} lists no image with one of the classes {listed(classes)}.", code="list-empty")
    return rows


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: PNG and JPEG files of noise and the lists of the latest version.

    Args:
        root: folder.
        n: training images; at least 60.
        seed: for the noise and the names.
        name: "covidx" (the default) or "covidx_binary", whose lists are written.
    """
    rng = np.random.default_rng(seed)
    task = name or "covidx"
    for split, file, count in zip(("train", "test"), _pair(VERSIONS[task][-1]), (max(n, 60), 18), strict=True):
        lines, patient = [], ""
        for number in range(count):
            if number % 2 == 0:
                patient = f"{'COVID ' if number % 7 == 0 else 'A'}{rng.integers(10**6):06d}"
            label = CLASSES[task][number // 2 % len(CLASSES[task])]
            image = f"{patient.replace(' ', '-')}-{number}.{('png', 'jpg')[number % 2]}"
            save_picture(root / split / image, rng)
            lines.append(f"{patient} {image} {label}{'' if number % 10 == 0 else ' sirm'}")
        (root / file).write_text("\n".join(lines) + "\n")
