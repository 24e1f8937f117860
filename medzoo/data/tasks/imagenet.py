"""ImageNet-1k (ILSVRC 2012), complete, or as the subsets of the RadNet study: 100 or 10 classes, 10 or 1 % of the images.

Home and terms: https://www.image-net.org/download.php. Files with labels: https://www.kaggle.com/c/imagenet-object-localization-challenge/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices
from medzoo.data.files.class_folders import files_in, folders_in
from medzoo.data.files.csv_rows import read_csv, read_text
from medzoo.data.files.find import find_one, need_folder
from medzoo.data.problems import complain, complain_of
from medzoo.data.splits.subsample import cut_training
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES = {
    "classes": Choice(("1000", "100", "10"), default="1000"),
    "percent": Choice(("100", "10", "1"), default="100"),
}
TAKES = LoadOptions(pooled=True)
CLASSES = 1000
STEP = {"1000": 1, "100": 10, "10": 100}
MAPPING, SOLUTION = "LOC_synset_mapping.txt", "LOC_val_solution.csv"
SUFFIXES = (".jpeg", ".jpg")

TASKS: dict[str, TaskInfo] = {
    "imagenet": TaskInfo(
        name="imagenet",
        title="ImageNet-1k (ILSVRC 2012), the official validation images as test",
        kind="multiclass",
        classes=(),
        metric="accuracy",
        unit="image",
        groups="none: photographs from the web, without any id of who or what they show",
        channels=3,
        license="non-commercial research and education only, under the terms of access of image-net.org",
        url="https://www.image-net.org/download.php",
        citation="Deng et al., ImageNet, CVPR 2009, https://doi.org/10.1109/CVPR.2009.5206848",
        how="Accept the terms on image-net.org or those of the object localization challenge on Kaggle, download and unpack.",
        layout="""ROOT/
  LOC_synset_mapping.txt                                   (n01440764 tench, Tinca tinca)
  LOC_val_solution.csv                                     (ImageId,PredictionString)
  ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG
  ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG
