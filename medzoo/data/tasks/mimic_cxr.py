"""MIMIC-CXR-JPG of PhysioNet: the fourteen CheXpert findings in chest radiographs, with the official split of patients.

Home: https://physionet.org/content/mimic-cxr-jpg/. Paper: https://arxiv.org/abs/1901.07042. Names of the tables and the words of
ViewPosition: https://github.com/MIT-LCP/mimic-cxr (notebooks/generate-stats-from-paper.ipynb). The studies' joined tables were
read from https://github.com/jlianglab/Ark (Ark_Plus/dataset/MIMIC).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices, select_rows
from medzoo.data.files.csv_columns import read_columns
from medzoo.data.files.find import find_folder, find_one, need_files, need_folder
from medzoo.data.label_policy import parse_policy
from medzoo.data.problems import complain_of
from medzoo.data.synthetic.files import save_picture
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.data.tasks._chexpert_labels import BLANK_NOTE, BLANKS, FINDINGS, findings

CHOICES = {"view": Choice(("all", "frontal", "lateral"), default="all"), "blank": Choice(BLANKS, default="zero")}
TAKES = LoadOptions(label_policy=True, pooled=True)
PREFIX = "mimic-cxr-2.0.0-"  # version 2.1.0 of the data keeps these names
JOINED = tuple(f"{PREFIX}{word}.csv" for word in ("train", "validate", "test"))
OUTER = tuple(
    f"{folder}mimic-cxr-jpg/{version}" for folder in ("", "physionet.org/files/") for version in ("2.0.0", "2.1.0")
)
SPLITS = {"train": "train", "validate": "validation", "test": "test"}
METADATA = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns", "StudyDate",
    "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
VIEWS = {"AP": "frontal", "PA": "frontal", "LATERAL": "lateral", "LL": "lateral"}  # as the authors count them

TASKS: dict[str, TaskInfo] = {
    "mimic_cxr": TaskInfo(
        name="mimic_cxr", title="14 findings in chest radiographs (MIMIC-CXR-JPG), official split, uncertain labels by policy",
        kind="multilabel", classes=FINDINGS, metric="auroc", unit="image", groups="subject_id", channels=1, uncertain=True,
        labels_stay=True,
        license="PhysioNet Credentialed Health Data License 1.5.0 (training and a signed agreement)",
        url="https://physionet.org/content/mimic-cxr-jpg/",
        citation="Johnson et al., MIMIC-CXR-JPG, https://arxiv.org/abs/1901.07042, data https://doi.org/10.13026/jsn5-t979",
        how="Become a credentialed PhysioNet user, sign the agreement at https://physionet.org/content/mimic-cxr-jpg/, and "
        "download the folder files and the tables.",
        layout="""ROOT/   (the folder of a version, or the one above mimic-cxr-jpg/2.x.0 or physionet.org/files/mimic-cxr-jpg/2.x.0)
  mimic-cxr-2.0.0-chexpert.csv.gz    (or .csv; labels of each study)
  mimic-cxr-2.0.0-split.csv.gz       (or .csv)
  mimic-cxr-2.0.0-metadata.csv.gz    (or .csv; for views)
  files/p10/p10XXXXXX/s5XXXXXXX/DICOM_ID.jpg
or, instead of the three tables, the studies' joined ones:
  mimic-cxr-2.0.0-train.csv, mimic-cxr-2.0.0-validate.csv, mimic-cxr-2.0.0-test.csv""",
        split="official, by patient: train, validate (validation) and test of the split table, or of the joined tables.",
        note=BLANK_NOTE + " Labels are read by column name: the columns are in alphabetical order, not in CheXpert's order. (Ark's "
        "configuration lists CheXpert's order, but its loader reads by position.) 377,110 images; images of the few studies "
        "without a row of labels are left out. view=frontal keeps AP and PA, view=lateral keeps LATERAL and LL; other and empty "
        "view positions are in neither. The tables have no sex and age. Krones et al. used frontal images with at least one "
        "label. The official test split has 5,159 images of 293 patients.",
    ),
}  # fmt: skip


def load(
    name: str,
    root: Path | None = None,
    *,
    view: str = "all",
    blank: str = "zero",
    label_policy: str | None = None,
    pooled: bool = False,
) -> Task:
    """MIMIC-CXR-JPG with its official split.

    Args:
        name: "mimic_cxr".
        root: the folder of a version, or the folder that PhysioNet's wget command fills.
        view: "all", "frontal" (AP and PA) or "lateral" images.
        blank: the meaning of an empty cell: "zero" (absent, as in the studies) or "mask" (not annotated).
        label_policy: what to do with uncertain labels (-1): "mask", "zero", "one", "soft" or "soft:LOW:HIGH".
        pooled: ignore the splits.

    Raises:
        DataContractError: for missing files, unknown labels or splits, and studies that are labelled twice.
    """
    # The authors' three tables, or the studies' joined ones.
    info = TASKS[name]
    inside = (*_either("chexpert"), JOINED[0])
    base = find_folder(need_folder(root, name, info.how), inside, OUTER, name)
    official = any((base / file).exists() for file in _either("chexpert"))
    columns, tables = _official(base, name, blank, view) if official else _joined(base, name, blank, view)
    # Rows of a known split whose file exists.
    unknown = sorted({word for word in columns["split"] if word not in SPLITS})
    complain_of(
        unknown, f"Task {name}: {len(unknown)} splits are not one of {', '.join(SPLITS)}", code="split-name-unknown"
    )
    absent = need_files(base, columns["image"], name)
    columns = select_rows(
        columns,
        [word in SPLITS and key not in absent for word, key in zip(columns["split"], columns["image"], strict=True)],
    )
    splits = [SPLITS[word] for word in columns.pop("split")]
    full_name = name_with_choices(name, {"view": view, "blank": blank}, CHOICES)
    policy = parse_policy(label_policy)
    return make_task(info, columns, splits, base, tables, policy=policy, pooled=pooled, name=full_name)


def _either(word: str) -> tuple[str, str]:
    return f"{PREFIX}{word}.csv.gz", f"{PREFIX}{word}.csv"


def _official(base: Path, task: str, blank: str, view: str) -> tuple[dict[str, Any], list[str]]:
    """One row per image from the authors' tables: the rows of the split table, with the labels of their study."""
    # Labels of each study.
    labelled, split = (find_one(base, _either(word), task) for word in ("chexpert", "split"))
    table = read_columns(labelled, ("study_id", *FINDINGS))
    studies = table["study_id"]
    place = {study: row for row, study in enumerate(studies)}
    if len(place) < len(studies):
        twice = sorted({study for row, study in enumerate(studies) if place[study] != row})
        complain_of(twice, f"{labelled}: {len(twice)} studies have more than one row", code="study-duplicated")
    labels = findings(table, studies, labelled, blank)
    # Images of the split table whose study has labels, in the chosen view.
    images = read_columns(split, ("dicom_id", "study_id", "subject_id", "split"))
    views, tables = _views(base, images["dicom_id"], task, view)
    selected = [
        study in place and (view == "all" or VIEWS.get(word) == view)
        for study, word in zip(images["study_id"], views, strict=True)
    ]
    rows = select_rows({**images, "view": views}, selected)
    return {
        "id": rows["dicom_id"],
        "image": [
            f"files/p{subject[:2]}/p{subject}/s{study}/{image}.jpg"
            for subject, study, image in zip(rows["subject_id"], rows["study_id"], rows["dicom_id"], strict=True)
        ],
        "label": labels[[place[study] for study in rows["study_id"]]],
        "patient_id": rows["subject_id"],
        "study_id": rows["study_id"],
        "view": rows["view"],
        "split": rows["split"],
    }, [labelled.name, split.name, *tables]


