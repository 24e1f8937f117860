"""Your own data: `folder:PATH` (class folders or a CSV) and `parquet:PATH` (tables as `datasets` writes them)."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from medzoo.data.build_task import concatenate_rows, settle_labels
from medzoo.data.custom.column_roles import refuse_misspelled
from medzoo.data.custom.image_table import ColumnChoice, CustomData
from medzoo.data.files.find import is_text
from medzoo.data.files.fingerprint import fingerprint
from medzoo.data.images.ct_windows import WindowChoice, checked_window, limits_of, parse_window, window_text
from medzoo.data.images.window_rules import parse_rule
from medzoo.data.label_policy import parse_policy
from medzoo.data.splits.assign import STATED_FOLD
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, UsageError


def _column(text: str) -> str:
    return text


def _columns(text: str) -> tuple[str, ...]:
    """Column names separated by `;`."""
    names = tuple(name.strip() for name in text.split(";"))
    if not all(names) or len(set(names)) != len(names):
        raise UsageError(
            f"labels={text} is not valid. Give different column names separated by `;`, as in labels=Edema;Mass.",
            code="label-columns-invalid",
        )
    return names


CHOICES = {
    "window": Choice(parse_window),
    "image": Choice(_column),
    "label": Choice(_column),
    "labels": Choice(_columns, default=()),
    "mask": Choice(_column),
    "split": Choice(_column),
    "group": Choice(_column),
}
TAKES = LoadOptions(label_policy=True, groups=True, pooled=True, unlabelled=True)
_LAYOUT = """\
one folder per class           splits above classes            a table next to the images
scans/                         scans/                          scans/
  benign/1.png                   train/benign/1.png              labels.csv
  malignant/2.dcm                val/malignant/2.png             p1/1.png
                                 test/benign/3.png               p2/2.dcm

