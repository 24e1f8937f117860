"""Your own data: `folder:PATH` (class folders or a CSV) and `parquet:PATH` (tables as `datasets` writes them)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from medzoo.data.fingerprint import fingerprint
from medzoo.data.policy import parse_policy
from medzoo.data.tables import joined, settle_column
from medzoo.data.task import Task, TaskInfo
from medzoo.data.window_rules import parse_rule
from medzoo.data.windows import WindowChoice, checked_window, limits_of, parse_window, window_text
from medzoo.errors import DataContractError, UsageError

CHOICES = {"window": parse_window}


def _info(name: str, title: str, how: str) -> TaskInfo:
    return TaskInfo(
        name=name, title=title, kind="multiclass", classes=(), metric="auroc", unit="image",
        groups="the column patient_id, patient or group, or as stated", channels=None, license="your data's", url="",
        citation="", how=how,
    )  # fmt: skip


TASKS: dict[str, TaskInfo] = {
    "folder:PATH": _info(
        "folder:PATH", "Your images in class folders, or listed in a CSV",
        "CLASS/IMAGE, train/CLASS/IMAGE (and validation, test), or one CSV with the columns image, label (or one column a "
        "class), patient_id and optionally split; slices of volumes as scan.nii.gz#12; CT in a window as folder:PATH,window=lung "
        "or ,window=-160:240; MR and other numbers without a scale as folder:PATH,window=percentile:1,99 or ,window=zscore:3 "
        "(limits of each image; with :series behind it, of the whole NIfTI volume)",
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
    window: WindowChoice | None = None,
) -> Task:
    """A task from files; its kind follows from the labels.

    Args:
        name: "folder:PATH" or "parquet:PATH".
        root: folder that a relative path starts from; by default the working folder.
        path: of the data.
        groups: column that groups images of one patient, or "none"; by default patient_id, patient or group.
        label_policy: what uncertain labels (-1) of a multilabel set become: "mask", "zero", "one", "soft" or "soft:LOW:HIGH".
        pooled: join the splits into one, for a split file or folds.
        window: what all images are clipped to: the name of a CT window, (low, high) in their own unit, or a rule that finds it
            for each image ("percentile:1,99", "zscore:3").

    Raises:
        DataContractError: if the data are missing, say nothing about groups, or break the task's checks.
    """
    if not path and root is None:
        raise UsageError(f"Task {name}: say where the data are, as in {name.partition(':')[0]}:some/folder.")
    place = (root / path if root is not None else Path(path)).expanduser()
    prefix = name.partition(":")[0]
    if prefix == "folder":
        from medzoo.data.folders import read_folder

        found = read_folder(place, groups=groups, label_policy=label_policy)
    else:
        from medzoo.data.parquet import read_tables

        found = read_tables(place, groups=groups, label_policy=label_policy)
    if pooled and len(found.columns) > 1:
        found.columns = {"all": joined(found.columns.values())}
    title = f"{prefix}:{place.resolve().name}"  # the last word only: where data lie is no part of what they are
    limits = None
    if window is not None:
        window = checked_window(window)
        limits = limits_of(window) if parse_rule(window) is None else None  # a rule has limits for each image
        found.reader.window = window  # type: ignore[attr-defined]
        title += f",window={window_text(window)}"
    metric = "mae" if found.kind == "regression" else "auroc"
    info = replace(
        TASKS[name], name=title, title=f"{len(found.files)} files", kind=found.kind, classes=found.classes, metric=metric,
        groups=found.groups, window=limits,
    )  # fmt: skip
    try:
        hashed = fingerprint(found.root, found.files)
    except OSError as error:
        raise DataContractError(f"{place}: a file cannot be read ({error}).") from error
    if found.kind != "multilabel":
        return Task(info, found.columns, found.reader, hashed)
    policy = parse_policy(label_policy)
    for rows in found.columns.values():
        settle_column(rows, policy)
    return Task(info, found.columns, found.reader, hashed, policy=policy)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: a CSV with PNG files, or Parquet files with Image and ClassLabel features.

    Args:
        root: folder; load it as folder:ROOT or parquet:ROOT.
        n: training images; half as many for validation and test.
        seed: of the noise.
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
