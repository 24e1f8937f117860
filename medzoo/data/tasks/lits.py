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
from medzoo.data.readers.nifti_slices import SliceReader, slices_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, ImageError

CHOICES = {"files": Choice(("nifti", "png"))}
TAKES = LoadOptions(pooled=True)
WINDOW = (-1024.0, 3071.0)  # the scale of CT; protocols choose their own window within it
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
        how="Register for the challenge that the paper names and download the 131 training volumes; or take the PNG slices at "
        "https://www.kaggle.com/datasets/andrewmvd/lits-png.",
        layout="""ROOT/  (any folders, each name once)
  volume-3.nii, segmentation-3.nii             (also .nii.gz)
or ROOT/  (or ROOT/Clean_LiTS/, as the RadNet study has it; without train, val and test too)
  train/volumes/volume-3_45.png
  train/segmentations/segmentation-3_livermask_45.png
  train/segmentations/segmentation-3_lesionmask_45.png
  val/...  test/...""",
        split="made by volume: 70, 10 and 20 %; folders train, val and test are kept where they are there, and are refused if "
        "they part a volume. The RadNet study publishes no lists.",
        note="131 volumes. Slices of one volume are alike, so they stay together. A mask has liver 1 and lesion 2 (which is "
        "in the liver); many slices have neither. NIfTI is in Hounsfield units; the PNG slices are scaled to 8 bits by their "
        "maker, and how is not stated, so their values are no HU.",
        published={
            "dice_liver": 0.9487, "dice_lesion": 0.8551, "model": "U-Net with ResNet-50, SimCLR ImageNet, mean of 4 runs",
            "source": "https://arxiv.org/abs/2306.17555 (Jonske et al.), experiment E1",
            "note": "Dice of each batch, averaged, so that it depends on the batch size; 256 x 256 pixels",
        },
    ),
}  # fmt: skip


class PairReader(MaskReader):
    """Masks under "liver.png|lesion.png": 1 in the liver, 2 in the lesion."""

    ID = "medzoo.data.tasks.lits.PairReader"  # in the keys of decoded images; never change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 0, 1 for liver and 2 for lesion."""
        parts = [MaskReader.read_mask(self, part) for part in key.split("|")]
        liver, lesion = same_size(parts, key)
        return np.where(lesion > 0, np.uint8(2), liver)


class LiverReader(SliceReader):
    """Masks under "segmentation-3.nii#45", whose values are 0, 1 for liver and 2 for lesion."""

    ID = "medzoo.data.tasks.lits.LiverReader"  # in the keys of decoded images; never change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 0, 1 for liver and 2 for lesion.

        Raises:
            ImageError: for other values.
        """
        mask = self.labels(key)
        if not np.isin(mask, (0, 1, 2)).all():
            raise ImageError(
                f"{self.root / key}: holds the values {np.unique(mask).tolist()[:9]}; they should be 0, 1 and 2."
            )
        return mask.astype(np.uint8)


def load(name: str, root: Path | None = None, *, files: str | None = None, pooled: bool = False) -> Task:
    """The slices of all volumes with a segmentation.

    Args:
        name: "lits".
        root: the unpacked data.
        files: "nifti" or "png"; by default NIfTI where it is there.
        pooled: leave out the folders' split.

    Raises:
        DataContractError: for slices without both masks, masks without a slice, and volumes without a segmentation.
        SplitError: if the folders train, val and test part a volume.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    volumes = {} if files == "png" else _named(by_name(root, (".nii", ".nii.gz"), name), _VOLUME, name)
    if volumes:
        return _nifti(info, root, volumes, name, pooled)
    slices = {} if files == "nifti" else _named(by_name(root, (".png",), name), _SLICE, name)
    if not slices:
        raise DataContractError(
            f"Task {name}: {root} holds no volume-3.nii and no volume-3_45.png. `medzoo tasks info {name}` shows the layout."
        )
    return _png(info, root, slices, name, pooled)


