"""BUSI, breast ultrasound: segmentation of lesions (busi_seg) and classification (breast).

Paper: https://doi.org/10.1016/j.dib.2019.104863. Copies and errors of the set: https://pmc.ncbi.nlm.nih.gov/articles/PMC10293973.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.find import files_below, need_folder
from medzoo.data.files.path_hints import place_hint
from medzoo.data.problems import complain_of
from medzoo.data.readers.masks import MaskReader, check_sizes, need_partners
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, UsageError

CHOICES = {"classes": Choice(("2", "3"))}
TAKES = LoadOptions(pooled=True)
CLASSES = ("benign", "malignant", "normal")
_NAME = re.compile(r"((benign|malignant|normal) \(\d+\))(_mask(?:_\d+)?)?\.png", re.IGNORECASE)

_COMMON: dict[str, Any] = {
    "unit": "image", "channels": 1, "groups": "none: 780 images of 600 women, without patient ids",
    "license": "not stated with the data, and their copies disagree; the paper is open access",
    "url": "https://www.kaggle.com/datasets/aryashah2k/breast-ultrasound-images-dataset",
    "citation": "Al-Dhabyani et al., Dataset of breast ultrasound images, Data in Brief (2020), "
    "https://doi.org/10.1016/j.dib.2019.104863",
    "how": "Download Dataset_BUSI_with_GT and unpack.",
    "layout": """ROOT/  (or ROOT/Dataset_BUSI_with_GT/)
  benign/benign (1).png
  benign/benign (1)_mask.png
  benign/benign (1)_mask_1.png     (some images: a second lesion)
  malignant/malignant (1).png ...
  normal/normal (1).png ...        (its mask is black)
