"""KIMIA Path960: 20 tissues, 48 patches each; the letter in the file name is the class.

Paper: https://arxiv.org/abs/1710.01249.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.find import by_name, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
CLASSES = tuple("ABCDEFGHIJKLMNOPQRST")
_NAME = re.compile(r"([A-T])(\d+)\.tiff?", re.IGNORECASE)

TASKS: dict[str, TaskInfo] = {
    "kimia": TaskInfo(
        name="kimia",
        title="20 tissues in histopathology (KIMIA Path960)",
        kind="multiclass",
        classes=CLASSES,
        metric="auroc",
        unit="image",
        groups="none: the patches of a class are cut from one slide, so no split can keep slides apart",
        channels=3,
        license="not stated; published by its authors",
        url="https://kimia.uwaterloo.ca/",
        citation="Kumar et al., A comparative study of CNN, BoVW and LBP for classification of histopathological images, SSCI "
        "2017, https://arxiv.org/abs/1710.01249",
        how="Get KIMIA Path960 from the Kimia Lab and unpack.",
        layout="""ROOT/  (or ROOT/kimia_path_960/)
  A1.tif ... A48.tif
  ...
  T1.tif ... T48.tif""",
        split="made by image: 70, 10 and 20 % of the images of each class. The folds of Juodelyte et al. (data/kimia of "
        "https://github.com/DovileDo/revisiting-transfer) have train and val lists but no test list: --split-file FOLDER --fold "
        "0 to 4.",
        note="960 images from 20 slides, one slide per class: a model may learn the slide instead of the tissue.",
        published={
            "accuracy": 0.9472, "model": "deep features, leave-one-out", "source": "https://arxiv.org/abs/1710.01249, abstract",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The patches; the letter in the file name is the class.

    Args:
        name: "kimia".
        root: the folder with the unpacked data.
        pooled: no effect: the data have no split.

    Raises:
        DataContractError: for files with other names, and file names that are in two folders.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    images = by_name(root, (".tif", ".tiff"), name)
    odd = sorted(file for file in images if not _NAME.fullmatch(file))
    complain_of(
        odd, f"Task {name}: {len(odd)} file names are not a letter A to T and a number", code="file-name-invalid"
    )
    files = sorted(file for file in images if _NAME.fullmatch(file))
    if not files:
        raise DataContractError(
            f"Task {name}: {root} has no .tif files. `medzoo tasks info {name}` shows the layout.",
            code="images-not-found",
        )
    rows = {
        "id": files,
        "image": [images[file] for file in files],
        "label": [CLASSES.index(file[0].upper()) for file in files],
        "patient_id": files,
    }
    return make_task(info, rows, None, root, (), pooled=pooled)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: TIFF patches of 20 classes.

    Args:
        root: folder.
        n: patches of each class; at most 12.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "kimia".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    folder = root / "kimia_path_960"
    folder.mkdir(parents=True, exist_ok=True)
    for label in CLASSES:
        for number in range(1, min(n, 12) + 1):
            patch = rng.integers(0, 256, (17, 31 + seed, 3), dtype=np.uint8)
            Image.fromarray(patch).save(folder / f"{label}{number}.tif")
