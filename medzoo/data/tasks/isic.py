"""ISIC 2018 task 3 (HAM10000): seven kinds of pigmented skin lesions in dermoscopy, grouped by lesion.

Files: https://challenge.isic-archive.com/data/#2018. Paper: https://www.nature.com/articles/sdata2018161.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.csv_rows import read_csv
from medzoo.data.files.find import by_name, find_one, need_folder
from medzoo.data.problems import advise, complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo

CHOICES = {"group": Choice(("lesion", "image"))}
TAKES = LoadOptions(pooled=True)
CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
IMAGES = "ISIC2018_Task3_Training_Input"
TRUTH = "ISIC2018_Task3_Training_GroundTruth"
LESIONS = "ISIC2018_Task3_Training_LesionGroupings.csv"
NO_GROUPS = (
    "none: without the file of lesions nothing says which images show one lesion, and patients are not published"
)

TASKS: dict[str, TaskInfo] = {
    "isic": TaskInfo(
        name="isic",
        title="seven kinds of skin lesions in dermoscopy (ISIC 2018 task 3)",
        kind="multiclass",
        classes=CLASSES,
        metric="auroc",
        unit="image",
        groups="lesion_id of ISIC2018_Task3_Training_LesionGroupings.csv (without it none); patients are not published",
        channels=3,
        license="terms on the download page",
        url="https://challenge.isic-archive.com/data/#2018",
        citation="Tschandl et al., The HAM10000 dataset, Scientific Data (2018), https://www.nature.com/articles/sdata2018161",
        how="Download the training input, the training ground truth and the lesion groupings of task 3, and unpack.",
        layout=f"""ROOT/  (the names of the download; images may be in subfolders of the first folder)
  {IMAGES}/ISIC_0024306.jpg
  {TRUTH}/{TRUTH}.csv
  {LESIONS}""",
        split="made by lesion: 70, 10 and 20 % of the lesions of each class. The folds of Juodelyte et al. (data/isic of "
        "https://github.com/DovileDo/revisiting-transfer) were made by image and put images of one lesion into several folds, so "
        "they need `isic,group=image` with --split-file FOLDER --fold 0 to 4.",
        note="10,015 images: NV 6,705, MEL 1,113, BKL 1,099, BCC 514, AKIEC 327, VASC 142, DF 115. Several images show the same "
        "lesion, from other distances and angles. `isic,group=image` makes every image a group, as in the study.",
        published={
            "auroc": 0.942, "sd": 0.013, "model": "ResNet-50, supervised ImageNet, mean of 5 folds",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "one class against the rest, weighted by class size, on folds by image that the study replaced later",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, group: str | None = None, pooled: bool = False) -> Task:
    """The training images of task 3.

    Args:
        name: "isic".
        root: the folder with the unpacked data.
        group: "lesion" needs the file of lesions; "image" ignores it; by default "lesion" if the file exists.
        pooled: no effect: the data have no split.

    Raises:
        DataContractError: for images that are not in the table, rows without an image or without exactly one class, and images
            without a lesion.
    """
    # The table and the image files must name the same images.
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    table = find_one(root, (f"{TRUTH}/{TRUTH}.csv", f"{TRUTH}.csv"), name)
    _, cells = read_csv(table, ("image", *CLASSES))
    folder = find_one(root, (f"{IMAGES}/{IMAGES}", IMAGES), name)
    prefix = folder.relative_to(root).as_posix()
    files = {file.rpartition(".")[0]: f"{prefix}/{path}" for file, path in by_name(folder, (".jpg",), name).items()}
    names = [row["image"] for row in cells]
    missing, unlisted = [key for key in names if key not in files], sorted(set(files) - set(names))
    complain_of(
        missing, f"Task {name}: {len(missing)} images of {table.name} are not in {folder}", code="images-missing"
    )
    complain_of(
        unlisted, f"Task {name}: {len(unlisted)} images in {folder} are not in {table.name}", code="images-not-in-table"
    )
    cells = [row for row in cells if row["image"] in files]
    ids = [row["image"] for row in cells]
    rows = {"id": ids, "image": [files[key] for key in ids], "label": _labels(cells, str(table)), "patient_id": ids}
    tables = [table.relative_to(root).as_posix()]
    # Lesions are the groups if their file is there; otherwise there are none.
    if group == "lesion" or (group is None and (root / LESIONS).is_file()):
        tables.append(find_one(root, (LESIONS,), name).name)
        rows["patient_id"] = _lesions(root / LESIONS, ids)
    elif group is None:
        info = replace(info, groups=NO_GROUPS)
        advise(
            f"Task {name}: {root} has no {LESIONS}, so images of one lesion may be in two splits. Download the lesion groupings "
            f"from {info.url}, or choose splits by image with {name},group=image."
        )
    else:
        info = replace(info, groups="none: every image for itself, as asked for (group=image)")
    full_name = f"{name},group=image" if group == "image" else name
    return make_task(info, rows, None, root, tables, pooled=pooled, name=full_name)


def _labels(cells: list[dict[str, str]], where: str) -> list[int]:
    """The class of each row, found by the name of its column."""
    labels, bad = [], []
    for row in cells:
        marks = {name: row[name] for name in CLASSES}
        yes = [name for name, mark in marks.items() if mark in ("1", "1.0")]
        if len(yes) != 1 or any(mark not in ("0", "0.0", "1", "1.0") for mark in marks.values()):
            bad.append(f"{row['image']}: {marks}")
        labels.append(CLASSES.index(yes[0]) if len(yes) == 1 else 0)
    complain_of(bad, f"{where}: {len(bad)} rows do not have exactly one class", code="class-not-exactly-one")
    return labels


def _lesions(path: Path, ids: list[str]) -> list[str]:
    _, cells = read_csv(path, ("image", "lesion_id"))
    lesion: dict[str, str] = {}
    other = [row["image"] for row in cells if lesion.setdefault(row["image"], row["lesion_id"]) != row["lesion_id"]]
    complain_of(other, f"{path}: {len(other)} rows give an image a second lesion", code="group-ambiguous")
    absent = [key for key in ids if not lesion.get(key)]
    complain_of(absent, f"{path}: {len(absent)} images have no lesion", code="group-missing")
    return [lesion.get(key) or key for key in ids]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: JPEG images, the table of classes, and the lesions, some with two images.

    Args:
        root: folder.
        n: lesions of each class; at least 8.
        seed: for the noise.
        name: "isic".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for folder in (IMAGES, TRUTH):
        (root / folder).mkdir(parents=True, exist_ok=True)
    truth, lesions = ["image," + ",".join(CLASSES)], ["image,lesion_id,diagnosis_confirm_type"]
    number = 24306
    for lesion in range(7 * max(n // 2, 8)):
        label = lesion % 7
        for _ in range(2 if lesion % 5 == 0 else 1):
            key = f"ISIC_{number:07d}"
            number += 1
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(root / IMAGES / f"{key}.jpg")
            truth.append(f"{key}," + ",".join("1.0" if place == label else "0.0" for place in range(7)))
            lesions.append(f"{key},HAM_{lesion:07d},histopathology")
    (root / TRUTH / f"{TRUTH}.csv").write_text("\n".join(truth) + "\n")
    (root / LESIONS).write_text("\n".join(lesions) + "\n")