or all of these files in one folder, as in the studies""",
}  # fmt: skip
_NOTE = (
    "437 benign, 210 malignant and 133 normal images of different sizes. Many images are near copies of each other, or show "
    "calipers and text. Without patient ids, a split by image can put near copies into different splits. `benign (433)` and "
    "`malignant (145)` are the same picture."
)

TASKS: dict[str, TaskInfo] = {
    "busi_seg": TaskInfo(
        name="busi_seg", title="lesions in breast ultrasound (BUSI)", kind="segmentation", classes=("lesion",), metric="dice",
        split="made: 70, 10 and 20 %. The study of Hosseinzadeh Taher et al. publishes no lists. Lists with one name.png per line "
        "work with --split-file FOLDER.",
        note=_NOTE + " A mask is the union of the image's lesions; normal images are included, with empty masks.",
        published={
            "dice": 0.74, "model": "U-Net with ResNet-50, supervised ImageNet",
            "source": "Hosseinzadeh Taher et al., Medical Image Analysis 102 (2025) 103487, Benchmark2.png of its repository",
            "note": "read from a figure; the source does not say whether normal images were included",
        },
        **_COMMON,
    ),
    "breast": TaskInfo(
        name="breast", title="benign or malignant in breast ultrasound (BUSI)", kind="binary", classes=CLASSES[:2], metric="auroc",
        split="made: 70, 10 and 20 % of the images of each class. The folds of Juodelyte et al. (data/breast of "
        "https://github.com/DovileDo/revisiting-transfer): --split-file FOLDER --fold 0 to 4.",
        note=_NOTE + " Normal images count as benign, as in the study; `breast,classes=3` makes them a third class.",
        published={
            "auroc": 0.905, "sd": 0.038, "model": "ResNet-50, supervised ImageNet, mean of 5 folds",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "computed on folds that the study replaced later",
        },
        **_COMMON,
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, classes: str | None = None, pooled: bool = False) -> Task:
    """BUSI with its masks or with its classes; mask files are never used as images.

    Args:
        name: "busi_seg" or "breast".
        root: the folder with the unpacked data.
        classes: for "breast": "2" (normal counts as benign) or "3".
        pooled: no effect: the data have no split.

    Raises:
        DataContractError: for files with other names, images in the folder of another class, missing masks, and masks of
            another size.
        UsageError: if `classes` is given for busi_seg.
    """
    info = TASKS[name]
    if classes is not None and name != "breast":
        raise UsageError(
            f"Task {name} has no choice `classes`. Remove classes={classes}, or use breast,classes={classes}.",
            code="choice-not-for-task",
        )
    root = need_folder(root, name, info.how)
    images, masks = _find_images_and_masks(root, name)
    ids = sorted(images)
    # A segmentation needs a mask for every image and an image for every mask.
    if name == "busi_seg":
        need_partners(images, sorted(masks), name, "image (there is only a mask)", root)
        ids = need_partners(masks, ids, name, "mask", root)
    rows: dict[str, Any] = {"id": [f"{key}.png" for key in ids], "image": [images[key] for key in ids]}
    rows["patient_id"] = rows["id"]
    if name == "busi_seg":
        rows["mask"] = ["|".join(sorted(masks[key])) for key in ids]
        check_sizes(root, rows["image"], rows["mask"], name)
    else:
        names = CLASSES if classes == "3" else CLASSES[:2]
        words = [key.partition(" ")[0].lower() for key in ids]
        rows["label"] = [names.index(word) if word in names else 0 for word in words]
        info = replace(info, classes=names, kind="multiclass" if classes == "3" else "binary")
    full_name = f"{name},classes=3" if classes == "3" else name
    return make_task(info, rows, None, root, (), reader=MaskReader(root), pooled=pooled, name=full_name)


def _find_images_and_masks(root: Path, task: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Name of an image, like "benign (1)" → its path, and name → the paths of its masks."""
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    odd, twice, misplaced = [], [], []
    # Sort the files into images and masks by their names.
    for path in files_below(root, (".png",)):
        match = _NAME.fullmatch(path.rpartition("/")[2])
        if match is None:
            odd.append(path)
            continue
        folder = path.split("/")[-2].lower() if "/" in path else ""
        if folder in CLASSES and folder != match[2].lower():
            misplaced.append(path)
        if match[3]:
            masks.setdefault(match[1], []).append(path)
        elif images.setdefault(match[1], path) != path:
            twice.append(f"{images[match[1]]} and {path}")
    for key, paths in masks.items():
        if len({path.rpartition("/")[2] for path in paths}) < len(paths):
            twice.append(f"masks of {key}")
    # Report everything that makes a file ambiguous.
    complain_of(
        odd,
        f"Task {task}: {len(odd)} files below {root} are not named like benign (1).png or benign (1)_mask.png",
        code="file-name-invalid",
    )
    complain_of(
        twice,
        f"Task {task}: {len(twice)} files below {root} are in two folders; keep one of each",
        code="files-duplicated",
    )
    complain_of(
        misplaced,
        f"Task {task}: {len(misplaced)} files below {root} are in the folder of another class",
        code="file-in-wrong-class-folder",
    )
    if not images:
        raise DataContractError(
            f"Task {task}: {root} has no images named like benign (1).png.{place_hint(root, ())} "
            f"`medzoo tasks info {task}` shows the layout.",
            code="images-not-found",
        )
    return images, masks


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: PNG images of the three classes with masks, two for some, in the original folders.

    Args:
        root: folder.
        n: images of each class.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: either task; they share their files.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for label in CLASSES:
        folder = root / "Dataset_BUSI_with_GT" / label
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, n + 1):
            height, width = 32 + number % 3, 40 + seed
            Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)).save(
                folder / f"{label} ({number}).png"
            )
            for part in range(2 if number % 4 == 0 and label != "normal" else 1):
                lesion = np.zeros((height, width), bool)
                if label != "normal":
                    lesion[8:16, 4 + 16 * part : 14 + 16 * part] = True
                ending = "_mask.png" if part == 0 else "_mask_1.png"
                Image.fromarray(lesion).save(folder / f"{label} ({number}){ending}")
