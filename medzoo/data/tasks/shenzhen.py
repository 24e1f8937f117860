"""The Shenzhen Hospital set of the US National Library of Medicine: tuberculosis in chest radiographs.

Home: https://lhncbc.nlm.nih.gov/LHC-publications/pubs/TuberculosisChestXrayImageDataSets.html. Paper: Jaeger et al., Quantitative
Imaging in Medicine and Surgery 4 (2014) 475, https://doi.org/10.3978/j.issn.2223-4292.2014.11.20. The studies' lists were read from
https://github.com/MR-HosseinzadehTaher/BenchmarkTransferLearning (Version1/dataset/ShenzenCXR_*_data.txt).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.class_folders import files_in
from medzoo.data.files.csv_rows import read_text
from medzoo.data.files.find import find_folder, need_folder
from medzoo.data.problems import complain, complain_of
from medzoo.data.synthetic.files import save_picture
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions()
FOLDER, READINGS = "CXR_png", "ClinicalReadings"
_FILE = re.compile(r"CHNCXR_\d+_([01])\.png", re.IGNORECASE)
_SEX = re.compile(r"\b(fe)?male\b", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*y", re.IGNORECASE)

TASKS: dict[str, TaskInfo] = {
    "shenzhen": TaskInfo(
        name="shenzhen", title="tuberculosis in chest radiographs (Shenzhen Hospital, NLM)", kind="binary",
        classes=("normal", "tuberculosis"), metric="auroc", unit="image", channels=1,
        groups="none: no patient ids are published; each image has a number of its own",
        license="not stated on the download page",
        url="https://lhncbc.nlm.nih.gov/LHC-publications/pubs/TuberculosisChestXrayImageDataSets.html",
        citation="Jaeger et al., Two public chest X-ray datasets for computer-aided screening of pulmonary diseases, "
        "Quant Imaging Med Surg 4 (2014) 475, https://doi.org/10.3978/j.issn.2223-4292.2014.11.20",
        how="Download the Shenzhen Hospital X-ray set from the NLM's page and unpack ChinaSet_AllFiles.",
        layout="""ROOT/   (ChinaSet_AllFiles, or the folder that holds it)
  CXR_png/CHNCXR_0001_0.png            (the last digit is the label: 1 is tuberculosis)
  ClinicalReadings/CHNCXR_0001_0.txt   (may be missing; gives sex and age)""",
        split="made by image: 70, 10 and 20 %. For the studies' lists (463, 65 and 134 images): --split-file FOLDER with "
        "ShenzenCXR_{train,valid,test}_data.txt.",
        note="662 images, 326 normal and 336 with tuberculosis; images in colour are read as grey.",
        published={
            "auroc": 0.9562, "sd": 0.0063, "model": "ResNet-50, supervised ImageNet",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021), domain-adaptation figure",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None) -> Task:
    """The Shenzhen set; the file name gives the label.

    Args:
        name: "shenzhen".
        root: ChinaSet_AllFiles, or the folder that holds it.

    Raises:
        DataContractError: for missing folders, and files whose name is not CHNCXR_NUMBER_LABEL.png.
    """
    info = TASKS[name]
    base = find_folder(need_folder(root, name, info.how), (FOLDER,), ("ChinaSet_AllFiles",), name)
    # The last digit of the file name is the label.
    files = files_in(base / FOLDER, (".png",))
    matches = {file: _FILE.fullmatch(file) for file in files}
    odd = [file for file, match in matches.items() if match is None]
    complain_of(
        odd,
        f"Task {name}: {len(odd)} files in {base / FOLDER} are not named CHNCXR_NUMBER_LABEL.png",
        code="file-name-invalid",
    )
    labels = {file: int(match[1]) for file, match in matches.items() if match is not None}
    if not labels:
        raise DataContractError(
            f"Task {name}: {base / FOLDER} has no file named CHNCXR_NUMBER_LABEL.png.", code="images-not-found"
        )
    people = _people(base, list(labels))
    columns: dict[str, Any] = {
        "id": list(labels),
        "image": [f"{FOLDER}/{file}" for file in labels],
        "label": list(labels.values()),
        "patient_id": list(labels),
        "sex": [sex for sex, _ in people],
        "age": [age for _, age in people],
    }
    return make_task(info, columns, None, base, [])


def _people(base: Path, files: list[str]) -> list[tuple[str | None, float | None]]:
    """Sex and age of each image from its clinical reading, which begins like `male 45yrs`; None if not stated."""
    folder = base / READINGS
    if not folder.is_dir():
        return [(None, None)] * len(files)
    readings = set(files_in(folder, (".txt",)))
    people: list[tuple[str | None, float | None]] = []
    for file in files:
        reading = f"{file.rpartition('.')[0]}.txt"
        text = read_text(folder / reading) if reading in readings else ""
        sex, age = _SEX.search(text), _AGE.search(text)
        people.append((("F" if sex[1] else "M") if sex else None, float(age[1]) if age else None))
    if readings and all(sex is None and age is None for sex, age in people):
        complain(
            DataContractError(
                f"{folder}: none of the {len(readings)} readings has sex or age. A reading must begin like `male 45yrs`.",
                code="readings-without-sex-and-age",
            )
        )
    return people


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny ChinaSet_AllFiles: PNG files of noise, some in colour, and clinical readings.

    Args:
        root: folder; it becomes ChinaSet_AllFiles.
        n: images; at least 20.
        seed: for the noise.
        name: ignored; there is one task.
    """
    rng = np.random.default_rng(seed)
    (root / READINGS).mkdir(parents=True, exist_ok=True)
    for number in range(max(n, 20)):
        stem = f"CHNCXR_{number + 1:04d}_{int(number >= max(n, 20) // 2)}"
        save_picture(root / FOLDER / f"{stem}.png", rng, "RGB" if number % 5 == 0 else "L", 24 + seed % 2)
        reading = (
            f"{('male', 'Female')[number % 2]} {20 + number}yrs\n{'normal' if stem.endswith('0') else 'right PTB'}\n"
        )
        (root / READINGS / f"{stem}.txt").write_text(reading)
