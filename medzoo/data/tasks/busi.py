"""BUSI, breast ultrasound: lesions to outline (busi_seg) and to tell apart (breast).

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
from medzoo.data.problems import complain
from medzoo.data.readers.masks import MaskReader, check_sizes, need_partners
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, UsageError, listed

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
or all of these files in one folder, as the studies have them""",
}  # fmt: skip
_NOTE = (
    "437 benign, 210 malignant, 133 normal, all of different sizes. Many images are near copies of each other or have "
    "calipers and text in them, and without patient ids a split by image parts them; `benign (433)` and `malignant (145)` are "
    "one picture."
)

TASKS: dict[str, TaskInfo] = {
    "busi_seg": TaskInfo(
        name="busi_seg", title="lesions in breast ultrasound (BUSI)", kind="segmentation", classes=("lesion",), metric="dice",
        split="made: 70, 10 and 20 %. The study of Hosseinzadeh Taher et al. publishes no lists; lists with one name.png a line "
        "work through --split-file FOLDER.",
        note=_NOTE + " A mask is the union of the image's lesions; normal images are in, with empty masks.",
        published={
            "dice": 0.74, "model": "U-Net with ResNet-50, supervised ImageNet",
            "source": "Hosseinzadeh Taher et al., Medical Image Analysis 102 (2025) 103487, Benchmark2.png of its repository",
            "note": "read off a figure; whether normal images were in is not stated",
        },
        **_COMMON,
    ),
    "breast": TaskInfo(
        name="breast", title="benign or malignant in breast ultrasound (BUSI)", kind="binary", classes=CLASSES[:2], metric="auroc",
        split="made: 70, 10 and 20 % of the images of each class. The folds of Juodelyte et al. (data/breast of "
        "https://github.com/DovileDo/revisiting-transfer): --split-file FOLDER --fold 0 to 4.",
        note=_NOTE + " Normal images count as benign, as in the study; `breast,classes=3` keeps them apart.",
        published={
            "auroc": 0.905, "sd": 0.038, "model": "ResNet-50, supervised ImageNet, mean of 5 folds",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "computed on folds that the study replaced later",
        },
        **_COMMON,
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, classes: str | None = None, pooled: bool = False) -> Task:
    """BUSI with its masks or with its classes; mask images are never taken for images.

    Args:
        name: "busi_seg" or "breast".
        root: the unpacked data.
        classes: of "breast", "2" (normal counts as benign) or "3".
        pooled: the data have no split to leave out.

    Raises:
        DataContractError: for files of other names, images in the folder of another class, missing masks, and masks of
            another size.
    """
    info = TASKS[name]
    if classes is not None and name != "breast":
        raise UsageError(
            f"Task {name} has no classes to choose; leave classes={classes} out, or take breast,classes={classes}."
        )
    root = need_folder(root, name, info.how)
    images, masks = _found(root, name)
    ids = sorted(images)
    if name == "busi_seg":
        need_partners(images, sorted(masks), name, "image (there is only a mask)", root)
        ids = need_partners(masks, ids, name, "mask", root)
    rows: dict[str, Any] = {"id": [f"{key}.png" for key in ids], "image": [images[key] for key in ids]}
    rows["patient_id"] = rows["id"]
    if name == "busi_seg":
        rows["mask"] = ["|".join(sorted(masks[key])) for key in ids]
        check_sizes(root, rows["image"], rows["mask"], name)
    else:
        kept = CLASSES if classes == "3" else CLASSES[:2]
        words = [key.partition(" ")[0].lower() for key in ids]
        rows["label"] = [kept.index(word) if word in kept else 0 for word in words]
        info = replace(info, classes=kept, kind="multiclass" if classes == "3" else "binary")
    full = f"{name},classes=3" if classes == "3" else name
    return make_task(info, rows, None, root, (), reader=MaskReader(root), pooled=pooled, name=full)


def _found(root: Path, task: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Name of an image, as "benign (1)" → its path, and → the paths of its masks."""
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    odd, twice, astray = [], [], []
    for path in files_below(root, (".png",)):
        match = _NAME.fullmatch(path.rpartition("/")[2])
        if match is None:
            odd.append(path)
            continue
        folder = path.split("/")[-2].lower() if "/" in path else ""
        if folder in CLASSES and folder != match[2].lower():
            astray.append(path)
        if match[3]:
            masks.setdefault(match[1], []).append(path)
        elif images.setdefault(match[1], path) != path:
            twice.append(f"{images[match[1]]} and {path}")
    for key, paths in masks.items():
        if len({path.rpartition("/")[2] for path in paths}) < len(paths):
            twice.append(f"masks of {key}")
    for bad, what in (
        (odd, "files are not named as benign (1).png or benign (1)_mask.png"),
        (twice, "files occur in two folders"),
        (astray, "files lie in the folder of another class"),
    ):
        if bad:
            complain(DataContractError(f"Task {task}: {len(bad)} {what} below {root}: {listed(bad)}."))
    if not images:
        raise DataContractError(
            f"Task {task}: {root} holds no images named as benign (1).png.{place_hint(root, ())} "
            f"`medzoo tasks info {task}` shows the layout."
        )
    return images, masks


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: PNG images of the three classes with masks, two for some, in the original folders.

    Args:
        root: folder.
        n: images of each class.
        seed: of the noise, and of the width, so that other seeds give files of other sizes.
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
