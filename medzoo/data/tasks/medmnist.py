"""The twelve 2D sets of MedMNIST v2 with their official files, MD5s and splits.

Facts: https://github.com/MedMNIST/MedMNIST (medmnist/info.py, commit 805b742). Paper:
https://doi.org/10.1038/s41597-022-01721-8. No patient ids are published, so images of one patient may be in training
and in test. medzoo keeps the authors' splits, and the task has no groups.
"""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medzoo import paths
from medzoo.data.files.downloads import why_no_downloads
from medzoo.data.files.fingerprint import fingerprint
from medzoo.data.readers.npz import NpzReader
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, UsageError, WeightsUnavailableError
from medzoo.http_download import download
from medzoo.locks import wait_for
from medzoo.progress import hash_file
from medzoo.store import verified_sha256, write_json

CHOICES = {"size": Choice(int, default=28)}
TAKES = LoadOptions()
SIZES = (28, 64, 128, 224)
URL = "https://zenodo.org/records/10519652/files/"
_SHOWS = {
    "pathmnist": "histopathology of the colon", "chestmnist": "chest radiographs", "dermamnist": "dermoscopy",
    "octmnist": "retinal OCT", "pneumoniamnist": "chest radiographs of children", "retinamnist": "fundus photographs",
    "breastmnist": "breast ultrasound", "bloodmnist": "microscopy of blood cells", "tissuemnist": "microscopy of kidney cells",
    "organamnist": "axial slices of abdominal CT", "organcmnist": "coronal slices of abdominal CT",
    "organsmnist": "sagittal slices of abdominal CT",
}  # fmt: skip
# Found by `medzoo tasks duplicates` in the official file with 28 pixels.
_NOTES = {
    "pneumoniamnist": "29 of the 5,856 images are exact copies of another one: 27 groups of copies, 8 of them in both train and "
    "validation, none in test; no group has two labels.",
}
_SPLITS = {"train": "train", "validation": "val", "test": "test"}


class _Set(NamedTuple):
    title: str
    kind: str
    channels: int
    counts: list[int]
    license: str
    published: list[float]
    classes: list[str]
    md5: list[str]


def _facts() -> dict[str, _Set]:
    with Path(__file__).with_name("medmnist.toml").open("rb") as file:
        return {name: _Set(**facts) for name, facts in tomllib.load(file).items()}


_SETS = _facts()


def _info(name: str, facts: _Set) -> TaskInfo:
    return TaskInfo(
        name=name,
        title=f"{facts.title} of MedMNIST v2 ({_SHOWS[name]}), official split",
        kind=facts.kind,
        classes=tuple(facts.classes),
        metric="auroc",
        unit="image",
        groups="none: MedMNIST publishes no patient ids",
        channels=facts.channels,
        license=facts.license,
        url="https://medmnist.com",
        citation="Yang et al., MedMNIST v2, Scientific Data 10, 41 (2023)",
        how=f"downloaded from {URL}{name}.npz when online; otherwise put {name}.npz in a folder and give --root FOLDER",
        published={
            "auroc": facts.published[0], "accuracy": facts.published[1], "model": "ResNet-18, 28 px",
            "source": "https://doi.org/10.1038/s41597-022-01721-8", "note": "typed, not yet checked against the paper's table",
        },
        note=_NOTES.get(name, ""),
    )  # fmt: skip


TASKS: dict[str, TaskInfo] = {name: _info(name, facts) for name, facts in _SETS.items()}