def _named(files: dict[str, str], pattern: re.Pattern[str], task: str) -> dict[tuple[int, ...], str]:
    """Numbers in the file's name → path, in the order of the numbers."""
    found: dict[tuple[int, ...], str] = {}
    twice = []
    for file, path in files.items():
        match = pattern.fullmatch(file)
        if match and (first := found.setdefault(tuple(map(int, match.groups())), path)) != path:
            twice.append(f"{first} and {path}")
    complain_of(twice, f"Task {task}: {len(twice)} files are there twice")
    return dict(sorted(found.items()))


def _png(info: TaskInfo, root: Path, slices: dict[tuple[int, ...], str], task: str, pooled: bool) -> Task:
    names = {f"{volume}_{number}": path for (volume, number), path in slices.items()}
    parts = []
    for what in ("livermask", "lesionmask"):
        masks = _named(by_name(root, (".png",), task), re.compile(rf"segmentation-(\d+)_{what}_(\d+)\.png"), task)
        found = {f"{volume}_{number}": path for (volume, number), path in masks.items()}
        need_partners(names, list(found), task, f"slice volume-V_S.png (there is only a {what})", root, ".png")
        parts.append({key: found[key] for key in need_partners(found, list(names), task, what, root) if key in found})
    ids = [key for key in names if all(key in part for part in parts)]
    rows: dict[str, Any] = {
        "id": [f"volume-{key}" for key in ids],
        "image": [names[key] for key in ids],
        "mask": ["|".join(part[key] for part in parts) for key in ids],
        "patient_id": [key.partition("_")[0] for key in ids],
    }
    first = [row for row, volume in enumerate(rows["patient_id"]) if row == 0 or volume != rows["patient_id"][row - 1]]
    check_sizes(root, [rows["image"][row] for row in first], [rows["mask"][row] for row in first], task)
    splits = splits_by_folder(rows["image"], task)
    full = f"{task},files=png"
    return make_task(info, rows, splits, root, (), reader=PairReader(root), pooled=pooled, name=full)


def _nifti(info: TaskInfo, root: Path, volumes: dict[tuple[int, ...], str], task: str, pooled: bool) -> Task:
    pattern = re.compile(r"segmentation-(\d+)\.nii(?:\.gz)?")
    found = _named(by_name(root, (".nii", ".nii.gz"), task), pattern, task)
    masks = {f"volume-{number[0]}": path for number, path in found.items()}
    names = {f"volume-{number[0]}": path for number, path in volumes.items()}
    need_partners(names, list(masks), task, "volume (there is only a segmentation)", root, ".nii")
    rows: dict[str, list[str]] = {"id": [], "image": [], "mask": [], "patient_id": []}
    for key in need_partners(masks, list(names), task, "segmentation", root):
        for number in range(slices_of(root, [names[key], masks[key]], task)):
            rows["id"].append(f"{key}_{number}")
            rows["image"].append(f"{names[key]}#{number}")
            rows["mask"].append(f"{masks[key]}#{number}")
            rows["patient_id"].append(key.rpartition("-")[2])
    return make_task(info, rows, None, root, (), reader=LiverReader(root, WINDOW, "HU"), pooled=pooled)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: NIfTI volumes with signed values and their segmentations.

    Args:
        root: folder.
        n: volumes; at least 6, of three or four slices.
        seed: of the noise, and of the width, so that other seeds give files of other sizes.
        name: "lits".
    """
    from medzoo.data.readers.nifti_slices import save_volume

    rng = np.random.default_rng(seed)
    for number in range(max(n // 2, 6)):
        shape = (28 + seed, 24, 3 + number % 2)
        mask = np.zeros(shape, np.uint8)
        mask[6:20, 5:18, 1:] = 1
        mask[10:14, 8:12, 2:] = 2
        folder = root / f"Training Batch {1 + number % 2}"
        save_volume(folder / f"volume-{number}.nii", rng.integers(-1024, 1500, shape).astype(np.int16))
        save_volume(folder / f"segmentation-{number}.nii", mask)
