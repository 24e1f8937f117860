"""RSNA Pneumonia Detection Challenge: normal, abnormal without opacity, and lung opacity in chest radiographs of the NIH.

Home: https://www.kaggle.com/c/rsna-pneumonia-detection-challenge. Paper: https://doi.org/10.1148/ryai.2019180041. Terms:
https://www.rsna.org/education/ai-resources-and-training/ai-image-challenge/rsna-pneumonia-detection-challenge-2018. The studies'
lists were read from https://github.com/jlianglab/BenchmarkTransformers (dataset/RSNAPneumonia_*.txt), stage_2_train_labels.csv
from https://github.com/mlmed/torchxrayvision; both agree on all 26,684 images.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices, numbered, select_rows
from medzoo.data.files.csv_columns import read_columns
from medzoo.data.files.csv_rows import read_list, read_text
from medzoo.data.files.find import find_folder, need_folder
from medzoo.data.files.image_variants import choose_variant, stems
from medzoo.data.problems import advise, complain_of
from medzoo.data.synthetic.files import save_dicom
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES = {"images": Choice(("dicom", "png"))}
TAKES = LoadOptions()
CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")  # the order of the studies' lists: 0, 1, 2
CLASS_TABLE, BOX_TABLE = "stage_2_detailed_class_info.csv", "stage_2_train_labels.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
MAPPING_URL = f"https://s3.amazonaws.com/east1.public.rsna.org/AI/2018/{MAPPING}"
LISTS = {word: f"RSNAPneumonia_{word}.txt" for word in ("train", "val", "test")}
NO_GROUPS = f"none: without {MAPPING} nothing says which images are of one patient; a patientId names one image"
FOLDERS = {"dicom": ("stage_2_train_images", (".dcm",)), "png": ("stage_2_train_images_png", (".png",))}

TASKS: dict[str, TaskInfo] = {
    "rsna_pneumonia": TaskInfo(
        name="rsna_pneumonia", title="3 classes of lung opacity in chest radiographs (RSNA 2018)", kind="multiclass",
        classes=CLASSES, metric="accuracy", unit="image", channels=1,
        groups=f"the NIH patient where {MAPPING} is there; else patientId, which names one image",
        license="academic, commercial and other use with attribution, by RSNA's terms of use for the challenge",
        url="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
        citation="Shih et al., Augmenting the NIH chest radiograph dataset with expert annotations of possible pneumonia, "
        "Radiology: Artificial Intelligence 2019, https://doi.org/10.1148/ryai.2019180041",
        how="Join the challenge at https://www.kaggle.com/c/rsna-pneumonia-detection-challenge, and download and unpack its data.",
        layout="""ROOT/   (or the folder that holds rsna-pneumonia-detection-challenge)
  stage_2_detailed_class_info.csv     (patientId,class; or, instead, the studies' three lists)
  stage_2_train_labels.csv            (patientId,x,y,width,height,Target; may be missing)
  stage_2_train_images/0004cfab-14fd-4e49-80ba-63a80b6bddd6.dcm   (or the studies' copies: stage_2_train_images_png/*.png)
  pneumonia-challenge-dataset-mappings_2018.json   (may be missing; the NIH patient of each image)""",
        split="made by NIH patient, or by image without the mapping file: 70, 10 and 20 % (the challenge's test labels are not "
        "published). For the studies' lists (21,295, 2,680 and 2,709 images): --split-file FOLDER with "
        "RSNAPneumonia_{train,val,test}.txt.",
        note="26,684 images: 8,851 normal, 11,821 not normal, 6,012 with opacity; the tables have one row per box, so some images "
        "have several rows. All images are part of ChestX-ray14: a model pre-trained on it has seen them. A patientId names one "
        "image, and an NIH patient may have several. With RSNA's mapping file in ROOT, splits are made by NIH patient, and lists "
        "that put one patient into two splits are an error; without the file, splits may share patients and medzoo cannot "
        "detect it.",
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, images: str | None = None) -> Task:
    """The challenge's training images; only these have labels.

    Args:
        name: "rsna_pneumonia".
        root: the folder with the unpacked data, or the folder that holds it.
        images: "dicom" or "png" copies; by default the only kind found.

    Raises:
        DataContractError: for missing files, unknown classes, and images with two classes.
    """
    # The image files: DICOM, or PNG copies.
    info = TASKS[name]
    outer = ("rsna-pneumonia-detection-challenge",)
    base = find_folder(need_folder(root, name, info.how), (CLASS_TABLE, LISTS["train"]), outer, name)
    folder, endings = FOLDERS[
        choose_variant(base, {form: folder for form, (folder, _) in FOLDERS.items()}, name, images)
    ]
    files = stems(base, folder, endings)
    # Labels of the images that exist.
    labels, tables = _labels(base, name)
    absent = [key for key in labels if key not in files]
    complain_of(
        absent,
        f"Task {name}: {len(absent)} of {len(labels)} images are not in {base / folder}",
        code="images-missing",
    )
    ids = [key for key in labels if key in files]
    patients = _patients(base, ids, name)
    if patients is None:
        info = replace(info, groups=NO_GROUPS)
        advise(
            f"Task {name}: {base} has no {MAPPING}, so images of one patient may be in two splits. Put the file there to make "
            f"splits by patient: {MAPPING_URL}"
        )
    columns: dict[str, Any] = {
        "id": ids,
        "image": [files[key] for key in ids],
        "label": [labels[key] for key in ids],
        "patient_id": patients or ids,
    }
    if not all(columns["patient_id"]):
        columns = select_rows(columns, [bool(patient) for patient in columns["patient_id"]])
    full_name = name_with_choices(name, {"images": images}, CHOICES)
    return make_task(info, columns, None, base, [*tables, *([MAPPING] if patients else [])], name=full_name)


def _labels(base: Path, task: str) -> tuple[dict[str, int], list[str]]:
    """Image id → class, and the tables that the classes come from."""
    if not (base / CLASS_TABLE).exists():
        return _from_lists(base, task), list(LISTS.values())
    table = read_columns(base / CLASS_TABLE, ("patientId", "class"))
    ids = table["patientId"]
    classes = numbered(table["class"], CLASSES, ids, base / CLASS_TABLE)
    labels: dict[str, int] = {}
    conflicts = [key for key, label in zip(ids, classes, strict=True) if labels.setdefault(key, label) != label]
    complain_of(
        conflicts, f"{base / CLASS_TABLE}: {len(conflicts)} rows give an image a second class", code="label-conflict"
    )
    # The table of boxes is optional; an image with a box must have the class Lung Opacity.
    if not (base / BOX_TABLE).exists():
        return labels, [CLASS_TABLE]
    boxes = read_columns(base / BOX_TABLE, ("patientId", "Target"))
    odd = sorted(
        {
            key
            for key, target in zip(boxes["patientId"], boxes["Target"], strict=True)
            if labels.get(key, -1) != 2 and target == "1"
        }
    )
    complain_of(
        odd,
        f"{base / BOX_TABLE}: {len(odd)} images have a box but are not {CLASSES[2]!r} in {CLASS_TABLE}",
        code="box-class-conflict",
    )
    return labels, [CLASS_TABLE, BOX_TABLE]


def _from_lists(base: Path, task: str) -> dict[str, int]:
    """Image id → class from the studies' lists; a line is `uuid.png 0`."""
    labels: dict[str, int] = {}
    bad, conflicts = [], []
    for file in LISTS.values():
        if not (base / file).exists():
            raise DataContractError(
                f"Task {task}: {base} has neither {CLASS_TABLE} nor all of the studies' lists ({file} is missing).",
                code="tables-missing",
            )
        for line in read_list(base / file):
            if len(line) != 2 or line[1] not in ("0", "1", "2"):
                bad.append(f"{file}: {' '.join(line)}")
                continue
            key = line[0].rpartition("/")[2].removesuffix(".png")
            if labels.setdefault(key, int(line[1])) != int(line[1]):
                conflicts.append(f"{file}: {key}")
    complain_of(bad, f"Task {task}: {len(bad)} lines are not a name and a class from 0 to 2", code="list-line-invalid")
    complain_of(conflicts, f"Task {task}: {len(conflicts)} lines give an image a second class", code="label-conflict")
    return labels


def _patients(base: Path, ids: list[str], task: str) -> list[str] | None:
    """The NIH patient of each image, an empty text if unknown; None without the mapping file."""
    path = base / MAPPING
    if not path.exists():
        return None
    try:
        known = {str(row["subset_img_id"]): str(row["img_id"]).partition("_")[0] for row in json.loads(read_text(path))}
    except (ValueError, TypeError, KeyError) as error:
        raise DataContractError(
            f"{path} is not a JSON list of objects with subset_img_id and img_id ({error!r}).",
            code="mapping-file-unreadable",
        ) from error
    unmapped = [key for key in ids if not known.get(key)]
    complain_of(unmapped, f"Task {task}: {len(unmapped)} images are not in {path.name}", code="patient-missing")
    return [known.get(key, "") for key in ids]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: DICOM files of noise and the two tables, opacities with two boxes each.

    Args:
        root: folder.
        n: images; at least 30.
        seed: for the noise and the ids.
        name: ignored; there is one task.
    """
    import uuid

    rng = np.random.default_rng(seed)
    classes, boxes = ["patientId,class"], ["patientId,x,y,width,height,Target"]
    for number in range(max(n, 30)):
        key, label = str(uuid.UUID(bytes=rng.bytes(16))), number % 3
        save_dicom(
            root / FOLDERS["dicom"][0] / f"{key}.dcm",
            rng,
            modality="CR",
            bits=8,
            PatientSex="FM"[number % 2],
            PatientAge="058Y",
        )
        for _ in range(2 if label == 2 else 1):
            classes.append(f"{key},{CLASSES[label]}")
            boxes.append(f"{key},{'3.0,4.0,9.0,12.0,1' if label == 2 else ',,,,0'}")
    (root / CLASS_TABLE).write_text("\n".join(classes) + "\n")
    (root / BOX_TABLE).write_text("\n".join(boxes) + "\n")