def load(name: str, root: Path | None = None, *, size: int = 28, check_md5: bool = True) -> Task:
    """A MedMNIST set with its official split.

    Args:
        name: name of the set.
        root: folder that holds the .npz file; by default medzoo's data folder, where a missing file is downloaded from Zenodo.
        size: 28, 64, 128 or 224 pixels.
        check_md5: False only in tests with generated files.

    Raises:
        DataContractError: if the file is missing and cannot be downloaded, or is not the official one.
        UsageError: for another size.
    """
    facts, info = _SETS[name], TASKS[name]
    if size not in SIZES:
        raise UsageError(
            f"Task {name} has no size {size}. Choose one of {', '.join(map(str, SIZES))}.", code="size-not-available"
        )
    # The file: present, downloaded now, or an error that says where to get it.
    file = f"{name}.npz" if size == 28 else f"{name}_{size}.npz"
    folder = paths.home() / "data" / "medmnist" if root is None else root
    expected = facts.md5[SIZES.index(size)]
    if not (folder / file).is_file():
        if root is not None:
            raise DataContractError(
                f"{folder / file} does not exist. Download it from {URL}{file} and give its folder as --root.",
                code="data-file-missing",
            )
        if why := why_no_downloads():
            raise DataContractError(
                f"{folder / file} does not exist. {why} Download {URL}{file} yourself, and give its folder as --root.",
                code="downloads-disabled",
            )
        _download(URL + file, folder / file, expected)
    if check_md5 and (got := _md5(folder / file)) != expected:
        raise DataContractError(
            f"{folder / file} has the MD5 {got}; the official file has {expected}. Delete it and download it again from "
            f"{URL}{file}. Your own data are not a MedMNIST set: store them as folders or Parquet and use folder:PATH.",
            code="md5-mismatch",
        )
    # One table per split, from the arrays of the file.
    reader = NpzReader(folder, file)
    columns = {}
    for (split, prefix), count in zip(_SPLITS.items(), facts.counts, strict=True):
        labels, rows = reader.array(f"{prefix}_labels"), reader.shape(f"{prefix}_images")[0]
        if labels.shape[0] != rows or (check_md5 and rows != count):
            raise DataContractError(
                f"{folder / file}, split {split}: {rows} images and {labels.shape[0]} labels; {count} of each expected.",
                code="image-count-wrong",
            )
        ids = [f"{prefix}/{row}" for row in range(rows)]
        keys = [f"{file}#{prefix}_images/{row}" for row in range(rows)]
        label = (
            labels.astype(np.float32) if facts.kind == "multilabel" else labels.reshape(rows, -1)[:, 0].astype(np.int64)
        )
        columns[split] = {"id": ids, "image": keys, "label": label, "patient_id": ids}
    return Task(info, columns, reader, fingerprint(folder, [file]), name=name if size == 28 else f"{name},size={size}")


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny file with the real keys, shapes and types (its MD5 differs from the official one).

    Args:
        root: folder.
        n: training images; at least one per class is written.
        seed: for the noise.
        name: name of the set.
    """
    name = name or next(iter(TASKS))
    facts, rng = _SETS[name], np.random.default_rng(seed)
    classes, arrays = len(facts.classes), {}
    for prefix, count in (("train", max(n, classes)), ("val", max(2, n // 2)), ("test", max(2, n // 2))):
        shape = (count, 28, 28) if facts.channels == 1 else (count, 28, 28, 3)
        arrays[f"{prefix}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
        labels = (np.arange(count) % classes).astype(np.uint8)
        if facts.kind == "multilabel":
            arrays[f"{prefix}_labels"] = np.eye(classes, dtype=np.uint8)[labels]
        else:
            arrays[f"{prefix}_labels"] = labels[:, None]
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / f"{name}.npz", allow_pickle=False, **arrays)


def _md5(path: Path) -> str:
    """The MD5 of a file, stored under its sha256, which is cached until the file changes."""
    sha256 = verified_sha256(path)
    note = paths.home() / "receipts" / f"md5-{sha256[:32]}.json"
    with suppress(OSError, ValueError, KeyError):
        content = json.loads(note.read_text())
        if content["sha256"] == sha256:
            return str(content["md5"])
    md5 = hash_file(path, "md5")
    with suppress(OSError):
        write_json(note, {"sha256": sha256, "md5": md5})
    return md5


def _download(url: str, path: Path, md5: str) -> None:
    try:
        with wait_for(path.with_name(f".{path.name}.lock")):  # the processes of a launch start together
            if path.is_file():
                return
            download(url, path, tries=2)
    except WeightsUnavailableError as error:
        raise DataContractError(
            f"{path} does not exist, and its download failed: {error} Copy the file from another machine, and give its folder as "
            "--root.",
            code="download-failed",
        ) from error
    if (got := _md5(path)) != md5:
        path.unlink()
        raise DataContractError(
            f"{url} has the MD5 {got}, but the official file has {md5}. The file was removed. Try again, or download it "
            "yourself and give its folder as --root.",
            code="md5-mismatch",
        )
