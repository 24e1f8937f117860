"""RSNA-STR Pulmonary Embolism Detection: emboli on slices of CT angiographies, with the labels of their studies as columns.

Home: https://www.kaggle.com/c/rsna-str-pulmonary-embolism-detection. Paper: https://doi.org/10.1148/ryai.2021200254. Terms and
numbers: https://github.com/RSNA/AI-Challenge-Data/wiki/RSNA%E2%80%90STR-Pulmonary-Embolism-Detection. Columns, paths and the
default window (level 100, width 700 HU): https://github.com/GuanshuoXu/RSNA-STR-Pulmonary-Embolism-Detection
(trainval/process_input/process_input_split2.py, trainall/seresnext50/train0.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, select_rows
from medzoo.data.files.csv_columns import read_columns
from medzoo.data.files.find import files_below, find_folder, need_files, need_folder
from medzoo.data.images.ct_windows import WindowChoice, limits_of, parse_window
from medzoo.data.images.read import Pixels
from medzoo.data.problems import complain_of
from medzoo.data.readers.image_file import FileReader
from medzoo.data.synthetic.files import save_dicom
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import ImageError

WINDOW = (-250.0, 450.0)
CHOICES = {"window": Choice(parse_window, default=WINDOW)}
TAKES = LoadOptions()
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
IMAGE_LABEL = "pe_present_on_image"
STUDY_LABELS = (
    "negative_exam_for_pe", "qa_motion", "qa_contrast", "flow_artifact", "rv_lv_ratio_gte_1", "rv_lv_ratio_lt_1",
    "leftsided_pe", "chronic_pe", "true_filling_defect_not_pe", "rightsided_pe", "acute_and_chronic_pe", "central_pe",
    "indeterminate",
)  # fmt: skip

TASKS: dict[str, TaskInfo] = {
    "rsna_pe": TaskInfo(
        name="rsna_pe", title="pulmonary embolism on slices of CT angiographies (RSNA-STR 2020), splits by study", kind="binary",
        classes=("no embolism", "embolism"), metric="auroc", unit="image", channels=1, window=WINDOW,
        groups="StudyInstanceUID; the table names no patients",
        license="non-commercial use (RSPECT dataset, copyright RSNA 2020), with citation",
        url="https://www.kaggle.com/c/rsna-str-pulmonary-embolism-detection",
        citation="Colak et al., The RSNA Pulmonary Embolism CT Dataset, Radiology: Artificial Intelligence 3:2 (2021), "
        "https://doi.org/10.1148/ryai.2021200254",
        how="Join https://www.kaggle.com/c/rsna-str-pulmonary-embolism-detection, download its data and unpack it.",
        layout="""ROOT/   (or the folder that holds rsna-str-pulmonary-embolism-detection)
  train.csv                               (StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, 14 labels)
  train/STUDY/SERIES/IMAGE.dcm""",
        split="made by study: 70, 10 and 20 %. No study publishes its lists; the challenge's test labels are not published.",
        note="7,279 studies in train.csv. The label is pe_present_on_image; the thirteen labels of the study, among them "
        "negative_exam_for_pe and indeterminate, are columns of the table. Slices are read in HU and clipped to the window "
        "-250 to 450 HU (level 100, width 700). window=mediastinum (or another window name) or window=LOW:HIGH changes "
        "it. The study does not state its window.",
        published={
            "auroc": 0.947, "model": "ResNet-50, supervised ImageNet; read from a figure",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021), figure of ImageNet and iNat2021",
        },
    ),
}  # fmt: skip


class HounsfieldReader(FileReader):
    """Slices in HU. Without this check `read_image` would apply the window to stored values if a file does not state its HU."""

    ID = "medzoo.data.tasks.rsna_pe.HounsfieldReader"  # part of the keys of decoded images; never change it

    def read(self, key: str) -> Pixels:
        """The slice under a key.

        Raises:
            ImageError: if it is not in HU.
        """
        pixels = super().read(key)
        if pixels.unit != "HU":
            raise ImageError(
                f"{self.root / key} is not in HU ({'; '.join(pixels.notes)}), but the window is.",
                code="image-not-in-hu",
            )
        return pixels


def load(name: str, root: Path | None = None, *, window: WindowChoice = WINDOW) -> Task:
    """The slices of the challenge's training studies; only these have labels.

    Args:
        name: "rsna_pe".
        root: the folder with the unpacked data, or the folder that holds it.
        window: (low, high) in HU, or the name of a CT window.

    Raises:
        DataContractError: for rows without a file, files without a row, labels other than 0 and 1, and studies whose labels
            differ between slices.
    """
    # The table: image label, study and series of each slice.
    info = TASKS[name]
    outer = ("rsna-str-pulmonary-embolism-detection",)
    base = find_folder(need_folder(root, name, info.how), ("train.csv",), outer, name)
    table = read_columns(base / "train.csv", (*UIDS, IMAGE_LABEL), STUDY_LABELS)
    studies, series, images = (table[uid] for uid in UIDS)
    columns: dict[str, Any] = {
        "id": images,
        "image": [
            f"train/{study}/{one}/{image}.dcm" for study, one, image in zip(studies, series, images, strict=True)
        ],
        "label": _flags(table, IMAGE_LABEL, images, base / "train.csv"),
        "patient_id": studies,
        "series_id": series,
    }
    # The labels of the study become columns; they must be equal on all slices of a study.
    number = {study: code for code, study in enumerate(dict.fromkeys(studies))}
    codes = np.array([number[study] for study in studies])
    for label in STUDY_LABELS:
        if label in table:
            columns[label] = _flags(table, label, images, base / "train.csv")
            _check_study_labels(number, codes, columns[label], label, base / "train.csv")
    # Rows without a file, and files without a row: the name of a file is its SOPInstanceUID.
    absent = need_files(base, columns["image"], name)
    unlisted = sorted(set(files_below(base / "train", (".dcm",), base)).difference(columns["image"]))
    complain_of(
        unlisted, f"Task {name}: {len(unlisted)} slices in {base} are not in train.csv", code="images-not-in-table"
    )
    if absent:
        columns = select_rows(columns, [key not in absent for key in columns["image"]])
    limits = limits_of(window)
    given = window if isinstance(window, str) else "{:g}:{:g}".format(*limits)
    full_name = name if limits == WINDOW else f"{name},window={given}"
    reader = HounsfieldReader(base, limits)
    return make_task(replace(info, window=limits), columns, None, base, ["train.csv"], reader=reader, name=full_name)


def _flags(table: dict[str, list[str]], column: str, ids: list[str], where: Path) -> np.ndarray:
    """A column of 0 and 1 as int8 (N,)."""
    cells = table[column]
    if not set(cells) <= {"0", "1"}:
        bad = [f"{key}: {column} = {cell!r}" for key, cell in zip(ids, cells, strict=True) if cell not in ("0", "1")]
        complain_of(bad, f"{where}: {len(bad)} labels are not 0 or 1", code="label-invalid")
    return (np.array(cells) == "1").astype(np.int8)


def _check_study_labels(
    studies: dict[str, int], codes: np.ndarray, values: np.ndarray, label: str, where: Path
) -> None:
    """Report studies whose slices have different values of a label of the study."""
    share = np.bincount(codes, weights=values) / np.bincount(codes)
    mixed = [study for study, code in studies.items() if 0 < share[code] < 1]
    complain_of(mixed, f"{where}: {len(mixed)} studies have {label} = 0 and {label} = 1", code="label-conflict")


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: CT slices of noise in DICOM files and the table.

    Args:
        root: folder.
        n: slices; at least 60, three per study.
        seed: for the noise and the UIDs.
        name: ignored; there is one task.
    """
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    lines, uids, sick = [",".join((*UIDS, IMAGE_LABEL, *STUDY_LABELS))], ("", "", ""), False
    for number in range(max(n, 60)):
        if number % 3 == 0:
            uids, sick = (rng.bytes(6).hex(), rng.bytes(6).hex(), ""), number // 3 % 2 == 1
        present = sick and number % 3 != 2
        uids = (*uids[:2], rng.bytes(6).hex())
        path = root / "train" / uids[0] / uids[1] / f"{uids[2]}.dcm"
        study, series, image = (f"1.2.826.{int(uid, 16)}" for uid in uids)
        save_dicom(path, rng, modality="CT", bits=16, uids=(study, series, image))
        marks = [int(label == ("central_pe" if sick else "negative_exam_for_pe")) for label in STUDY_LABELS]
        lines.append(",".join((*uids, str(int(present)), *map(str, marks))))
    (root / "train.csv").write_text("\n".join(lines) + "\n")
