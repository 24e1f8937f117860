"""LiTS: liver and liver lesions in slices of abdominal CT, from NIfTI volumes or from the PNG slices of the RadNet study.

Paper: https://arxiv.org/abs/1901.04056. PNG slices: https://www.kaggle.com/datasets/andrewmvd/lits-png.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.find import by_name, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.readers.masks import MaskReader, check_sizes, need_partners, same_size, splits_by_folder
from medzoo.data.readers.nifti_slices import SliceReader, count_slices, save_volume
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, ImageError

CHOICES = {"files": Choice(("nifti", "png"))}
TAKES = LoadOptions(pooled=True)
WINDOW = (-1024.0, 3071.0)  # the range of CT; protocols choose a window inside it
_VOLUME = re.compile(r"volume-(\d+)\.nii(?:\.gz)?")
_SLICE = re.compile(r"volume-(\d+)_(\d+)\.png")

TASKS: dict[str, TaskInfo] = {
    "lits": TaskInfo(
        name="lits",
        title="liver and its lesions in slices of abdominal CT (LiTS)",
        kind="segmentation",
        classes=("liver", "lesion"),
        metric="dice",
        unit="slice",
        groups="the volume: the number behind volume-",
        channels=1,
        license="not stated here; the terms are on the challenge's page",
        url="https://arxiv.org/abs/1901.04056",
        citation="Bilic et al., The liver tumor segmentation benchmark (LiTS), Medical Image Analysis 84 (2023) 102680, "
        "https://arxiv.org/abs/1901.04056",
        how="Register for the challenge that the paper names and download the 131 training volumes; or download the PNG slices "
        "from https://www.kaggle.com/datasets/andrewmvd/lits-png.",
        layout="""ROOT/  (any folders, each name once)
  volume-3.nii, segmentation-3.nii             (also .nii.gz)
or ROOT/  (or ROOT/Clean_LiTS/, as in the RadNet study; with or without train, val and test)
  train/volumes/volume-3_45.png
  train/segmentations/segmentation-3_livermask_45.png
  train/segmentations/segmentation-3_lesionmask_45.png
  val/...  test/...""",
        split="made by volume: 70, 10 and 20 %. If there are folders train, val and test, they are the splits; a volume in two "
        "of them is an error. The RadNet study publishes no lists.",
        note="131 volumes. Slices of one volume are similar, so they stay in one split. A mask has liver 1 and lesion 2 (inside "
        "the liver); many slices have neither. NIfTI is in Hounsfield units. The author of the PNG slices scaled them to 8 bits "
        "and does not state how, so their values are not HU.",
        published={
            "dice_liver": 0.9487, "dice_lesion": 0.8551, "model": "U-Net with ResNet-50, SimCLR ImageNet, mean of 4 runs",
            "source": "https://arxiv.org/abs/2306.17555 (Jonske et al.), experiment E1",
            "note": "mean of the Dice of each batch, so it depends on the batch size; 256 x 256 pixels",
        },
    ),
}  # fmt: skip


class PairReader(MaskReader):
    """Masks under "liver.png|lesion.png": 1 for liver, 2 for lesion."""

    ID = "medzoo.data.tasks.lits.PairReader"  # part of the keys of decoded images; never change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 0, 1 for liver and 2 for lesion."""
        parts = [MaskReader.read_mask(self, part) for part in key.split("|")]
        liver, lesion = same_size(parts, key)
        return np.where(lesion > 0, np.uint8(2), liver)


class LiverReader(SliceReader):
    """Masks under "segmentation-3.nii#45" with the values 0, 1 for liver and 2 for lesion."""

    ID = "medzoo.data.tasks.lits.LiverReader"  # part of the keys of decoded images; never change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 0, 1 for liver and 2 for lesion.

        Raises:
            ImageError: for other values.
        """
        mask = self.labels(key)
        if not np.isin(mask, (0, 1, 2)).all():
            raise ImageError(
                f"{self.root / key}: the mask has the values {np.unique(mask).tolist()[:9]}; only 0, 1 and 2 are allowed.",
                code="mask-values-invalid",
            )
        return mask.astype(np.uint8)


def load(name: str, root: Path | None = None, *, files: str | None = None, pooled: bool = False) -> Task:
    """The slices of all volumes with a segmentation.

    Args:
        name: "lits".
        root: the folder with the unpacked data.
        files: "nifti" or "png"; by default NIfTI if there are such files.
        pooled: ignore the split by folders.

    Raises:
        DataContractError: for slices without both masks, masks without a slice, and volumes without a segmentation.
        SplitError: if a volume is in two of the folders train, val and test.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    volumes = {} if files == "png" else _by_number(by_name(root, (".nii", ".nii.gz"), name), _VOLUME, name)
    if volumes:
        return _nifti(info, root, volumes, name, pooled)
    slices = {} if files == "nifti" else _by_number(by_name(root, (".png",), name), _SLICE, name)
    if not slices:
        raise DataContractError(
            f"Task {name}: {root} has no files named like volume-3.nii or volume-3_45.png. `medzoo tasks info {name}` shows the "
            "layout.",
            code="images-not-found",
        )
    return _png(info, root, slices, name, pooled)


