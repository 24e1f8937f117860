"""Knee MR slices (MRNet) with a torn ligament, a torn meniscus, or neither, as extracted by Juodelyte et al. and RadImageNet.

MRNet: https://stanfordmlgroup.github.io/competitions/mrnet/. Slices: https://github.com/BMEII-AI/RadImageNet (acl, meniscus).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.class_folders import files_in
from medzoo.data.files.csv_rows import read_csv, read_list
from medzoo.data.files.find import find_one, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, listed

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
CLASSES = ("normal", "acl", "meniscus")
KINDS = ("acl", "meniscus")
LABELS = {"1": True, "0": False, "yes": True, "no": False, "p": True, "n": False}
COLUMNS = {"acl": ("filename", "acl_label"), "meniscus": ("img_dir", "label")}
_NAME = re.compile(r"(\d{4})_sagittal_(\d+)(?:\.0+)?\.png")

TASKS: dict[str, TaskInfo] = {
    "knee": TaskInfo(
        name="knee",
        title="torn ACL, torn meniscus or neither in sagittal knee MR slices (MRNet)",
        kind="multiclass",
        classes=CLASSES,
        metric="auroc",
        unit="image",
        groups="the exam: the number before the first underscore in the file's name",
        channels=1,
        license="MRNet: terms on registration with Stanford; the slices are in a repository whose code is MIT",
        url="https://github.com/BMEII-AI/RadImageNet",
        citation="Bien et al., MRNet, https://stanfordmlgroup.github.io/competitions/mrnet/; slices: Mei et al., RadImageNet, "
        "https://doi.org/10.1148/ryai.210315",
        how="Clone https://github.com/BMEII-AI/RadImageNet: its folders acl and meniscus have slices and labels. Or use the "
        "study's folder and put the CSV files of MRNet next to it.",
        layout="""ROOT/  (a clone of RadImageNet)
  acl/images/0448_sagittal_11.000000.png
  acl/dataframe/{train,val,test}_fold1.csv                       (filename,acl_label: yes or no)
  meniscus/images/0000_sagittal_12.000000.png
  meniscus/dataframe/meniscus_{train,val,test}_fold1.csv         (img_dir,label: p or n)
or ROOT/  (or ROOT/knee/, as in Juodelyte et al.)
  images/{acl,meniscus}/0448_sagittal_11.000000.png
  train-acl.csv, valid-acl.csv, train-meniscus.csv, valid-meniscus.csv     (of MRNet: exam,0 or 1; no header)""",
        split="made by exam: 70, 10 and 20 %. The folds of Juodelyte et al. (data/knee of "
        "https://github.com/DovileDo/revisiting-transfer): --split-file FOLDER --fold 0 to 4.",
        note="5,222 slices of 580 exams in the study: 4,235 normal, 569 acl, 418 meniscus. A slice is normal if its "
        "exam does not have the tear of its folder; the exam may have the other tear, or be abnormal in another way. Six slices "
        "are in both folders, one of them as acl and as meniscus. For the menisci of MRNet's validation exams the study reads "
        "valid-abnormal.csv, but the label is in valid-meniscus.csv; medzoo reads the latter, so its counts may differ. MRNet "
        "publishes no patient ids, and some patients have two exams.",
        published={
            "auroc": 0.915, "sd": 0.011, "model": "ResNet-50, supervised ImageNet, mean of 5 folds",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "one class against the rest, weighted by class size, on folds that the study replaced later",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The slices of both folders.

    Args:
        name: "knee".
        root: the folder with the unpacked data.
        pooled: no effect: the data have no split.

    Raises:
        DataContractError: for slices with other names or without a label, and missing or unreadable labels.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    first = find_one(root, ("images/acl", "knee/images/acl", "acl/images", "RadImageNet/acl/images"), name)
    base, study = first.parent.parent, first.name == "acl"
    ids: list[str] = []
    images, labels, exams, odd, unlabelled = [], [], [], [], []
    tables: list[str] = []
    for kind in KINDS:
        # Labels by exam (MRNet's tables) or by slice (the lists of the folds).
        folder = find_one(base, (f"images/{kind}" if study else f"{kind}/images",), name)
        by_exam = _exams(base, kind)
        known, read = by_exam if by_exam else _slices(base / kind / "dataframe", kind, name)
        tables += [path.relative_to(root).as_posix() for path in read]
        prefix = folder.relative_to(root).as_posix()
        # Every slice of the folder needs a label.
        for file in files_in(folder, (".png",)):
            match = _NAME.fullmatch(file)
            torn = known.get(match[1] if by_exam else file) if match else None
            if match is None:
                odd.append(f"{prefix}/{file}")
            elif torn is None:
                unlabelled.append(f"{kind}/{file}")
            else:
                ids.append(f"{kind}/{file}")
                images.append(f"{prefix}/{file}")
                labels.append(CLASSES.index(kind) if torn else 0)
                exams.append(match[1])
        missing = [] if by_exam else sorted(set(known) - set(files_in(folder, (".png",))))
        complain_of(
            missing,
            f"Task {name}: {len(missing)} slices of {read[0].parent} are not in {folder}",
            code="images-missing",
        )
    complain_of(
        odd,
        f"Task {name}: {len(odd)} slices are not named like 0448_sagittal_11.000000.png",
        code="file-name-invalid",
    )
    complain_of(
        unlabelled, f"Task {name}: {len(unlabelled)} slices have no label in the tables", code="images-not-in-table"
    )
    rows = {"id": ids, "image": images, "label": labels, "patient_id": exams}
    return make_task(info, rows, None, root, tables, pooled=pooled)


def _exams(base: Path, kind: str) -> tuple[dict[str, bool], list[Path]] | None:
    """Exam → torn, from MRNet's tables, and the tables; None if there are none."""
    paths = [base / f"{part}-{kind}.csv" for part in ("train", "valid") if (base / f"{part}-{kind}.csv").is_file()]
    if not paths:
        return None
    torn: dict[str, bool] = {}
    for path in paths:
        _add(torn, [(line[0].zfill(4), line[1] if len(line) == 2 else "") for line in read_list(path)], path)
    return torn, paths


