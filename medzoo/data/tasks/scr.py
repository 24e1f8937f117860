"""Heart and clavicles in the 247 chest radiographs of the JSRT, with the outlines of the SCR database.

Outlines and terms: https://www.isi.uu.nl/Research/Databases/SCR/. The data: https://www.isi.uu.nl/Research/Databases/SCR/data.php.
Radiographs: https://doi.org/10.2214/ajr.174.1.1740071 (Shiraishi et al. 2000); 2048 x 2048 pixels of 0.175 mm, 12 bits in
big-endian words without a header; low values are bright film.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.find import files_below, need_folder
from medzoo.data.images.pixels import Pixels
from medzoo.data.problems import complain_of
from medzoo.data.readers.masks import MaskReader, header_size, need_partners
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, ImageError

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
# Names of the folders in the archive; both clavicles may also be in one folder, as in the study.
STRUCTURES = {
    "scr_heart": (("heart",),),
    "scr_clavicle": (("left clavicle", "right clavicle"), ("clavicle",), ("clavicles",)),
}
FOLDS = {"fold1": "train", "fold2": "test"}
_NAME = re.compile(r"(JPC[LN]N\d{3})(?:\.IMG|(?:\.IMG)?\.(?:png|gif))", re.IGNORECASE)
RAW = ".img"
SIDE, GREYS = 2048, 4096  # pixels and grey levels of a raw radiograph

_COMMON: dict[str, Any] = {
    "kind": "segmentation", "metric": "dice", "unit": "image", "channels": 1,
    "groups": "none: the radiographs are numbered, and no patient ids are published",
    "license": "SCR: free for research and education; no redistribution, no commercial use. JSRT: terms on registration",
    "url": "https://www.isi.uu.nl/Research/Databases/SCR/",
    "citation": "the SCR database and the JSRT database, with the papers that https://www.isi.uu.nl/Research/Databases/SCR/ "
    "names",
    "how": "Get the radiographs (<id>.IMG, unchanged) from the Japanese Society of Radiological Technology and the outlines from "
    "the SCR page, and unpack both into one folder.",
    "layout": """ROOT/
  images/JPCLN001.IMG                         (any folder; also converted: JPCLN001.IMG.png or JPCLN001.png)
  fold1/masks/heart/JPCLN001.gif              (also below scratch/ or another folder)
  fold1/masks/left clavicle/JPCLN001.gif      (also left_clavicle)
  fold1/masks/right clavicle/JPCLN001.gif
  fold2/masks/...
or masks/{heart,clavicle}/JPCLN001.gif without folds""",
    "split": "official if fold1 and fold2 exist (the odd and the even numbers, 124 and 123): fold1 is training, 10 % of it become "
    "validation, and fold2 is test; otherwise made by image. Lists with one id per line, as in the study of Hosseinzadeh Taher et "
    "al., work with --split-file FOLDER; the study publishes none.",
}  # fmt: skip
_NOTE = (
    "247 radiographs of 2048 x 2048 pixels; the outlines are smaller and are enlarged to the radiograph by a whole factor. The "
    "outlines are those of the first observer."
)
_SOURCE = "Hosseinzadeh Taher et al., Medical Image Analysis 102 (2025) 103487, Benchmark2.png of its repository"

TASKS: dict[str, TaskInfo] = {
    "scr_heart": TaskInfo(
        name="scr_heart", title="heart in frontal chest radiographs (SCR on JSRT)", classes=("heart",), note=_NOTE,
        published={
            "dice": 0.9358, "model": "U-Net with ResNet-50, supervised ImageNet", "source": _SOURCE, "note": "read from a figure",
        },
        **_COMMON,
    ),
    "scr_clavicle": TaskInfo(
        name="scr_clavicle", title="clavicles in frontal chest radiographs (SCR on JSRT)", classes=("clavicle",),
        note=_NOTE + " A mask shows both clavicles.",
        published={
            "dice": 0.8695, "model": "U-Net with ResNet-50, supervised ImageNet", "source": _SOURCE, "note": "read from a figure",
        },
        **_COMMON,
    ),
}  # fmt: skip


class OutlineReader(MaskReader):
    """Raw radiographs; masks under "a.gif|b.gif#x2": the union of the files, each pixel repeated twice along both axes."""

    ID = "medzoo.data.tasks.scr.OutlineReader"  # part of the keys of decoded images; never change it

    def read(self, key: str) -> Pixels:
        """The radiograph under a key; bone is bright."""
        return read_raw(self.root / key) if key.lower().endswith(RAW) else super().read(key)

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8, of the same size as the radiograph."""
        paths, _, times = key.partition("#x")
        mask = super().read_mask(paths)
        return mask.repeat(int(times or 1), axis=0).repeat(int(times or 1), axis=1)


