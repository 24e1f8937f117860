"""COVIDx CT of COVID-Net CT: normal, pneumonia and COVID-19 in axial slices of chest CT, with official lists by patient.

Home, lists and patients: https://github.com/haydengunraj/COVIDNet-CT (docs/dataset.md, splits/, metadata.csv). Paper:
https://doi.org/10.3389/fmed.2021.729287. A line is `file class xmin ymin xmax ymax`. File names begin with the patient, in a form
that depends on the source (dataset_construction/). Read in this way, the lists have as many patients as dataset.md states.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices, select_rows
from medzoo.data.files.class_folders import folders_in
from medzoo.data.files.csv_columns import numbers, read_columns
from medzoo.data.files.csv_rows import read_list
from medzoo.data.files.find import need_files, need_folder
from medzoo.data.images.read import Pixels
from medzoo.data.problems import complain_of
from medzoo.data.readers.image_file import FileReader
from medzoo.data.synthetic.files import save_picture
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, ImageError, listed

VERSIONS = ("1", "2A", "2B", "3A", "3B")
CHOICES = {"version": Choice(VERSIONS), "crop": Choice(("none", "box"), default="none")}
TAKES = LoadOptions(pooled=True)
CLASSES = ("Normal", "Pneumonia", "COVID-19")
WORDS = {"train": "train", "val": "validation", "test": "test"}
# CNCB, COVID-CT-MD, iCTCF, STOIC, LIDC-IDRI, TCIA, MosMed, COVID-19-CT-Seg (two), Radiopaedia, Stony Brook. COVID-CTset numbers
# its patients over all of its folders, so normal1_patient190 and normal5_patient190 are the same patient.
_PATIENT = re.compile(
    r"((?:NCP|CP|Normal)_\d+|COVIDCTMD-[A-Za-z]*\d+|HUST-Patient\d+|STOIC-\d+|LIDC-IDRI-\d+|volume-covid19-A-\d+|study_\d+"
    r"|coronacases_\d+|radiopaedia_\d+_\d+|radiopaedia-\d+|A\d{6})(?=[-_.])"
    r"|(?:\d+covid|(?:cd)?normal(?:cd)?\d*)_(patient\d+)_"
)

TASKS: dict[str, TaskInfo] = {
    "covidx_ct": TaskInfo(
        name="covidx_ct", title="normal, pneumonia and COVID-19 in chest CT slices (COVIDx CT), official lists",
        kind="multiclass", classes=CLASSES, metric="auroc", unit="image", groups="patient, from the file name", channels=1,
        license="the terms of each source, some non-commercial: "
        "https://github.com/haydengunraj/COVIDNet-CT/blob/master/docs/licenses_acknowledgements.md",
        url="https://github.com/haydengunraj/COVIDNet-CT/blob/master/docs/dataset.md",
        citation="Gunraj et al., COVID-Net CT-2, Frontiers in Medicine 8 (2022) 729287, https://doi.org/10.3389/fmed.2021.729287",
        how="Download https://www.kaggle.com/hgunraj/covidxct (B variants are built with the authors' notebook) and unpack it.",
        layout="""ROOT/
  train_COVIDx_CT-2A.txt   (file class xmin ymin xmax ymax)
  val_COVIDx_CT-2A.txt
  test_COVIDx_CT-2A.txt
  metadata.csv             (may be missing; sex and age of some patients)
  2A_images/NCP_96_1328_0032.png   (any one folder)""",
        split="official, by patient: the lists train, val and test of the only version found, or of the one in version=.",
        note="Version 2A has 25,486 validation and 25,658 test slices; 3A has 357,518, 33,725 and 33,781 slices of 4,249, 560 and "
        "503 patients. Classes come from different sources, so a model may learn the source. crop=box crops each slice to the box "
        "of its line, as COVID-Net CT does before it resizes. Krones et al. pre-train on these data.",
    ),
}  # fmt: skip


class BoxReader(FileReader):
    """Images under keys `path#xmin,ymin,xmax,ymax`, each cropped to its box; column xmax and row ymax are not included.

    Args:
        root: the folder.
    """

    ID = "medzoo.data.tasks.covidx_ct.BoxReader"  # part of the keys of decoded images; never change it

    def read(self, key: str) -> Pixels:
        """The image under a key, cropped to its box.

        Raises:
            ImageError: if it cannot be read, or if the box is larger than the image.
        """
        path, _, box = key.partition("#")
        pixels = super().read(path)
        left, top, right, bottom = map(int, box.split(","))
        height, width = pixels.array.shape[:2]
        if right > width or bottom > height:
            raise ImageError(
                f"{self.root / path} has {width} x {height} pixels, but its box ends at {right} x {bottom}.",
                code="box-outside-image",
            )
        note = f"cut to x {left} to {right}, y {top} to {bottom}"
        array = np.ascontiguousarray(pixels.array[top:bottom, left:right])
        return replace(pixels, array=array, notes=(*pixels.notes, note))


def load(
    name: str, root: Path | None = None, *, version: str | None = None, crop: str = "none", pooled: bool = False
) -> Task:
    """A version of COVIDx CT with its official lists.

    Args:
        name: "covidx_ct".
        root: the folder that holds the lists and one folder of images.
        version: "1", "2A", "2B", "3A" or "3B"; by default the only one whose lists are found.
        crop: "box" crops each slice to the box of its line.
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing files, malformed lines, and file names of no known source.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    version_read = _version(root, name, version)
    lists = {word: f"{word}_COVIDx_CT-{version_read}.txt" for word in WORDS}
    files, labels, boxes, splits = _rows(root, lists)
    folder = _folder(root, name, files[0], version_read)
    # The file name names the patient; the patient gives sex and age.
    matches = [_PATIENT.match(file) for file in files]
    odd = [file for file, match in zip(files, matches, strict=True) if match is None]
    complain_of(
        odd,
        f"Task {name}: {len(odd)} file names have the form of no known source, so their patients are unknown",
        code="patient-not-in-file-name",
    )
    patients = ["" if match is None else match[1] or match[2] for match in matches]
    people, tables = _people(root)
    columns: dict[str, Any] = {
        "id": files,
        "image": [f"{folder}{file}" for file in files],
        "label": labels,
        "patient_id": patients,
        "sex": [people.get(patient, (None, None))[0] for patient in patients],
        "age": [people.get(patient, (None, None))[1] for patient in patients],
        "split": splits,
    }
    # Rows with a known patient and an existing file; crop=box adds the box to the key.
    absent = need_files(root, columns["image"], name)
    complete = [bool(patient) and key not in absent for patient, key in zip(patients, columns["image"], strict=True)]
    if crop == "box":
        columns["image"] = [f"{key}#{box}" for key, box in zip(columns["image"], boxes, strict=True)]
    columns = select_rows(columns, complete)
    reader = BoxReader(root) if crop == "box" else None
    full_name = name_with_choices(name, {"version": version, "crop": crop}, CHOICES)
    tables = [*lists.values(), *tables]
    return make_task(info, columns, columns.pop("split"), root, tables, reader=reader, pooled=pooled, name=full_name)


