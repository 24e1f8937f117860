"""VinDr-CXR: six global labels of chest radiographs; three radiologists labelled each training image.

Home: https://physionet.org/content/vindr-cxr/1.0.0/. Paper: https://arxiv.org/abs/2012.15029,
https://doi.org/10.1038/s41597-022-01498-w. The tables and the studies' lists were read from https://github.com/jlianglab/Ark
(Ark_Plus/dataset/VinDrCXR).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices, select_rows
from medzoo.data.files.csv_columns import read_columns
from medzoo.data.files.csv_rows import read_list
from medzoo.data.files.find import find_folder, need_folder
from medzoo.data.files.image_variants import choose_variant, stems
from medzoo.data.problems import complain_of
from medzoo.data.synthetic.files import save_dicom
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, UsageError, listed

CHOICES = {"votes": Choice(("any", "majority"), default="any"), "images": Choice(("dicom", "jpeg", "png"))}
TAKES = LoadOptions(pooled=True)
CLASSES = ("Pleural effusion", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding")
# All label columns of the tables, local findings first.
LABELS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding",
)  # fmt: skip
OTHER = ("Other diseases", "Other disease")  # the name of one column in the training table and in the test table
OUTER = ("1.0.0", "vindr-cxr/1.0.0", "physionet.org/files/vindr-cxr/1.0.0")
TABLES = {split: f"annotations/image_labels_{split}.csv" for split in ("train", "test")}
LISTS = {split: f"VinDrCXR_{split}_pe_global_one.txt" for split in ("train", "test")}
# Suffix of the folder, and endings of the files: the published DICOM files, and the studies' copies.
FORMS = {"dicom": ("", (".dicom", ".dcm")), "jpeg": ("_jpeg", (".jpeg", ".jpg")), "png": ("_png", (".png",))}

TASKS: dict[str, TaskInfo] = {
    "vindr_cxr": TaskInfo(
        name="vindr_cxr", title="6 global labels of chest radiographs (VinDr-CXR), official test set", kind="multilabel",
        classes=CLASSES, metric="auroc", unit="image", channels=1, labels_stay=True,
        groups="none: the published tables name images only, each with an id of its own",
        license="PhysioNet Credentialed Health Data License 1.5.0 (training and a signed agreement)",
        url="https://physionet.org/content/vindr-cxr/1.0.0/",
        citation="Nguyen et al., VinDr-CXR, Scientific Data 2022, https://doi.org/10.1038/s41597-022-01498-w",
        how="Become a credentialed PhysioNet user, sign the agreement at https://physionet.org/content/vindr-cxr/1.0.0/, and "
        "download annotations, train and test.",
        layout="""ROOT/   (the folder 1.0.0, or the one above physionet.org/files/vindr-cxr/1.0.0)
  annotations/image_labels_train.csv       (one row per radiologist and image)
  annotations/image_labels_test.csv
  train/000434271f63a053c4128a0ba6352c7f.dicom     (or the studies' copies: train_jpeg/*.jpeg or *.jpg, train_png/*.png)
  test/e0dc2e79105ad93532484e956ef8a71a.dicom
or, instead of annotations, the studies' lists: VinDrCXR_train_pe_global_one.txt, VinDrCXR_test_pe_global_one.txt""",
        split="official: test is the test split; 10 % of train becomes validation. (The studies used the test list as validation "
        "too.) For the studies' lists: --split-file FOLDER with the two lists; their names contain train and test.",
        note="15,000 training and 3,000 test images. Training images have rows of three radiologists. With votes=any, the default, "
        "a label is present if at least one of them marked it; this gives exactly the labels of the studies' lists. With "
        "votes=majority it is present if more than half marked it (other labels in 1,345 images, 17 without any label). Test "
        "labels are a consensus of five. PE in the studies' file names is pleural effusion, not pulmonary embolism; it replaces "
        "COPD, which the tables have next to the other five. If there are several copies of the images, images=dicom, jpeg or "
        "png chooses one.",
    ),
}  # fmt: skip


