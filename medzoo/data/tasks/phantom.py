"""Phantoms: four kinds of images drawn by code, with labels or masks, and patients; unlimited, offline, deterministic.

An image depends only on (task, data seed, split, number). So a larger training set contains the smaller one, and the
test set never changes. Each patient has three images, which share the anatomy and usually the label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.images.read import Pixels, apply_window
from medzoo.data.synthetic import medical, natural
from medzoo.data.synthetic.primitives import generator
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import UsageError
from medzoo.store import sha256_of

if TYPE_CHECKING:
    from medzoo.data.images.read import Window, WindowChoice

CHOICES = {
    "n": Choice(int),
    "n_validation": Choice(int),
    "n_test": Choice(int),
    "image_size": Choice(int, default=64),
    "data_seed": Choice(int, default=0),
}
TAKES = LoadOptions()
VERSION = "1"  # of the drawing code: changed images are another data set
IMAGES_PER_PATIENT = 3
RANDOM_LABEL_SHARE = 0.25  # share of images with a random label instead of the patient's
SOFT_TISSUE: Window = (-160.0, 240.0)  # HU, level 40 width 400, the usual abdominal window
_SIZES = {"phantom_natural": (2000, 200, 400)}
_MEDICAL_SIZES = (320, 100, 400)
_DRAW: dict[str, Callable[[str, str, int, int, int], tuple[np.ndarray, np.ndarray]]] = {
    "phantom_natural": natural.natural,
    "phantom_chest": medical.chest,
    "phantom_ct": medical.ct,
    "phantom_lesions": medical.ct,
    "phantom_oct": medical.oct_scan,
}
_DRAWN = {"phantom_lesions": medical.CT}  # kinds of drawings, where they are not the classes of the task
FIELD_MM = 384.0  # side of a drawn CT slice


def _info(name: str, title: str, classes: tuple[str, ...], channels: int, window: Window | None = None) -> TaskInfo:
    masks = len(classes) == 1
    return TaskInfo(
        name=name,
        title=title,
        kind="segmentation" if masks else "binary" if len(classes) == 2 else "multiclass",
        classes=classes,
        metric="dice" if masks else "auroc",
        unit="image",
        groups="patient_id",
        channels=channels,
        license="Apache-2.0",
        url="",
        citation="medzoo's drawings",
        how="drawn on the fly; choices: " + ", ".join(CHOICES),
        version=VERSION,
        window=window,
    )


TASKS: dict[str, TaskInfo] = {
    info.name: info
    for info in (
        _info("phantom_natural", "Ten colour textures on cluttered backgrounds, drawn", natural.CLASSES, 3),
        _info("phantom_chest", "Chest radiographs with or without an opacity, drawn", medical.CHEST, 1),
        _info("phantom_ct", "Liver lesions of three kinds in abdominal CT (HU), drawn", medical.CT, 1, SOFT_TISSUE),
        _info("phantom_lesions", "Masks of the liver lesions of phantom_ct, drawn", ("lesion",), 1, SOFT_TISSUE),
        _info("phantom_oct", "Retinal OCT scans: normal, drusen, fluid, atrophy, drawn", medical.OCT, 1),
    )
}


def load(
    name: str,
    root: Path | None = None,
    *,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    image_size: int = 64,
    data_seed: int = 0,
) -> Task:
    """A task of drawn images; an image is drawn when it is read.

    Args:
        name: one of the five.
        root: not needed.
        n: training images.
        n_validation: validation images.
        n_test: test images.
        image_size: side, pixels.
        data_seed: another seed gives another data set.

    Raises:
        UsageError: for fewer images than classes, or images of fewer than 16 pixels.

    >>> load("phantom_ct", n=6).read("train", 0)[0].range
    (-160.0, 240.0)
    >>> load("phantom_lesions", n=6).read_mask("train", 0).max()
    np.uint8(1)
    """
    # The number of images in each split.
    info = TASKS[name]
    usual = _SIZES.get(name, _MEDICAL_SIZES)
    sizes = [usual[place] if given is None else given for place, given in enumerate((n, n_validation, n_test))]
    kinds = len(_DRAWN.get(name, info.classes))
    if min(sizes) < kinds or image_size < 16:
        raise UsageError(
            f"Task {name} needs at least {kinds} images per split and an image_size of at least 16 pixels.",
            code="phantom-too-small",
        )
    reader = PhantomReader(name, image_size, data_seed)
    columns = {
        split: reader.rows(split, count) for split, count in zip(("train", "validation", "test"), sizes, strict=True)
    }
    # The choices decide the images, so they replace the hash of files; the name has only unusual choices.
    identity = {"name": name, "version": VERSION, "sizes": sizes, "image_size": image_size, "data_seed": data_seed}
    chosen = {"n": n, "n_validation": n_validation, "n_test": n_test, "image_size": image_size, "data_seed": data_seed}
    usual_choice = {"image_size": 64, "data_seed": 0}
    given = [f",{key}={value}" for key, value in chosen.items() if value is not None and value != usual_choice.get(key)]
    return Task(info, columns, reader, sha256_of(identity), name=name + "".join(given))


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Do nothing: a phantom has no files."""