def _version(root: Path, task: str, chosen: str | None) -> str:
    available = [one for one in VERSIONS if all((root / f"{word}_COVIDx_CT-{one}.txt").is_file() for word in WORDS)]
    if chosen is not None and chosen not in available:
        raise DataContractError(
            f"Task {task}: {root} does not have the three lists *_COVIDx_CT-{chosen}.txt.", code="lists-missing"
        )
    if not available:
        raise DataContractError(
            f"Task {task}: {root} does not have the three lists of any version, for example train_COVIDx_CT-2A.txt. "
            f"`medzoo tasks info {task}` shows the layout.",
            code="lists-missing",
        )
    if len(available) > 1 and chosen is None:
        names = listed(f"{task},version={one}" for one in available)
        raise DataContractError(
            f"Task {task}: {root} has the lists of {len(available)} versions. Choose one: {names}.",
            code="version-ambiguous",
        )
    return chosen or available[0]


def _rows(root: Path, lists: dict[str, str]) -> tuple[list[str], list[int], list[str], list[str]]:
    """File, class, box and split of every line."""
    files, labels, boxes, splits, bad = [], [], [], [], []
    for word, file in lists.items():
        for line in read_list(root / file):
            known = len(line) == 6 and all(cell.isdecimal() for cell in line[1:]) and int(line[1]) < len(CLASSES)
            if not known or int(line[2]) >= int(line[4]) or int(line[3]) >= int(line[5]):
                bad.append(f"{file}: {' '.join(line)}")
                continue
            files.append(line[0])
            labels.append(int(line[1]))
            boxes.append(",".join(line[2:]))
            splits.append(WORDS[word])
    complain_of(bad, f"{root}: {len(bad)} lines are not `file class xmin ymin xmax ymax`", code="list-line-invalid")
    if not files:
        raise DataContractError(f"{root}: the lists {listed(lists.values())} name no image.", code="list-empty")
    return files, labels, boxes, splits


