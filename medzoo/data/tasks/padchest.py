"""PadChest of Alicante: the five findings of CheXpert's competition in frontal chest radiographs, out of 174 in its reports.

Home: https://bimcv.cipf.es/bimcv-projects/padchest/. Paper: https://arxiv.org/abs/1901.07441. The columns were read from
https://github.com/felixkrones/BenchmarkTransferLearning_f (dataset/PADCHEST_chest_x_ray_images_labels_160K_01.02.19_filtered.csv),
whose dataloader.py and pipeline_eval.ipynb show the study's filters and how it joins the labels of atelectasis. Truncated
original files are listed in https://github.com/mlmed/torchxrayvision (torchxrayvision/datasets.py).
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices, select_rows
from medzoo.data.files.csv_columns import read_columns
from medzoo.data.files.find import by_name, find_one, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.synthetic.files import save_picture
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES = {"part": Choice(("all", "0"), default="all"), "labels": Choice(("all", "physician"), default="all")}
TAKES = LoadOptions()
_STEM = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19"
TABLES = (f"{_STEM}.csv.gz", f"{_STEM}.csv", f"{_STEM}_filtered.csv")
CLASSES = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
# Folder 0 has no image with edema (counted in the study's filtered table).
CLASSES_OF_0 = tuple(name for name in CLASSES if name != "Edema")
EXACT = {
    "Cardiomegaly": {"cardiomegaly"}, "Consolidation": {"consolidation"}, "Edema": {"edema", "pulmonary edema"},
    "Pleural Effusion": {"pleural effusion"},
}  # fmt: skip
REVIEWED = "Manual review of DICOM fields"  # how the projection was found; MethodLabel is for the labels
COLUMNS = ("ImageID", "ImageDir", "PatientID", "Projection", "MethodProjection", "Labels")
PEOPLE = ("StudyDate_DICOM", "PatientBirth", "PatientSex_DICOM", "MethodLabel")

TASKS: dict[str, TaskInfo] = {
    "padchest": TaskInfo(
        name="padchest", title="5 findings in frontal chest radiographs (PadChest), splits by patient", kind="multilabel",
        classes=CLASSES, metric="auroc", unit="image", groups="PatientID", channels=1, labels_stay=True,
        license="PADCHEST Dataset Research Use Agreement (research use; other use by agreement with BIMCV)",
        url="https://bimcv.cipf.es/bimcv-projects/padchest/",
        citation="Bustos et al., PadChest, Medical Image Analysis 66 (2020) 101797, https://arxiv.org/abs/1901.07441",
        how="Accept the agreement at https://bimcv.cipf.es/bimcv-projects/padchest/, download the table and the archives 0.zip "
        "and so on, and unpack each into a folder named by its number.",
        layout="""ROOT/
  PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz   (or .csv, or the study's ..._filtered.csv)
  0/20536686640136348236148679891455886468_k6ga29.png        (16-bit grey; any folders, each name once)
  1/...""",
        split="made by patient: 70, 10 and 20 %. The study (Krones et al.) trains on other data and only evaluates here, on all "
        "images of folder 0. For other shares give a list with --split-file.",
        note="medzoo keeps rows with labels whose projection is PA or AP and was found by manual review of DICOM fields, as in the "
        "study. part=0 keeps folder 0: 1,860 images of 1,754 patients in the study's table (1,933 counts its lines; reports "
        "contain line breaks). No image there has edema, so this part has four classes, and the study's mean of five is a mean "
        "of four. Atelectasis is any label with that word; the other four are exact, and pulmonary edema counts as edema. "
        "labels=physician keeps rows that a physician labelled; a network labelled the others. Images are 16-bit PNGs that use "
        "the full range (the study divides by 65535). Some original files are truncated: `medzoo tasks check` finds them. "
        "PatientIDs in the study's table are rounded to six digits.",
        published={
            "auroc": 0.8718, "sd": 0.0135, "model": "ResNet-50, supervised ImageNet, trained on ChestX-ray14; folder 0",
            "source": "https://github.com/felixkrones/BenchmarkTransferLearning_f (Krones et al.), Outputs/Evaluation",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, part: str = "all", labels: str = "all") -> Task:
    """PadChest's frontal images with five findings (four in folder 0); splits are made by patient.

    Args:
        name: "padchest".
        root: the folder that holds the table and the unpacked archives.
        part: "all", or "0" for the folder that the study evaluates on.
        labels: "all", or "physician" for rows that a physician labelled.

    Raises:
        DataContractError: for missing files, and labels that are not a list of words.
    """
    # Rows of the table that the task uses.
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    table = find_one(root, TABLES, name)
    columns = read_columns(table, COLUMNS, PEOPLE)
    count = len(columns["ImageID"])
    made = columns.get("MethodLabel", ["Physician"] * count)
    selected = [
        view in ("PA", "AP")
        and how == REVIEWED
        and cell not in ("", "nan")
        and (part == "all" or folder in ("0", "0.0"))
        and (labels == "all" or by == "Physician")
        for view, how, cell, folder, by in zip(
            columns["Projection"],
            columns["MethodProjection"],
            columns["Labels"],
            columns["ImageDir"],
            made,
            strict=True,
        )
    ]
    rows = select_rows({**columns, "made": made}, selected)
    if not rows["ImageID"]:
        raise DataContractError(
            f"{table}: none of the {count} rows is a labelled PA or AP image whose projection was found by {REVIEWED.lower()!r}.",
            code="table-has-no-usable-rows",
        )
    # Rows whose image exists.
    files = by_name(root, (".png",), name)
    absent = [image for image in rows["ImageID"] if image not in files]
    if absent:
        complain_of(
            absent,
            f"Task {name}: {len(absent)} of {len(rows['ImageID'])} images are not below {root}",
            code="images-missing",
        )
        rows = select_rows(rows, [image in files for image in rows["ImageID"]])
    # Labels and subgroups.
    classes = CLASSES_OF_0 if part == "0" else CLASSES
    empty = [""] * len(rows["ImageID"])
    task_columns: dict[str, Any] = {
        "id": rows["ImageID"],
        "image": [files[image] for image in rows["ImageID"]],
        "label": _labels(rows["Labels"], rows["ImageID"], classes, table),
        "patient_id": rows["PatientID"],
        "sex": [sex if sex in ("M", "F") else None for sex in rows.get("PatientSex_DICOM", empty)],
        "age": _ages(rows.get("StudyDate_DICOM", empty), rows.get("PatientBirth", empty)),
        "view": rows["Projection"],
        "labelled_by": ["physician" if by == "Physician" else "network" for by in rows["made"]],
    }
    full_name = name_with_choices(name, {"part": part, "labels": labels}, CHOICES)
    if part == "all" and not task_columns["label"][:, CLASSES.index("Edema")].any():
        raise DataContractError(
            f"Task {name}: no image has edema. Folder 0 has none: to use only this folder, give {name},part=0.",
            code="class-without-images",
        )
    return make_task(info, task_columns, None, root, [table.name], name=full_name, classes=classes)


def _labels(cells: Sequence[str], ids: Sequence[str], classes: Sequence[str], where: object) -> np.ndarray:
    labels = np.zeros((len(cells), len(classes)), np.float32)
    bad = []
    for row, cell in enumerate(cells):
        words = _words(cell)
        if words is None:
            bad.append(f"{ids[row]}: {cell[:80]!r}")
            continue
        labels[row] = [
            any("atelectasis" in word for word in words) if name == "Atelectasis" else bool(EXACT[name] & words)
            for name in classes
        ]
    complain_of(bad, f"{where}: {len(bad)} cells of the column Labels are not a list of words", code="label-invalid")
    return labels


@lru_cache(4096)
def _words(cell: str) -> frozenset[str] | None:
    """The words of a Python list given as text; None for any other text. The text is not executed.

    >>> sorted(_words("['normal', ' pleural effusion', '']"))
    ['normal', 'pleural effusion']
    """
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return None
    return frozenset(word.strip().lower() for word in value if word.strip())


def _ages(dates: Sequence[str], births: Sequence[str]) -> list[float | None]:
    """Age in years: the year of the study minus the year of birth; None if either is missing."""
    ages: list[float | None] = []
    for date, birth in zip(dates, births, strict=True):
        year, born = date[:4], birth.removesuffix(".0")
        age = int(year) - int(born) if year.isdecimal() and born.isdecimal() else -1
        ages.append(float(age) if 0 <= age <= 120 else None)
    return ages


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: 16-bit PNG files of noise in two folders, and the table with all its columns.

    Args:
        root: folder.
        n: images; at least 60, so that each finding occurs in training.
        seed: for the noise and the ids.
        name: ignored; there is one task.
    """
    import csv

    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    words = (
        ["normal"],
        ["laminar atelectasis", "cardiomegaly"],
        ["pulmonary edema", "pleural effusion"],
        ["consolidation"],
        ["cardiomegaly", "COPD signs"],
        ["pulmonary edema", "", " pleural effusion"],
        ["atelectasis", "consolidation"],
    )
    with (root / TABLES[1]).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for number in range(max(n, 60) + 4):
            image = f"{int.from_bytes(rng.bytes(16)) + number}_{number:06d}.png"
            folder, patient = str(number // 2 % 2), 839860488694292331637988235681460987 + number // 3
            # Some rows must be left out: lateral views, projections found by a tool, and rows without labels.
            view = ("PA", "AP", "PA", "PA", "AP", "L")[number % 6] if number % 11 == 0 else ("PA", "AP")[number % 2]
            how = REVIEWED if number % 13 else "Tool"
            cell = "" if number % 17 == 9 else repr(words[number % 7])
            row = dict.fromkeys(HEADER, "None") | {
                "": number, "ImageID": image, "ImageDir": folder, "StudyDate_DICOM": 20140915, "StudyID": number, "Labels": cell,
                "PatientID": patient, "PatientBirth": f"{1930 + number}.0", "PatientSex_DICOM": "FM"[number % 2],
                "Projection": view, "MethodProjection": how, "Pediatric": "No", "Report": "sin hallazg .\n cambi",
                "MethodLabel": ("Physician", "RNN_model")[number % 5 == 4], "BitsStored_DICOM": 12,
            }  # fmt: skip
            writer.writerow([row[column] for column in HEADER])
            save_picture(root / folder / image, rng, "I;16")


HEADER = (
    "", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM",
    "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Modality_DICOM", "Manufacturer_DICOM",
    "PhotometricInterpretation_DICOM", "PixelRepresentation_DICOM", "PixelAspectRatio_DICOM", "SpatialResolution_DICOM",
    "BitsStored_DICOM", "WindowCenter_DICOM", "WindowWidth_DICOM", "Rows_DICOM", "Columns_DICOM", "XRayTubeCurrent_DICOM",
    "Exposure_DICOM", "ExposureInuAs_DICOM", "ExposureTime", "RelativeXRayExposure_DICOM", "ReportID", "Report",
    "MethodLabel", "Labels", "Localizations", "LabelsLocalizationsBySentence", "labelCUIS", "LocalizationsCUIS",
)  # fmt: skip