def _views(base: Path, ids: list[str], task: str, view: str) -> tuple[list[str], list[str]]:
    """The view position of each image and the table that it comes from; empty texts without the table."""
    if view == "all" and not any((base / file).exists() for file in _either("metadata")):
        return [""] * len(ids), []
    path = find_one(base, _either("metadata"), task)
    table = read_columns(path, ("dicom_id", "ViewPosition"))
    known = dict(zip(table["dicom_id"], table["ViewPosition"], strict=True))
    return [known.get(key, "") for key in ids], [path.name]


def _joined(base: Path, task: str, blank: str, view: str) -> tuple[dict[str, Any], list[str]]:
    """One row per image from the studies' tables, which have path, split and labels together."""
    keys = ("image_path", "dicom_id", "study_id", "subject_id", "split")
    parts, labels = [], []
    for file in JOINED:
        path = find_one(base, (file,), task)
        part = read_columns(path, (*keys, *FINDINGS))
        labels.append(findings(part, part["dicom_id"], path, blank))
        parts.append(part)
    joined = {key: [cell for part in parts for cell in part[key]] for key in keys}
    views, tables = _views(base, joined["dicom_id"], task, view)
    columns = {
        "id": joined["dicom_id"],
        "image": joined["image_path"],
        "label": np.concatenate(labels),
        "patient_id": joined["subject_id"],
        "study_id": joined["study_id"],
        "view": views,
        "split": joined["split"],
    }
    return select_rows(columns, [view == "all" or VIEWS.get(word) == view for word in views]), [*JOINED, *tables]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny version folder: JPEG files of noise and the three tables, compressed as on PhysioNet.

    Args:
        root: folder.
        n: images; at least 108, so that each finding occurs in training.
        seed: for the noise.
        name: ignored; there is one task.
    """
    import gzip

    rng = np.random.default_rng(seed)
    names = sorted(FINDINGS)
    labels = ["subject_id,study_id," + ",".join(names)]
    splits, metadata = ["dicom_id,study_id,subject_id,split"], [",".join(METADATA)]
    for number in range(max(n, 108)):
        subject, study = 10_000_032 + number // 4 * 31, 50_414_267 + number // 2
        image = "-".join(f"{value:08x}" for value in rng.integers(0, 2**32, 5))
        save_picture(root / f"files/p{str(subject)[:2]}/p{subject}/s{study}/{image}.jpg", rng)
        word = ("train", "train", "train", "validate", "train", "test")[number // 4 % 6]
        splits.append(f"{image},{study},{subject},{word}")
        view = ("PA", "LATERAL", "AP", "LL", "")[number % 5]
        metadata.append(f"{image},{subject},{study},CHEST (PA AND LAT),{view},32,32,21800506,213014.531,,,")
        if number % 2 == 0 and number != 4:  # one study has no labels
            labels.append(f"{subject},{study}," + ",".join(_cell(number // 2, finding) for finding in names))
    for word, lines in (("chexpert", labels), ("split", splits), ("metadata", metadata)):
        content = gzip.compress("\n".join((*lines, "")).encode(), mtime=0)
        (root / _either(word)[0]).write_bytes(content)


def _cell(number: int, finding: str) -> str:
    place = FINDINGS.index(finding)
    if place == 0:  # No Finding is 1 or empty
        return "1.0" if number % 7 == 0 else ""
    kind = (number * 5 + place * 3) % 11
    return "1.0" if kind < 3 else "0.0" if kind < 5 else "-1.0" if kind == 5 else ""