def _by_number(files: dict[str, str], pattern: re.Pattern[str], task: str) -> dict[tuple[int, ...], str]:
    """Numbers in the file name → path, in the order of the numbers."""
    paths: dict[tuple[int, ...], str] = {}
    twice = []
    for file, path in files.items():
        match = pattern.fullmatch(file)
        if match and (first := paths.setdefault(tuple(map(int, match.groups())), path)) != path:
            twice.append(f"{first} and {path}")
    complain_of(twice, f"Task {task}: {len(twice)} files are there twice; keep one of each", code="files-duplicated")
    return dict(sorted(paths.items()))


def _png(info: TaskInfo, root: Path, slices: dict[tuple[int, ...], str], task: str, pooled: bool) -> Task:
    names = {f"{volume}_{number}": path for (volume, number), path in slices.items()}
    parts = []
    for what in ("livermask", "lesionmask"):
        masks = _by_number(by_name(root, (".png",), task), re.compile(rf"segmentation-(\d+)_{what}_(\d+)\.png"), task)
        by_slice = {f"{volume}_{number}": path for (volume, number), path in masks.items()}
        need_partners(names, list(by_slice), task, f"slice volume-V_S.png (there is only a {what})", root, ".png")
        parts.append(
            {key: by_slice[key] for key in need_partners(by_slice, list(names), task, what, root) if key in by_slice}
        )
    ids = [key for key in names if all(key in part for part in parts)]
    rows: dict[str, Any] = {
        "id": [f"volume-{key}" for key in ids],
        "image": [names[key] for key in ids],
        "mask": ["|".join(part[key] for part in parts) for key in ids],
        "patient_id": [key.partition("_")[0] for key in ids],
    }
    # Slices of a volume have one size: the first slice of each volume is enough.
    first = [row for row, volume in enumerate(rows["patient_id"]) if row == 0 or volume != rows["patient_id"][row - 1]]
    check_sizes(root, [rows["image"][row] for row in first], [rows["mask"][row] for row in first], task)
    splits = splits_by_folder(rows["image"], task)
    full_name = f"{task},files=png"
    return make_task(info, rows, splits, root, (), reader=PairReader(root), pooled=pooled, name=full_name)


def _nifti(info: TaskInfo, root: Path, volumes: dict[tuple[int, ...], str], task: str, pooled: bool) -> Task:
    pattern = re.compile(r"segmentation-(\d+)\.nii(?:\.gz)?")
    segmentations = _by_number(by_name(root, (".nii", ".nii.gz"), task), pattern, task)
    masks = {f"volume-{number[0]}": path for number, path in segmentations.items()}
    names = {f"volume-{number[0]}": path for number, path in volumes.items()}
    need_partners(names, list(masks), task, "volume (there is only a segmentation)", root, ".nii")
    rows: dict[str, list[str]] = {"id": [], "image": [], "mask": [], "patient_id": []}
    for key in need_partners(masks, list(names), task, "segmentation", root):
        for number in range(count_slices(root, [names[key], masks[key]], task)):
            rows["id"].append(f"{key}_{number}")
            rows["image"].append(f"{names[key]}#{number}")
            rows["mask"].append(f"{masks[key]}#{number}")
            rows["patient_id"].append(key.rpartition("-")[2])
    splits = splits_by_folder(rows["image"], task, least=2)
    return make_task(info, rows, splits, root, (), reader=LiverReader(root, WINDOW, "HU"), pooled=pooled)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: NIfTI volumes with signed values and their segmentations.

    Args:
        root: folder.
        n: volumes; at least 6, of three or four slices.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "lits".
    """
    rng = np.random.default_rng(seed)
    for number in range(max(n // 2, 6)):
        shape = (28 + seed, 24, 3 + number % 2)
        mask = np.zeros(shape, np.uint8)
        mask[6:20, 5:18, 1:] = 1
        mask[10:14, 8:12, 2:] = 2
        folder = root / f"Training Batch {1 + number % 2}"
        save_volume(folder / f"volume-{number}.nii", rng.integers(-1024, 1500, shape).astype(np.int16))
        save_volume(folder / f"segmentation-{number}.nii", mask)