def _slices(folder: Path, kind: str, task: str) -> tuple[dict[str, bool], list[Path]]:
    """Slice → torn, from the lists of the folds, and the lists."""
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise DataContractError(
            f"Task {task}: no labels for {kind}: there is neither {folder}/*.csv nor MRNet's train-{kind}.csv and "
            f"valid-{kind}.csv. `medzoo tasks info {task}` shows the layout.",
            code="tables-missing",
        )
    torn: dict[str, bool] = {}
    for path in paths:
        file, label = COLUMNS[kind]
        _add(torn, [(row[file].rpartition("/")[2], row[label]) for row in read_csv(path, (file, label))[1]], path)
    return torn, paths


def _add(torn: dict[str, bool], lines: Sequence[tuple[str, str]], path: Path) -> None:
    """Add the labels of a table; unknown labels and labels that contradict earlier ones are problems."""
    bad = [f"{key}: {word!r}" for key, word in lines if word not in LABELS]
    other = [key for key, word in lines if word in LABELS and torn.setdefault(key, LABELS[word]) != LABELS[word]]
    complain_of(bad, f"{path}: {len(bad)} labels are not one of {listed(LABELS)}", code="label-invalid")
    complain_of(other, f"{path}: {len(other)} labels contradict another label of the same name", code="label-conflict")


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: slices as PNG and the lists of one fold, in the layout of the RadImageNet repository.

    Args:
        root: folder.
        n: exams of each folder; at least 12, two slices each.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "knee".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for place, kind in enumerate(KINDS):
        file, label = COLUMNS[kind]
        lists: dict[str, list[str]] = {part: [f"{file},{label}"] for part in ("train", "val", "test")}
        (root / kind / "images").mkdir(parents=True, exist_ok=True)
        (root / kind / "dataframe").mkdir(parents=True, exist_ok=True)
        for exam in range(max(n, 12)):
            word = (("no", "yes"), ("n", "p"))[place][exam % 2]
            for slice_ in (11, 12):
                key = f"{500 * place + exam:04d}_sagittal_{slice_}.000000.png"
                Image.fromarray(rng.integers(0, 256, (36, 36 + seed), dtype=np.uint8)).save(
                    root / kind / "images" / key
                )
                lists[("train", "train", "val", "test")[exam % 4]].append(f"images/{key},{word}")
        for part, lines in lists.items():
            start = "meniscus_" if kind == "meniscus" else ""
            (root / kind / "dataframe" / f"{start}{part}_fold1.csv").write_text("\n".join(lines) + "\n")
