"""SIIM-ACR pneumothorax: chest radiographs whose masks are runs in a table, or images beside them.

Home: https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation/data.
Counts: https://github.com/dataset-ninja/siim-acr-pneumothorax-segmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.csv_rows import read_csv
from medzoo.data.files.find import files_below, find_one, need_folder
from medzoo.data.images.dicom.file import need_pydicom
from medzoo.data.problems import complain, complain_of
from medzoo.data.readers.masks import MaskReader, by_stem, check_sizes, header_size, need_partners, read_pairs
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, ImageError, listed

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
TABLES = ("train-rle.csv", "stage_2_train.csv")
FOLDER = "dicom-images-train"
NO_GROUPS = "none: radiographs that are no DICOM files do not say their patients"
Size = tuple[int, int]

TASKS: dict[str, TaskInfo] = {
    "siim_pneumothorax": TaskInfo(
        name="siim_pneumothorax",
        title="pneumothorax in frontal chest radiographs (SIIM-ACR)",
        kind="segmentation",
        classes=("pneumothorax",),
        metric="dice",
        unit="image",
        groups="PatientID of the DICOM files",
        channels=1,
        license="the competition's rules on Kaggle",
        url="https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation/data",
        citation="SIIM-ACR Pneumothorax Segmentation, Kaggle 2019, on radiographs of ChestX-ray14 "
        "(https://arxiv.org/abs/1705.02315)",
        how="Accept the rules on Kaggle, download the DICOM files and the table of runs, and unpack.",
        layout="""ROOT/  (or ROOT/siim/)
  train-rle.csv                                     (or stage_2_train.csv: ImageId,EncodedPixels; -1 is no pneumothorax)
  dicom-images-train/<study>/<series>/<ImageId>.dcm
