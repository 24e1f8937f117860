"""iNaturalist 2021: 10,000 species of plants, animals and fungi, for pre-training.

Home, counts and terms: https://github.com/visipedia/inat_comp/tree/master/2021.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices
from medzoo.data.files.class_folders import class_folders, folders_in
from medzoo.data.files.find import find_one, need_folder
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo

CHOICES = {"set": Choice(("train", "train_mini"), default="train")}
TAKES = LoadOptions(pooled=True)
SUFFIXES = (".jpg",)

TASKS: dict[str, TaskInfo] = {
    "inat2021": TaskInfo(
        name="inat2021",
        title="10,000 species (iNaturalist 2021), the official validation images as test",
        kind="multiclass",
        classes=(),
        metric="accuracy",
        unit="image",
        groups="none: observers and places are in the competition's JSON files, which are not read",
        channels=3,
        license="non-commercial research and education only, no redistribution of images, iNaturalist's terms of service",
        url="https://github.com/visipedia/inat_comp/tree/master/2021",
        citation="Van Horn et al., Benchmarking representation learning for natural world image collections, CVPR 2021, "
        "https://arxiv.org/abs/2103.16483",
        how="Download train or train_mini, and val, from the competition's page, and unpack.",
        layout="""ROOT/
  train/00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris/*.jpg
  train_mini/...      (50 images of each species)
  val/...""",
        split="official: the validation images (10 of each species) are the test split, because labels of the test images are "
        "not published; 10 % of the training images of each species become validation.",
        note="The classes are the folders of the training set, in order. 2,686,843 training images, 500,000 in train_mini "
        "(`inat2021,set=train_mini`), 100,000 for validation.",
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, set: str = "train", pooled: bool = False) -> Task:
    """The species of one of the training sets.

    Args:
        name: "inat2021".
        root: the folder with the unpacked data.
        set: "train" or "train_mini".
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing folders, and species that only one of the two folders has.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    training, testing = find_one(root, (set,), name), find_one(root, ("val",), name)
    species = folders_in(training)
    place = {folder: number for number, folder in enumerate(species)}
    ids: list[str] = []
    labels: list[int] = []
    splits: list[str] = []
    for folder, part, split in ((training, set, "train"), (testing, "val", "test")):
        for label, file in class_folders(folder, name, species, SUFFIXES):
            ids.append(f"{part}/{label}/{file}")
            labels.append(place[label])
            splits.append(split)
    rows: dict[str, Any] = {"id": ids, "image": ids, "label": labels, "patient_id": ids}
    full_name = name_with_choices(name, {"set": set}, CHOICES)
    return make_task(info, rows, splits, root, (), pooled=pooled, name=full_name, classes=tuple(species))


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: JPEG images of eight species in train, train_mini and val.

    Args:
        root: folder.
        n: training images of each species; at least 10, half of them in train_mini.
        seed: for the noise.
        name: "inat2021".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for number in range(8):
        folder = f"{number:05d}_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_species{number}"
        for part, count in (("train", max(n, 10)), ("train_mini", max(n, 10) // 2), ("val", 2)):
            (root / part / folder).mkdir(parents=True, exist_ok=True)
            for image in range(count):
                picture = Image.fromarray(rng.integers(0, 256, (28, 24, 3), dtype=np.uint8))
                picture.save(root / part / folder / f"{image:08x}-{number}.jpg")
