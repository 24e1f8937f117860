"""The twelve 2D sets of MedMNIST v2 with their official files, MD5s and splits.

Facts: https://github.com/MedMNIST/MedMNIST (medmnist/info.py, commit 805b742). Paper:
https://doi.org/10.1038/s41597-022-01721-8. No patient ids are published, so images of one patient may be spread
over training and test; the sets stay what their authors made them, and the task says that there are no groups.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medzoo import paths
from medzoo.data.files.downloads import downloads_allowed
from medzoo.data.files.fingerprint import fingerprint
from medzoo.data.readers.npz import NpzReader
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, UsageError
from medzoo.store import atomic_path, verified_sha256, write_json

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
# Found by `medzoo tasks duplicates` in the official file of 28 pixels.
_NOTES = {
    "pneumoniamnist": "29 of the 5,856 images repeat another one pixel for pixel: 27 groups, 8 of them in both train and "
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
        how=f"downloaded from {URL}{name}.npz when online; else put {name}.npz in a folder and give --root FOLDER",
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
        name: of the set.
        root: folder that holds the .npz file; by default medzoo's own, filled from Zenodo when the file is absent.
        size: 28, 64, 128 or 224 pixels.
        check_md5: only tests with made-up files leave this out.

    Raises:
        DataContractError: if the file is missing and cannot be fetched, or is not the official one.
    """
    facts, info = _SETS[name], TASKS[name]
    if size not in SIZES:
        raise UsageError(f"Task {name} has no size {size}; choose {', '.join(map(str, SIZES))}.")
    file = f"{name}.npz" if size == 28 else f"{name}_{size}.npz"
    folder = paths.home() / "data" / "medmnist" if root is None else root
    expected = facts.md5[SIZES.index(size)]
    if not (folder / file).is_file():
        if root is not None:
            raise DataContractError(
                f"{folder / file} does not exist. Get it from {URL}{file} and give its folder as --root."
            )
        if not downloads_allowed():
            raise DataContractError(f"{folder / file} does not exist, and nothing is fetched now.")
        _download(URL + file, folder / file, expected)
    if check_md5 and (got := _md5(folder / file)) != expected:
        raise DataContractError(
            f"{folder / file} has the MD5 {got}; the official file has {expected}. Delete it and get it again from "
            f"{URL}{file}. A file of your own is no MedMNIST set: store it as folders or Parquet and use folder:PATH."
        )
    reader = NpzReader(folder, file)
    columns = {}
    for (split, prefix), count in zip(_SPLITS.items(), facts.counts, strict=True):
        labels, rows = reader.array(f"{prefix}_labels"), reader.shape(f"{prefix}_images")[0]
        if labels.shape[0] != rows or (check_md5 and rows != count):
            raise DataContractError(
                f"{folder / file}, {split}: {rows} images, {labels.shape[0]} labels, {count} expected."
            )
        ids = [f"{prefix}/{row}" for row in range(rows)]
        keys = [f"{file}#{prefix}_images/{row}" for row in range(rows)]
        label = (
            labels.astype(np.float32) if facts.kind == "multilabel" else labels.reshape(rows, -1)[:, 0].astype(np.int64)
        )
        columns[split] = {"id": ids, "image": keys, "label": label, "patient_id": ids}
    return Task(info, columns, reader, fingerprint(folder, [file]), name=name if size == 28 else f"{name},size={size}")


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny file with the real keys, shapes and types (and so another MD5).

    Args:
        root: folder.
        n: training images; at least one a class is written.
        seed: of the noise.
        name: of the set.
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
    """The MD5 of a file; it follows from the sha256, which is remembered until the file changes."""
    sha256 = verified_sha256(path)
    note = paths.home() / "receipts" / f"md5-{sha256[:32]}.json"
    with suppress(OSError, ValueError, KeyError):
        content = json.loads(note.read_text())
        if content["sha256"] == sha256:
            return str(content["md5"])
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    with suppress(OSError):
        write_json(note, {"sha256": sha256, "md5": md5})
    return md5


def _download(url: str, path: Path, md5: str) -> None:
    from tqdm import tqdm

    digest = hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, atomic_path(path) as temporary:
            total = int(answer.headers.get("Content-Length") or 0) or None
            with (
                temporary.open("wb") as file,
                tqdm(total=total, unit="B", unit_scale=True, desc=path.name, disable=None) as bar,
            ):
                while chunk := answer.read(1 << 20):
                    file.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
            if digest.hexdigest() != md5:
                raise DataContractError(
                    f"{url} gave a file with the MD5 {digest.hexdigest()}; the official one has {md5}. Nothing was kept; "
                    "try again, or fetch it yourself and give its folder as --root."
                )
    except (urllib.error.URLError, OSError) as error:
        raise DataContractError(
            f"{path} does not exist, and {url} cannot be reached ({error}). Bring the file on another way and give its "
            "folder as --root."
        ) from error