@dataclass(frozen=True)
class PhantomReader:
    """Draws the image of a key `<split>/<number>`."""

    ID = "medzoo.data.tasks.phantom.PhantomReader"  # part of the keys of decoded images; never change it

    name: str
    image_size: int
    data_seed: int
    _window: WindowChoice | None = None  # private, because public attributes are part of the keys of decoded images

    def with_window(self, window: WindowChoice) -> PhantomReader:
        """The same drawings in another window; only CT is in HU."""
        return replace(self, _window=window)

    @property
    def _stream(self) -> str:
        return f"{self.name}\0{self.data_seed}"

    def rows(self, split: str, count: int) -> dict[str, list[Any]]:
        """The columns of a split."""
        keys = [f"{split}/{index}" for index in range(count)]
        columns: dict[str, list[Any]] = {"id": keys, "image": keys, "mask": keys}
        if self.name not in _DRAWN:
            columns["label"] = [self.label(split, index) for index in range(count)]
        return columns | {"patient_id": [self._patient(split, index) for index in range(count)]}

    def _patient(self, split: str, index: int) -> str:
        return f"{split}-p{index // IMAGES_PER_PATIENT:05d}"

    def label(self, split: str, index: int) -> int:
        """The class of an image, usually that of its patient; patients get the classes in turn, so classes are balanced."""
        classes = len(_DRAWN.get(self.name, TASKS[self.name].classes))
        if index < classes:  # the first images have all classes, even in the smallest data set
            return index
        rng = generator(self._stream, split, index, "label")
        random = rng.uniform() < RANDOM_LABEL_SHARE
        return int(rng.integers(classes)) if random else (index // IMAGES_PER_PATIENT) % classes

    def _draw(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        split, _, number = key.partition("/")
        index = int(number)
        stream, patient = self._stream, self._patient(split, index)
        return _DRAW[self.name](stream, patient, index, self.label(split, index), self.image_size)

    def read(self, key: str) -> Pixels:
        """The drawn image; CT in Hounsfield units and windowed."""
        array, _ = self._draw(key)
        usual = TASKS[self.name].window
        if usual is not None:
            spacing = (FIELD_MM / self.image_size,) * 2 if self.name in _DRAWN else None
            pixels = Pixels(array, (float(medical.CT_RANGE[0]), float(medical.CT_RANGE[1])), "HU", spacing)
            return apply_window(pixels, usual if self._window is None else self._window)
        return Pixels(array, (0.0, 255.0), "rgb" if array.ndim == 3 else "grey")

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8, 1 for the finding (or the object)."""
        return self._draw(key)[1]
