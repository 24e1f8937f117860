"""Montgomery County chest radiographs with outlines of the lungs.

Home: https://lhncbc.nlm.nih.gov/LHC-publications/pubs/TuberculosisChestXrayImageDataSets.html.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.find import files_below, find_one, need_folder
from medzoo.data.readers.masks import MASKS, MaskReader, by_stem, check_sizes, need_partners, read_pairs
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
LUNGS = ("leftMask", "rightMask")

TASKS: dict[str, TaskInfo] = {
    "montgomery": TaskInfo(
        name="montgomery",
        title="lungs in frontal chest radiographs (Montgomery County)",
        kind="segmentation",
        classes=("lung",),
        metric="dice",
        unit="image",
        groups="none: one radiograph a case number, and no patient ids are published",
        channels=1,
        license="not stated; the download page makes the set available to the research community",
        url="https://lhncbc.nlm.nih.gov/LHC-publications/pubs/TuberculosisChestXrayImageDataSets.html",
        citation="Jaeger et al., Two public chest X-ray datasets for computer-aided screening of pulmonary diseases, "
        "Quantitative Imaging in Medicine and Surgery, http://www.amepc.org/qims/article/view/5132",
        how="Download the Montgomery County set from the page of the National Library of Medicine, and unpack.",
        layout="""ROOT/  (or ROOT/MontgomerySet/)
  CXR_png/MCUCXR_0001_0.png
  ManualMask/leftMask/MCUCXR_0001_0.png
  ManualMask/rightMask/MCUCXR_0001_0.png
or, as in the study: ROOT/images/*.png and ROOT/masks/*.png with the same names, or both below train, valid and test""",
        split="made by image: 70, 10 and 20 %. The study of Hosseinzadeh Taher et al. publishes no lists. If there are folders "
        "train, valid and test as in the study, they are the splits; lists of file names work with --split-file FOLDER.",
        note="138 radiographs, 80 normal and 58 with signs of tuberculosis (the last digit of the name). A mask shows both lungs.",
        published={
            "dice": 0.9819, "sd": 0.0013, "model": "U-Net with ResNet-50, supervised ImageNet",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021), domain-adaptation figure",
            "note": "the study does not say over what its Dice is a mean",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The Montgomery set, in the library's or in the study's layout.

    Args:
        name: "montgomery".
        root: the folder with the unpacked data.
        pooled: ignore the split by folders.

    Raises:
        DataContractError: for radiographs without lungs, lungs without a radiograph, and masks of another size.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    pairs = read_pairs(root, (".png",), name)
    if pairs is None:
        pairs = _original(root, name), None
    columns, splits = pairs
    check_sizes(root, columns["image"], columns["mask"], name)
    rows = {**columns, "patient_id": columns["id"]}
    return make_task(info, rows, splits, root, (), reader=MaskReader(root), pooled=pooled)


def _original(root: Path, task: str) -> dict[str, list[str]]:
    folder = find_one(root, ("CXR_png", "MontgomerySet/CXR_png", "images"), task)
    manual = folder.parent / "ManualMask"
    images = by_stem(files_below(folder, (".png",), root), task)
    sides = [by_stem(files_below(manual / side, MASKS, root), task) for side in LUNGS]
    names = list(images)
    for side, masks in zip(LUNGS, sides, strict=True):
        need_partners(images, list(masks), task, f"radiograph (there is only a {side})", folder)
        names = need_partners(masks, names, task, side, manual)
    return {
        "id": names,
        "image": [images[stem] for stem in names],
        "mask": ["|".join(masks[stem] for masks in sides) for stem in names],
    }


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: radiographs and the masks of both lungs as PNG, in the library's layout.

    Args:
        root: folder.
        n: radiographs.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "montgomery".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    height, width = 40, 48 + seed
    for folder in ("CXR_png", *(f"ManualMask/{side}" for side in LUNGS)):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(max(n, 10)):
        file = f"MCUCXR_{number + 1:04d}_{number % 2}.png"
        Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)).save(root / "CXR_png" / file)
        for side, start in zip(LUNGS, (28, 6), strict=True):
            lung = np.zeros((height, width), bool)
            lung[8:-8, start : start + 12] = True
            Image.fromarray(lung).save(root / "ManualMask" / side / file)