or, as the study has it: ROOT/images/*.dcm (or *.png), ROOT/masks/*.png of the same names, or both below train, valid and test""",
        split="made by patient: 70, 10 and 20 %. The study of Hosseinzadeh Taher et al. publishes no lists; folders train, "
        "valid and test as it wants them are kept, and lists of names work through --split-file FOLDER.",
        note="12,047 annotated radiographs, 10,675 of them in train-rle.csv, of 1024 x 1024 pixels; 2,669 have a "
        "pneumothorax, so most masks are empty, and a net that marks nothing has a mean Dice of 0.78 where empty against "
        "empty counts as 1. The runs go down the columns, each start counted from the end of the run before. Several rows of "
        "one image are joined. DICOM files that the table does not name have no annotation and are left out.",
        published={
            "dice": 0.6793, "sd": 0.0145, "model": "U-Net with ResNet-50, supervised ImageNet",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021), domain-adaptation figure",
            "note": "the study does not say whether its Dice is over all pixels or a mean over images",
        },
    ),
}  # fmt: skip


class RunReader(MaskReader):
    """Masks under "image.dcm#runs": drawn from the runs of that image, in its size.

    Args:
        root: the data's folder.
        runs: path of an image → its runs, each a list of start and length in turn.
        sizes: path of an image → (height, width).
    """

    ID = "medzoo.data.tasks.siim.RunReader"  # in the keys of decoded images; never change it

    def __init__(self, root: Path, runs: dict[str, list[list[int]]], sizes: dict[str, Size]) -> None:
        super().__init__(root)
        self._runs, self._sizes = runs, sizes

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 1 where one of the runs is."""
        path, mark, _ = key.partition("#runs")
        return draw_runs(self._runs[path], self._sizes[path]) if mark else super().read_mask(key)


def draw_runs(runs: Sequence[Sequence[int]], size: Size) -> np.ndarray:
    """A mask from relative runs down the columns.

    Args:
        runs: start and length in turn; each start is counted from the end of the run before.
        size: (height, width).

    Returns:
        (H, W) uint8 of 0 and 1.

    Raises:
        ImageError: if a run leaves the image.

    Source: https://github.com/prasadsawant5/kaggle-pneumothorax (the competition's text)

    >>> draw_runs([[1, 2, 1, 1]], (3, 2)).tolist()
    [[0, 0], [1, 1], [1, 0]]
    """
    height, width = size
    flat = np.zeros(height * width, np.uint8)
    for run in runs:
        place = 0
        for start, length in zip(run[::2], run[1::2], strict=True):
            place += start
            if start < 0 or length < 1 or place + length > flat.size:
                raise ImageError(f"A run of {length} pixels from {place} leaves an image of {width} x {height} pixels.")
            flat[place : place + length] = 1
            place += length
    return flat.reshape(width, height).T.copy()


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The radiographs with their masks, from Kaggle's files or from the study's.

    Args:
        name: "siim_pneumothorax".
        root: the unpacked data.
        pooled: leave out the folders' split.

    Raises:
        DataContractError: for annotated images that are missing, damaged runs or headers, and images without a mask.
        MissingExtraError: if pydicom is not installed and there are DICOM files.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    pairs = read_pairs(root, (".dcm", ".png"), name)
    if pairs is not None:
        return _from_pairs(info, root, *pairs, pooled=pooled)
    outer = ("", "siim/", "pneumothorax/")
    table = find_one(root, [f"{folder}{file}" for folder in outer for file in TABLES], name)
    runs = _runs(table)
    images = by_stem(files_below(find_one(table.parent, (FOLDER,), name), (".dcm",), root), name)
    ids = need_partners(images, list(runs), name, "DICOM file", table.parent / FOLDER, ".dcm")
    paths = [images[key] for key in ids]
    headers = _headers(root, paths, name)
    sizes = {path: size for path, (size, _) in headers.items()}
    _check_runs({images[key]: runs[key] for key in ids if images[key] in sizes}, sizes, table)
    paths = [path for path in paths if path in headers]
    rows: dict[str, Any] = {
        "id": [key for key in ids if images[key] in headers],
        "image": paths,
        "mask": [f"{path}#runs" for path in paths],
        "patient_id": [headers[path][1] for path in paths],
        "pneumothorax": [bool(runs[key]) for key in ids if images[key] in headers],
    }
    reader = RunReader(root, {images[key]: runs[key] for key in ids}, sizes)
    return make_task(info, rows, None, root, [table.relative_to(root).as_posix()], reader=reader, pooled=pooled)


def _from_pairs(info: TaskInfo, root: Path, columns: dict[str, Any], splits: list[str] | None, *, pooled: bool) -> Task:
    """The study's layout; patients are known where all radiographs are DICOM files that say them."""
    images = columns["image"]
    check_sizes(root, images, columns["mask"], info.name)
    headers = _headers(root, [path for path in images if path.lower().endswith(".dcm")], info.name)
    sizes = [(path, mask, header_size(root / mask)) for path, mask in zip(images, columns["mask"], strict=True)]
    bad = [
        f"{mask} of {path}" for path, mask, size in sizes if path in headers and size not in (None, headers[path][0])
    ]
    complain_of(bad, f"Task {info.name}: {len(bad)} masks do not have the size of their image")
    patients = [headers[path][1] if path in headers else "" for path in images]
    known = len(headers) == len(images) and any(patients)
    columns["patient_id"] = patients if known else columns["id"]
    info = info if known else replace(info, groups=NO_GROUPS)
    return make_task(info, columns, splits, root, (), reader=MaskReader(root), pooled=pooled)


def _runs(table: Path) -> dict[str, list[list[int]]]:
    """ImageId → its runs, none where there is no pneumothorax."""
    _, cells = read_csv(table, ("ImageId", "EncodedPixels"))
    found: dict[str, list[list[int]]] = {}
    bad = []
    for row in cells:
        text = row["EncodedPixels"]
        runs = found.setdefault(row["ImageId"], [])
        if text == "-1":
            continue
        numbers = text.split()
        if not numbers or len(numbers) % 2 or not all(number.isdecimal() for number in numbers):
            bad.append(f"{row['ImageId']}: {text[:40]!r}")
            continue
        runs.append([int(number) for number in numbers])
    if bad:
        complain(
            DataContractError(f"{table}: {len(bad)} rows hold no pairs of start and length, and not -1: {listed(bad)}.")
        )
    return found


def _headers(root: Path, paths: list[str], task: str) -> dict[str, tuple[Size, str]]:
    """Path → (height, width) and PatientID, from the header alone."""
    if not paths:
        return {}
    pydicom = need_pydicom(f"Task {task}")
    found, bad = {}, []
    for path in paths:
        try:
            header = pydicom.dcmread(
                root / path, stop_before_pixels=True, specific_tags=["Rows", "Columns", "PatientID"]
            )
            found[path] = ((int(header.Rows), int(header.Columns)), str(header.get("PatientID") or ""))
        except Exception as error:  # damaged files raise anything
            bad.append(f"{path} ({error})")
    if bad:
        complain(DataContractError(f"Task {task}: {len(bad)} DICOM headers cannot be read: {listed(bad)}."))
    return found


def _check_runs(runs: dict[str, list[list[int]]], sizes: dict[str, Size], table: Path) -> None:
    bad = [path for path, parts in runs.items() for part in parts if sum(part) > sizes[path][0] * sizes[path][1]]
    if bad:
        complain(DataContractError(f"{table}: the runs of {len(bad)} images leave the image: {listed(bad)}."))


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: DICOM files below study and series, and the table of runs, most of them -1.

    Args:
        root: folder.
        n: radiographs; at least 12, two of the last patient.
        seed: of the noise, and of the width, so that other seeds give files of other sizes.
        name: "siim_pneumothorax".
    """
    from medzoo.data.synthetic.files import save_dicom

    rng = np.random.default_rng(seed)
    lines, side = ["ImageId, EncodedPixels"], 40 + seed
    for number in range(max(n, 12)):
        study, series, key = (f"1.2.276.0.7230010.3.1.{part}.{number}" for part in (2, 3, 4))
        patient = f"patient-{min(number, max(n, 12) - 2)}"
        path = root / FOLDER / study / series / f"{key}.dcm"
        save_dicom(path, rng, modality="CR", bits=8, side=side, uids=(study, series, key), PatientID=patient)
        lines += [f"{key},{side * 4 + 5} 10 22 10", f"{key},{side * 9} 3"] if number % 3 == 0 else [f"{key}, -1"]
    (root / TABLES[0]).write_text("\n".join(lines) + "\n")