or class folders: ROOT/train/n01440764/*.JPEG and ROOT/val/n01440764/*.JPEG""",
        split="official: the 50,000 validation images are the test split. 10 % of the training images of each class become "
        "validation, always the same ones (ranked by a hash with seed 0).",
        note="The classes are those of LOC_synset_mapping.txt in its order, or the folders of train, named by synset. "
        "`imagenet,classes=100` uses every tenth class and `classes=10` every hundredth, as the RadNet study does. `percent=10` "
        "(S) and `percent=1` (XS) keep this share of the remaining training images, a fixed subset (seed 0); the 1 % are part "
        "of the 10 %. The study drew its subsets and validation images differently and does not publish them.",
        published={
            "accuracy": 0.6935, "sd": 0.0027, "model": "ResNet-50, SimCLR ImageNet, fine-tuned, mean of 4 runs",
            "source": "https://arxiv.org/abs/2306.17555 (Jonske et al.), experiment E1",
        },
    ),
}  # fmt: skip


def load(
    name: str, root: Path | None = None, *, classes: str = "1000", percent: str = "100", pooled: bool = False
) -> Task:
    """ImageNet-1k or a subset of it.

    Args:
        name: "imagenet".
        root: the folder with the unpacked data.
        classes: "1000", "100" or "10".
        percent: "100", "10" or "1" of the training images.
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing class folders, validation images without a label, labels without an image, and unknown
            synsets.
    """
    # The synsets of the task, in the order of the classes.
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    base = find_one(root, ("ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train", "CLS-LOC/train", "train"), name).parent
    names, tables = _synsets(root, base, name)
    if STEP[classes] > 1 and not tables and len(names) != CLASSES:
        raise DataContractError(
            f"Task {name}: classes={classes} uses every {STEP[classes]}th of {CLASSES} classes, but {base / 'train'} has "
            f"{len(names)} folders. Put {MAPPING} into {root}, or remove classes={classes}.",
            code="class-count-wrong",
        )
    synsets = list(names)[:: STEP[classes]]
    place = {synset: number for number, synset in enumerate(synsets)}
    prefix = base.relative_to(root).as_posix()
    start = "" if prefix == "." else f"{prefix}/"
    # Training and validation come from the training folders, test from the official validation images.
    ids, labels = _folders(base / "train", "train", place, name)
    splits = cut_training(ids, labels, int(percent))
    tested, truth, solution = _official(root, base, place, set(names), name)
    tables += solution
    ids += tested
    labels += truth
    splits += ["test"] * len(tested)
    rows: dict[str, Any] = {"id": ids, "image": [f"{start}{key}" for key in ids], "label": labels, "patient_id": ids}
    full_name = name_with_choices(name, {"classes": classes, "percent": percent}, CHOICES)
    labelled = tuple(f"{synset} {names[synset]}".strip() for synset in synsets)
    return make_task(info, rows, splits, root, tables, pooled=pooled, name=full_name, classes=labelled)


def _synsets(root: Path, base: Path, task: str) -> tuple[dict[str, str], list[str]]:
    """Synset → its first word, in the order of the classes, and the table that they come from."""
    folders = folders_in(base / "train")
    if not (root / MAPPING).is_file():
        if not folders:
            raise DataContractError(
                f"Task {task}: {base / 'train'} has no class folders.", code="class-folders-missing"
            )
        return dict.fromkeys(folders, ""), []
    names: dict[str, str] = {}
    bad = []
    for line in filter(None, map(str.strip, read_text(root / MAPPING).splitlines())):
        synset, _, words = line.partition(" ")
        if not (synset[:1] == "n" and synset[1:].isdecimal()) or synset in names:
            bad.append(line)
        names[synset] = words.partition(",")[0].strip()
    unknown = [folder for folder in folders if folder not in names]
    complain_of(
        bad,
        f"{root / MAPPING}: {len(bad)} lines do not begin with a synset, or repeat one",
        code="synset-line-invalid",
    )
    if not names:
        complain(DataContractError(f"{root / MAPPING} is empty. Get it again.", code="table-empty"))
    complain_of(
        unknown, f"Task {task}: {len(unknown)} folders of train are not in {MAPPING}", code="class-folder-unknown"
    )
    return names, [MAPPING]


def _folders(folder: Path, part: str, place: dict[str, int], task: str) -> tuple[list[str], list[int]]:
    """Ids and labels of the images in class folders."""
    folders = set(folders_in(folder))
    absent = [synset for synset in place if synset not in folders]
    complain_of(
        absent,
        f"Task {task}: {len(absent)} of {len(place)} class folders are not in {folder}",
        code="class-folders-missing",
    )
    ids: list[str] = []
    labels: list[int] = []
    for synset, label in place.items():
        files = files_in(folder / synset, SUFFIXES) if synset in folders else []
        ids += [f"{part}/{synset}/{file}" for file in files]
        labels += [label] * len(files)
    return ids, labels


def _official(
    root: Path, base: Path, place: dict[str, int], known: set[str], task: str
) -> tuple[list[str], list[int], list[str]]:
    """Ids and labels of the official validation images, and the table that they come from."""
    folder = find_one(base, ("val",), task)
    # Class folders need no table.
    if names := folders_in(folder):
        unknown = [name for name in names if name not in known]
        complain_of(
            unknown, f"Task {task}: {len(unknown)} folders of {folder} are not a class", code="class-folder-unknown"
        )
        return *_folders(folder, "val", place, task), []
    # Otherwise the table gives each image its class; both must name the same images.
    table = find_one(root, (SOLUTION,), task)
    _, cells = read_csv(table, ("ImageId", "PredictionString"))
    synset: dict[str, str] = {}
    rows = [(row["ImageId"], row["PredictionString"].partition(" ")[0]) for row in cells]
    other = [key for key, word in rows if synset.setdefault(key, word) != word]
    files = {file.rpartition(".")[0]: file for file in files_in(folder, SUFFIXES)}
    missing, unlisted = sorted(set(synset) - set(files)), sorted(set(files) - set(synset))
    bad = [f"{key}: {word!r}" for key, word in synset.items() if word not in known]
    complain_of(missing, f"Task {task}: {len(missing)} images of {SOLUTION} are not in {folder}", code="images-missing")
    complain_of(
        unlisted, f"Task {task}: {len(unlisted)} images in {folder} are not in {SOLUTION}", code="images-not-in-table"
    )
    complain_of(bad, f"Task {task}: {len(bad)} labels of {SOLUTION} are not a class", code="class-unknown")
    complain_of(
        other, f"Task {task}: {len(other)} rows of {SOLUTION} give an image a second class", code="label-conflict"
    )
    chosen = [key for key in sorted(files) if synset.get(key) in place]
    return [f"val/{files[key]}" for key in chosen], [place[synset[key]] for key in chosen], [SOLUTION]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set in Kaggle's layout: twelve classes of JPEG images, with both tables.

    Args:
        root: folder.
        n: training images of each class; at least 12, and 3 of each for testing.
        seed: for the noise.
        name: "imagenet".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    synsets = [f"n{1440764 + 1013 * number:08d}" for number in range(12)]
    data = root / "ILSVRC" / "Data" / "CLS-LOC"
    (data / "val").mkdir(parents=True, exist_ok=True)
    (root / MAPPING).write_text(
        "".join(f"{synset} thing {place}, res {place}\n" for place, synset in enumerate(synsets))
    )
    lines = ["ImageId,PredictionString"]
    for place, synset in enumerate(synsets):
        (data / "train" / synset).mkdir(parents=True, exist_ok=True)
        for number in range(max(n, 12)):
            image = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            image.save(data / "train" / synset / f"{synset}_{number}.JPEG")
        for number in range(3):
            key = f"ILSVRC2012_val_{3 * place + number + 1:08d}"
            Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(data / "val" / f"{key}.JPEG")
            lines.append(f"{key},{synset} 1 1 9 9 ")
    (root / SOLUTION).write_text("\n".join(lines) + "\n")