def read_raw(path: Path) -> Pixels:
    """A raw radiograph of the JSRT, with inverted grey values so that bone is bright.

    Raises:
        ImageError: if the file is not 2048 x 2048 words of 12 bits.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be opened ({error.strerror or error}).", code="image-unreadable") from error
    if len(data) != 2 * SIDE * SIDE:
        raise ImageError(
            f"{path} has {len(data)} bytes; a radiograph of the JSRT has {2 * SIDE * SIDE}. Get it again.",
            code="raw-image-size-wrong",
        )
    stored = np.frombuffer(data, ">u2").reshape(SIDE, SIDE)
    if stored.max() >= GREYS:
        raise ImageError(
            f"{path} has the value {stored.max()}; the largest 12-bit value is {GREYS - 1}. The file is damaged, or its bytes "
            "were swapped.",
            code="raw-image-value-too-large",
        )
    return Pixels(
        (GREYS - 1 - stored).astype(np.uint16),
        (0.0, GREYS - 1.0),
        "grey",
        (0.175, 0.175),
        notes=("JSRT: inverted",),
    )


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """JSRT radiographs with the outlines of one structure.

    Args:
        name: "scr_heart" or "scr_clavicle".
        root: the folder with the unpacked data.
        pooled: ignore the split by folds.

    Raises:
        DataContractError: for radiographs without an outline, and outlines without a radiograph.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    images = _by_id(files_below(root, (".png", RAW)), name)
    outlines = _outlines(root, name)
    if not images or not any(outlines):
        raise DataContractError(
            f"Task {name}: {root} has {len(images)} radiographs and {len(outlines[0])} outlines. `medzoo tasks info {name}` shows "
            "the layout.",
            code="images-not-found",
        )
    # Every radiograph needs an outline of each part, and every outline a radiograph.
    ids = sorted(images)
    for part in outlines:
        need_partners(images, sorted(part), name, "radiograph (there is only an outline)", root, ".IMG")
        ids = need_partners(part, ids, name, "outline", root)
    masks = ["|".join(part[key] for part in outlines) for key in ids]
    rows = {
        "id": ids,
        "image": [images[key] for key in ids],
        "mask": _enlarged(root, [images[key] for key in ids], masks, name),
        "patient_id": ids,
    }
    # If all outlines are in fold1 or fold2, the folds are the splits.
    folds = [next((fold for fold in FOLDS if fold in mask.split("/")), None) for mask in masks]
    splits = [FOLDS[fold] for fold in folds if fold] if set(folds) == set(FOLDS) else None
    return make_task(info, rows, splits, root, (), reader=OutlineReader(root), pooled=pooled)


def _by_id(paths: list[str], task: str) -> dict[str, str]:
    """Id of the radiograph → path."""
    files: dict[str, str] = {}
    twice = []
    for path in paths:
        match = _NAME.fullmatch(path.rpartition("/")[2])
        if match and files.setdefault(match[1].upper(), path) != path:
            twice.append(f"{files[match[1].upper()]} and {path}")
    complain_of(twice, f"Task {task}: {len(twice)} files are there twice; keep one of each", code="files-duplicated")
    return files


def _outlines(root: Path, task: str) -> list[dict[str, str]]:
    """Id → path, for each part of the structure, from the first folder names that have files."""
    folders: dict[str, list[str]] = {}
    for path in files_below(root, (".gif",)):
        folder = path.split("/")[-2].lower().replace("_", " ") if "/" in path else ""
        folders.setdefault(folder, []).append(path)
    spellings = STRUCTURES[task]
    parts = next((parts for parts in spellings if any(part in folders for part in parts)), spellings[0])
    return [_by_id(folders.get(part, []), task) for part in parts]


def _enlarged(root: Path, images: list[str], masks: list[str], task: str) -> list[str]:
    """Keys of the masks, each with the whole factor that enlarges it to its radiograph.

    Raises:
        DataContractError: with the pairs whose sizes do not match.
        ImageError: if an image cannot be read.
    """
    keys, bad = [], []
    for image, mask in zip(images, masks, strict=True):
        large = (SIDE, SIDE) if image.lower().endswith(RAW) else header_size(root / image)
        small = {header_size(root / part) for part in mask.split("|")}
        if large is None or None in small:
            raise ImageError(
                f"Task {task}: {image} or {mask} below {root} is not a readable image.", code="image-unreadable"
            )
        times = {size[0] // part[0] for part in small if part for size in (large,)}
        step = times.pop()
        if times or step < 1 or {(part[0] * step, part[1] * step) for part in small if part} != {large}:
            bad.append(f"{image} {large[1]} x {large[0]}, {mask} {sorted(part[::-1] for part in small if part)}")
        keys.append(f"{mask}#x{step}")
    complain_of(
        bad,
        f"Task {task}: the size of {len(bad)} radiographs is not a whole multiple of the size of their outline",
        code="mask-size-differs",
    )
    return keys


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: 16-bit radiographs, and outlines of half their size as GIF in both folds.

    Args:
        root: folder.
        n: radiographs; at least 12.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: either task; both structures are written.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    height, width = 32, 36 + seed
    (root / "images").mkdir(parents=True, exist_ok=True)
    for number in range(1, max(n, 12) + 1):
        key = f"JPC{'LN' if number % 3 else 'NN'}{number:03d}"
        image = rng.integers(0, 4096, (2 * height, 2 * width), dtype=np.uint16)
        Image.fromarray(image).save(root / "images" / f"{key}.IMG.png")
        for structure, column in (("heart", 14), ("left clavicle", 24), ("right clavicle", 4)):
            outline = np.zeros((height, width), np.uint8)
            outline[8:20, column : column + 6] = 255
            folder = root / f"fold{2 - number % 2}" / "masks" / structure
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(outline).save(folder / f"{key}.gif")