labels.csv (or .tsv, metadata.csv):
  image,label,patient_id,split        or one column per finding with 1 and 0, -1 for uncertain:
  p1/1.png,benign,p1,train            image,patient_id,Edema,Mass,split
  p2/2.dcm,malignant,p2,test          p1/1.png,p1,1,0,train"""
_NOTE = """\
Columns are found by name, in upper or lower case: image (img, file, path, file_name, ...), label (class, target, category, ...),
patient_id (patient, group, subject_id, case_id, ...), split (set, subset, partition, fold, is_test, ...), mask. Give other names
after the path, in any order: folder:scans,image=FILE,label=DX,group=CASE,split=none,window=lung. labels=A;B;C chooses the
columns of several findings, mask=COLUMN makes a segmentation. classes.json next to the table, a list of names, sets the classes and
their order. Patients may also be the folders that contain the images (--groups parent), or come from DICOM headers (the default for
DICOM without a column). Folders images/ and masks/ with the same file names are a segmentation too. Every run prints the columns
that it uses. Without labels (pre-training), any folder of images or table of paths works."""


def _info(name: str, title: str, how: str) -> TaskInfo:
    return TaskInfo(
        name=name, title=title, kind="multiclass", classes=(), metric="auroc", unit="image",
        groups="the column patient_id, patient or group, or that of --groups", channels=None, license="your data's", url="",
        citation="", how=how, note=f"{_LAYOUT}\n\n{_NOTE}" if name.startswith("folder") else _NOTE,
    )  # fmt: skip


TASKS: dict[str, TaskInfo] = {
    "folder:PATH": _info(
        "folder:PATH", "Your images in class folders, or listed in a CSV",
        "CLASS/IMAGE, train/CLASS/IMAGE (and validation, test), or one CSV with the columns image, label (or one column per "
        "class), patient_id and optionally split; slices of volumes as scan.nii.gz#12; CT in a window as folder:PATH,window=lung "
        "or ,window=-160:240; MR and other numbers without a scale as folder:PATH,window=percentile:1,99 or ,window=zscore:3 "
        "(limits per image; with :series at the end, limits per NIfTI volume)",
    ),
    "parquet:PATH": _info(
        "parquet:PATH", "Your images in Parquet",
        "train.parquet (and validation, test) with the columns image, label, patient_id, as datasets writes them; "
        "parquet:PATH,window=... as for folder:PATH",
    ),
}  # fmt: skip


def load(
    name: str,
    root: Path | None = None,
    *,
    path: str = "",
    groups: str | None = None,
    label_policy: str | None = None,
    pooled: bool = False,
    unlabelled: bool = False,
    window: WindowChoice | None = None,
    image: str | None = None,
    label: str | None = None,
    labels: tuple[str, ...] = (),
    mask: str | None = None,
    split: str | None = None,
    group: str | None = None,
) -> Task:
    """A task from files; its kind follows from the labels.

    Args:
        name: "folder:PATH" or "parquet:PATH".
        root: folder that a relative path starts from; by default the working directory.
        path: path of the data.
        groups: column that groups images of one patient; "parent" (or "parent:N") for the folders that contain the images,
            "dicom:patient", "dicom:study" or "dicom:series" for DICOM headers, or "none"; by default a column named patient_id,
            patient, group or similar, otherwise DICOM headers.
        label_policy: what to do with uncertain labels (-1) of a multilabel set: "mask", "zero", "one", "soft" or "soft:LOW:HIGH".
        pooled: join the splits into one, for a split file or folds.
        unlabelled: ignore labels; then groups are optional, and images without a given split are all for training.
        window: the range to which all images are clipped: the name of a CT window, (low, high) in the images' unit, or a rule
            for each image ("percentile:1,99", "zscore:3").
        image: column of the images.
        label: column with one class or value per image.
        labels: columns of 1 and 0, one per class.
        mask: column of masks.
        split: column of the split, or "none" to make a new split.
        group: same as groups.

    Raises:
        DataContractError: if the data are missing, have no groups, or do not pass the task's checks.
        UsageError: for choices that contradict each other.
    """
    # Where the data are, and whether the choices fit.
    prefix = name.partition(":")[0]
    if not path and root is None:
        raise UsageError(f"Task {name}: give the path of the data, as in {prefix}:some/folder.", code="path-missing")
    place = (root / path if root is not None else Path(path)).expanduser()
    if not is_text(str(place)):
        raise DataContractError(
            f"The path {str(place)!a} is not valid UTF-8, but task names must be. Rename the folder.",
            code="path-not-utf8",
        )
    _check_choices(place, prefix)
    if group is not None and groups is not None and group != groups:
        raise UsageError(
            f"Task {name}: group={group} and --groups {groups} differ. Give only one of them.", code="groups-contradict"
        )
    # Read the table or the folders.
    choice = ColumnChoice(image, label, labels, mask, split, group)
    try:
        data = _read(place, prefix, choice, groups if group is None else group, label_policy, unlabelled)
    except DataContractError as error:
        if error.code == "named-column-missing":  # no column of the table has this text
            refuse_misspelled(f"{prefix}:", CHOICES, (image, label, *labels, mask, split, group))
        raise
    # A table's folds divide only its training split, so splits are not joined if there are folds.
    folds = any(STATED_FOLD in rows for rows in data.columns.values())
    if pooled and len(data.columns) > 1 and not folds:
        data.columns = {"all": concatenate_rows(data.columns.values())}
    # The name has only the last part of the path: the data are the same in another folder.
    title = f"{prefix}:{place.resolve().name}{choice.named()}"
    limits = None
    if window is not None:
        window = checked_window(window)
        limits = limits_of(window) if parse_rule(window) is None else None  # with a rule, each image has its limits
        data.reader.window = window  # type: ignore[attr-defined]
        title += f",window={window_text(window)}"
    metric = {"regression": "mae", "segmentation": "dice"}.get(data.kind, "auroc")
    info = replace(
        TASKS[name],
        name=title,
        title=f"{len(data.files)} files",
        kind=data.kind,
        classes=data.classes,
        metric=metric,
        groups=data.groups,
        window=limits,
        note="",
    )
    try:
        hashed = fingerprint(data.root, data.files)
    except OSError as error:
        raise DataContractError(f"{place}: a file cannot be read ({error}).", code="data-file-unreadable") from error
    if data.kind != "multilabel":
        return Task(info, data.columns, data.reader, hashed, notes=data.notes)
    policy = parse_policy(label_policy)
    for rows in data.columns.values():
        settle_labels(rows, policy)
    return Task(info, data.columns, data.reader, hashed, policy=policy, notes=data.notes)


def _read(
    place: Path, prefix: str, choice: ColumnChoice, groups: str | None, label_policy: str | None, unlabelled: bool
) -> CustomData:
    """Read the data at a path: a table, or folders."""
    from medzoo.data.custom.csv_table import ENDINGS, find_tables, read_table
    from medzoo.data.custom.from_table import from_table
    from medzoo.data.custom.image_folder import read_class_folders, read_unlabelled
    from medzoo.data.custom.mask_folders import has_mask_folders, read_mask_folders

    rest = {"groups": groups, "label_policy": label_policy, "unlabelled": unlabelled}
    if prefix == "parquet":
        from medzoo.data.custom.parquet_table import read_parquet

        return from_table(read_parquet(place, choice.image), choice, **rest)  # type: ignore[arg-type]
    if place.is_file() and place.suffix.lower() in ENDINGS:
        return from_table(read_table({"all": place}, choice.image), choice, **rest)  # type: ignore[arg-type]
    if not place.is_dir():
        raise DataContractError(
            f"The folder {place} does not exist. Give the folder that holds class folders or a CSV.",
            code="folder-missing",
        )
    if tables := find_tables(place):
        return from_table(read_table(tables, choice.image), choice, **rest)  # type: ignore[arg-type]
    if named := replace(choice, group=None).named():
        raise UsageError(
            f"{place} has no table, so columns cannot be chosen. Remove {named[1:]}.", code="choice-needs-table"
        )
    if label_policy is not None:
        raise UsageError(
            f"{place}: class folders have no uncertain labels. Remove --label-policy.",
            code="label-policy-not-applicable",
        )
    if not unlabelled and has_mask_folders(place):
        return read_mask_folders(place, groups)
    return read_unlabelled(place, groups) if unlabelled else read_class_folders(place, groups)


def _check_choices(place: Path, prefix: str) -> None:
    """Report a misspelled choice after a path that does not exist."""
    typed = re.findall(r",([A-Za-z_]+)=", str(place))
    if typed and not place.exists():
        near = difflib.get_close_matches(typed[0], CHOICES, n=1)
        raise UsageError(
            f"Task {prefix}:{place}: the path does not exist, and {typed[0]!r} is not a choice."
            f"{f' Did you mean {near[0]}?' if near else ''} Choices are {', '.join(CHOICES)}.",
            code="choice-unknown",
        )


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: a CSV with PNG files, or Parquet files with Image and ClassLabel features.

    Args:
        root: folder; load it as folder:ROOT or parquet:ROOT.
        n: training images; half as many for validation and test.
        seed: for the noise.
        name: "folder:PATH" (the default) or "parquet:PATH".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    table = [["image", "label", "patient_id", "split", "sex"]]
    for split, count in (("train", max(n, 4)), ("validation", max(n // 2, 2)), ("test", max(n // 2, 2))):
        rows = []
        for index in range(count):
            array = rng.integers(0, 256, (24, 20), dtype=np.uint8)
            file = root / "images" / f"{split}_{index}.png"
            rows.append((file, array, index % 2, f"{split}-p{index // 2}"))
        if name == "parquet:PATH":
            _write_parquet(root / f"{split}.parquet", rows)
            continue
        for file, array, label, patient in rows:
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(array).save(file)
            table.append([f"images/{file.name}", ["normal", "lesion"][label], patient, split, "FM"[label]])
    if name != "parquet:PATH":
        (root / "labels.csv").write_text("".join(",".join(line) + "\n" for line in table))


def _write_parquet(path: Path, rows: list) -> None:
    import io

    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Image as ImageFeature
    from PIL import Image

    cells = []
    for _, array, _, _ in rows:
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    features = Features(image=ImageFeature(), label=ClassLabel(names=["lesion", "normal"]), patient_id=Value("string"))
    columns = {"image": cells, "label": [row[2] for row in rows], "patient_id": [row[3] for row in rows]}
    Dataset.from_dict(columns, features=features).to_parquet(path)