def load(
    name: str, root: Path | None = None, *, votes: str = "any", images: str | None = None, pooled: bool = False
) -> Task:
    """VinDr-CXR with its global labels.

    Args:
        name: "vindr_cxr".
        root: the folder of the version, or the folder that PhysioNet's wget command fills.
        votes: how to join the radiologists' labels of a training image: "any" (as in the studies) or "majority".
        images: "dicom", "jpeg" or "png" copies; by default the only kind found.
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing files, labels other than 0 and 1, and radiologists with two rows for an image.
        UsageError: for votes=majority without the tables.
    """
    # Labels come from the tables, or from the studies' lists.
    info = TASKS[name]
    base = find_folder(need_folder(root, name, info.how), (TABLES["train"], LISTS["train"]), OUTER, name)
    tabled = (base / TABLES["train"]).exists()
    if not tabled and votes == "majority":
        raise UsageError(
            f"Task {name}: votes=majority needs {TABLES['train']}; the studies' lists have only the labels of votes=any.",
            code="choice-needs-table",
        )
    files = TABLES if tabled else LISTS
    absent = [file for file in files.values() if not (base / file).exists()]
    if absent:
        raise DataContractError(
            f"Task {name}: {listed(absent)} not found in {base}. The tables of both splits are needed.",
            code="tables-missing",
        )
    # Rows of both splits, with their image files.
    suffix, endings = FORMS[
        choose_variant(base, {form: f"train{suffix}" for form, (suffix, _) in FORMS.items()}, name, images)
    ]
    columns: dict[str, Any] = {"id": [], "image": [], "split": []}
    labels: list[np.ndarray] = []
    for split, file in files.items():
        ids, marks = _voted(base / file, votes) if tabled else _listed(base / file)
        paths = stems(base, f"{split}{suffix}", endings)
        columns["id"] += ids
        columns["image"] += [paths.get(key, "") for key in ids]
        columns["split"] += [split] * len(ids)
        labels.append(marks)
    columns["label"] = np.concatenate(labels)
    # Rows whose image exists.
    missing = [key for key, image in zip(columns["id"], columns["image"], strict=True) if not image]
    if missing:
        share = f"{len(missing)} of {len(columns['id'])} images"
        complain_of(
            missing,
            f"Task {name}: {share} are not in train{suffix} and test{suffix} below {base}",
            code="images-missing",
        )
        columns = select_rows(columns, [bool(image) for image in columns["image"]])
    columns["patient_id"] = columns["id"]
    splits = columns.pop("split")
    full_name = name_with_choices(name, {"votes": votes, "images": images}, CHOICES)
    return make_task(info, columns, splits, base, list(files.values()), pooled=pooled, name=full_name)


def _voted(path: Path, votes: str) -> tuple[list[str], np.ndarray]:
    """Image ids in the order of the table, and their labels from the radiologists' votes."""
    table = _read_labels(path)
    images, raters = table["image_id"], table.get("rad_id", [""] * len(table["image_id"]))
    bad = [
        f"{image}: {name} = {cell!r}"
        for name in CLASSES
        if not set(table[name]) <= {"0", "1"}
        for image, cell in zip(images, table[name], strict=True)
        if cell not in ("0", "1")
    ]
    complain_of(bad, f"{path}: {len(bad)} labels are not 0 or 1", code="label-invalid")
    twice = [
        f"{image} {rater}" for (image, rater), count in Counter(zip(images, raters, strict=True)).items() if count > 1
    ]
    complain_of(
        twice, f"{path}: {len(twice)} pairs of image and radiologist have more than one row", code="rater-duplicated"
    )
    # The share of radiologists who marked each label.
    rows = defaultdict(list)
    for row, image in enumerate(images):
        rows[image].append(row)
    marks = np.array([[cell == "1" for cell in table[name]] for name in CLASSES], np.float32).T
    share = np.array([marks[chosen].mean(axis=0) for chosen in rows.values()])
    return list(rows), (share > (0.5 if votes == "majority" else 0)).astype(np.float32)


def _read_labels(path: Path) -> dict[str, list[str]]:
    """The columns of a table, with the names of the training table."""
    certain = [name for name in CLASSES if name not in OTHER]
    table = read_columns(path, ("image_id", *certain), ("rad_id", *OTHER))
    if not (given := [name for name in OTHER if name in table]):
        raise DataContractError(
            f"{path} has neither of the columns {listed(OTHER)}. Get the file again, or correct its header.",
            code="columns-missing",
        )
    return {**table, OTHER[0]: table[given[0]]}


def _listed(path: Path) -> tuple[list[str], np.ndarray]:
    """Image ids and labels from a list of the studies; a line is `train_jpeg/ID 0 0 0 0 0 1`."""
    ids, labels, bad = [], [], []
    for line in read_list(path):
        if len(line) != 1 + len(CLASSES) or not set(line[1:]) <= {"0", "1"}:
            bad.append(" ".join(line))
            continue
        ids.append(line[0].rpartition("/")[2])
        labels.append([float(cell) for cell in line[1:]])
    complain_of(
        bad, f"{path}: {len(bad)} lines are not a name and {len(CLASSES)} labels of 0 or 1", code="list-line-invalid"
    )
    return ids, np.array(labels, np.float32).reshape(-1, len(CLASSES))


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny version folder: DICOM files of noise, every second one MONOCHROME1, and the two tables.

    Args:
        root: folder.
        n: training images; at least 40, so that each label occurs in training.
        seed: for the noise and the ids.
        name: ignored; there is one task.
    """
    rng = np.random.default_rng(seed)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for split, count in (("train", max(n, 40)), ("test", 12)):
        rated = split == "train"
        lines = [",".join(("image_id", *(["rad_id"] if rated else []), *LABELS))]
        for number in range(count):
            image = rng.bytes(16).hex()
            save_dicom(
                root / split / f"{image}.dicom",
                rng,
                modality="DX",
                photometric=("MONOCHROME2", "MONOCHROME1")[number % 2],
            )
            sick = number % 6
            for rater in range(3 if rated else 1):
                marks = [int(label == CLASSES[sick] and (sick == 5 or rater != number % 3)) for label in LABELS]
                lines.append(",".join([image, *([f"R{8 + rater}"] if rated else []), *map(str, marks)]))
        (root / TABLES[split]).write_text("\n".join(lines) + "\n")