def _folder(root: Path, task: str, file: str, version: str) -> str:
    """The folder of the images, with a slash: that of the version if it has the first file, or the only folder that has it."""
    usual = f"{version}_images"
    names = [usual, *(name for name in folders_in(root) if name != usual)]
    candidates = [f"{name}/" for name in names if (root / name / file).is_file()]
    if (root / file).is_file():
        candidates.append("")
    if len(candidates) > 1 and candidates[0] != f"{usual}/":
        found = listed(folder or "the folder itself" for folder in candidates)
        raise DataContractError(
            f"Task {task}: {file} is in {len(candidates)} folders of {root}: {found}. Keep one of them, or name the right one "
            f"{usual}.",
            code="image-folder-ambiguous",
        )
    if not candidates:
        searched = [name for name in names if (root / name).is_dir()]
        raise DataContractError(
            f"Task {task}: {file} is in none of the folders of {root}: {listed(searched) or 'there are none'}.",
            code="images-not-found",
        )
    return candidates[0]


def _people(root: Path) -> tuple[dict[str, tuple[str | None, float | None]], list[str]]:
    """Sex and age of each patient, and the name of the metadata table; empty without the table."""
    path = root / "metadata.csv"
    if not path.is_file():
        return {}, []
    table = read_columns(path, ("patient id", "sex", "age"))
    sexes = [sex if sex in ("M", "F") else None for sex in table["sex"]]
    ages = numbers(table["age"], 0, 120)
    return dict(zip(table["patient id"], zip(sexes, ages, strict=True), strict=True)), [path.name]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny version 2A: PNG files of noise, the three lists and the metadata.

    Args:
        root: folder.
        n: training slices; at least 60.
        seed: for the noise and the names.
        name: ignored; there is one task.
    """
    rng = np.random.default_rng(seed)
    people = ["patient id,source,country,sex,age,finding,verified finding,slice selection,view,modality"]
    scan = int(rng.integers(1000, 9000))
    for word, count in (("train", max(n, 60)), ("val", 12), ("test", 12)):
        lines = []
        for number in range(count):
            label, person = number // 2 % 3, f"{('train', 'val', 'test').index(word)}{number // 2:03d}"
            patient = f"{('Normal', 'CP', 'NCP')[label]}_{person}"
            stem = (
                f"{patient}_{scan}"
                if number % 4
                else f"{('normal1', 'normal2', '137covid')[label]}_patient{person}_SR_2"
            )
            file = f"{stem}_{number:04d}.png"
            save_picture(root / "2A_images" / file, rng)
            lines.append(f"{file} {label} 1 2 {20 + number % 12} 30")
            if number % 2:
                people.append(
                    f"{patient},CNCB,China,{'FM'[number // 2 % 2]},{30 + number},{CLASSES[label]},Yes,Expert,Axial,CT"
                )
        (root / f"{word}_COVIDx_CT-2A.txt").write_text("\n".join(lines) + "\n")
    (root / "metadata.csv").write_text("\n".join(people) + "\n")
