"""DRIVE: blood vessels in 40 colour photographs of the retina, with the official halves for training and testing.

Home and terms: https://drive.grand-challenge.org. Paper: https://doi.org/10.1109/TMI.2004.825627.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.find import files_below, find_one, need_folder
from medzoo.data.readers.masks import MASKS, MaskReader, check_sizes, need_partners
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
HALVES = {"training": "train", "test": "test"}
# Folders in the official archive, and in PNG copies.
PLACES = {"images": ("images",), "vessels": ("1st_manual", "manual1"), "field": ("mask", "fov")}
_NUMBER = re.compile(r"\d+")

TASKS: dict[str, TaskInfo] = {
    "drive": TaskInfo(
        name="drive",
        title="vessels in colour photographs of the retina (DRIVE), official halves",
        kind="segmentation",
        classes=("vessel",),
        metric="dice",
        unit="image",
        groups="none: the 40 photographs were drawn from 400 people of a screening, and no patient ids are published",
        channels=3,
        license="for research and education; no redistribution, no commercial use (read with the data)",
        url="https://drive.grand-challenge.org/",
        citation="Staal et al., Ridge-based vessel segmentation in color images of the retina, IEEE TMI 23 (2004), "
        "https://doi.org/10.1109/TMI.2004.825627",
        how="Register at https://drive.grand-challenge.org, download, and unpack.",
        layout="""ROOT/  (or ROOT/DRIVE/)
  training/images/21_training.tif        (565 x 584 pixels)
  training/1st_manual/21_manual1.gif
  training/mask/21_training_mask.gif     (the field of view)
  test/images/01_test.tif
  test/1st_manual/01_manual1.gif
  test/mask/01_test_mask.gif
or a copy in PNG: {training,testing}/{images,manual1,fov}/NN.png""",
        split="official: 20 photographs for training (21 to 40), of which 10 % become validation, and 20 for testing (01 to 20). "
        "The study of Hosseinzadeh Taher et al. publishes no lists.",
        note="Masks are the vessels of the first observer. Dice is over the whole image; the column `fov` has the path of the "
        "field of view, for scores inside it. Some downloads have no 1st_manual for the test half. The study resized to 512.",
        published={
            "dice": 0.7920, "model": "U-Net with ResNet-50, supervised ImageNet",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021)",
            "note": "read from a figure, to about 0.0005; the study does not say over what its Dice is a mean",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """DRIVE with its official split into halves.

    Args:
        name: "drive".
        root: the folder with the unpacked data.
        pooled: ignore the official split.

    Raises:
        DataContractError: for photographs without vessels or field of view, and masks of another size.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    base = find_one(root, ("training", "DRIVE/training"), name).parent
    columns: dict[str, list[str]] = {"id": [], "image": [], "mask": [], "fov": []}
    splits: list[str] = []
    for half, split in HALVES.items():
        place = find_one(base, ("test", "testing") if half == "test" else (half,), name)
        files = {what: _numbered(root, place, folders, name) for what, folders in PLACES.items()}
        # Some downloads have no vessels for the test half: these can only be used with folds of the training half.
        if half == "test" and not files["vessels"]:
            if pooled:
                continue
            raise DataContractError(
                f"Task {name}: {place} has no vessels (1st_manual), so there is no test set. Get a copy that has them, or "
                "split the training half into folds with --fold 0 to 4.",
                code="masks-missing",
            )
        # Every photograph needs its vessels and its field of view.
        ending = f"_{half}.tif" if (place / "1st_manual").is_dir() else ".png"
        need_partners(files["images"], sorted(files["vessels"]), name, "photograph", place / "images", ending)
        numbers = need_partners(files["vessels"], sorted(files["images"]), name, "vessels (1st_manual)", place)
        for number in need_partners(files["field"], numbers, name, "field of view (mask)", place):
            columns["id"].append(number)
            columns["image"].append(files["images"][number])
            columns["mask"].append(files["vessels"][number])
            columns["fov"].append(files["field"][number])
            splits.append(split)
    for masks in (columns["mask"], columns["fov"]):
        check_sizes(root, columns["image"], masks, name)
    rows = {**columns, "patient_id": columns["id"]}
    return make_task(info, rows, splits, root, columns["fov"], reader=MaskReader(root), pooled=pooled)


def _numbered(root: Path, half: Path, folders: tuple[str, ...], task: str) -> dict[str, str]:
    """Number of the photograph → path, from the first folder that exists."""
    folder = next((half / name for name in folders if (half / name).is_dir()), None)
    paths: dict[str, str] = {}
    for path in files_below(folder, MASKS, root) if folder else ():
        number = _NUMBER.match(path.rpartition("/")[2])
        if number is None or number[0] in paths:
            raise DataContractError(
                f"Task {task}: the name of {root / path} must begin with the number of its photograph, like 21_training.tif, and "
                "each number may be in a folder only once.",
                code="file-name-invalid",
            )
        paths[number[0]] = path
    return paths


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: TIFF photographs and GIF masks under the official names.

    Args:
        root: folder.
        n: photographs of each half; above 20 the numbers of the training half begin after those of the test half, not at 21.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "drive".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    height, width = 40, 32 + seed
    for half, short, first in (("training", "training", max(21, n + 1)), ("test", "test", 1)):
        for folder in ("images", "1st_manual", "mask"):
            (root / half / folder).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + n):
            field = np.zeros((height, width), np.uint8)
            field[4:-4, 4:-4] = 255
            vessels = np.zeros_like(field)
            vessels[8:-8, 6 + number % 12] = 255
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(image).save(root / half / "images" / f"{number:02d}_{short}.tif")
            Image.fromarray(vessels).save(root / half / "1st_manual" / f"{number:02d}_manual1.gif")
            Image.fromarray(field).save(root / half / "mask" / f"{number:02d}_{short}_mask.gif")
