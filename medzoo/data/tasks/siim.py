"""SIIM-ACR pneumothorax: chest radiographs with masks as run lengths in a table, or as image files.

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
from medzoo.data.problems import complain_of
from medzoo.data.readers.masks import MaskReader, by_stem, check_sizes, header_size, need_partners, read_pairs
from medzoo.data.synthetic.files import save_dicom
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import ImageError

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
  train-rle.csv                                     (or stage_2_train.csv: ImageId,EncodedPixels; -1: without pneumothorax)
  dicom-images-train/<study>/<series>/<ImageId>.dcm
or, as in the study: ROOT/images/*.dcm (or *.png), ROOT/masks/*.png with the same names, or both below train, valid and test""",
        split="made by patient: 70, 10 and 20 %. The study of Hosseinzadeh Taher et al. publishes no lists. If there are folders "
        "train, valid and test as in the study, they are the splits; lists of names work with --split-file FOLDER.",
        note="12,047 annotated radiographs of 1024 x 1024 pixels, 10,675 of them in train-rle.csv. 2,669 have a pneumothorax, so "
        "most masks are empty: a network that predicts empty masks has a mean Dice of 0.78 if the Dice of two empty masks is 1. "
        "The runs go down the columns; each start is counted from the end of the previous run. Several rows of one image are "
        "joined. DICOM files that are not in the table have no annotation and are left out.",
        published={
            "dice": 0.6793, "sd": 0.0145, "model": "U-Net with ResNet-50, supervised ImageNet",
            "source": "https://arxiv.org/abs/2108.05930 (Hosseinzadeh Taher et al. 2021), domain-adaptation figure",
            "note": "the study does not say whether its Dice is over all pixels or a mean over images",
        },
    ),
}  # fmt: skip


class RunReader(MaskReader):
    """Masks under "image.dcm#runs", drawn from the runs of that image, in its size.

    Args:
        root: the data's folder.
        runs: path of an image → its runs; each is a list of alternating starts and lengths.
        sizes: path of an image → (height, width).
    """

    ID = "medzoo.data.tasks.siim.RunReader"  # part of the keys of decoded images; never change it

    def __init__(self, root: Path, runs: dict[str, list[list[int]]], sizes: dict[str, Size]) -> None:
        super().__init__(root)
        self._runs, self._sizes = runs, sizes

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 1 inside a run."""
        path, mark, _ = key.partition("#runs")
        return draw_runs(self._runs[path], self._sizes[path]) if mark else super().read_mask(key)


def draw_runs(runs: Sequence[Sequence[int]], size: Size) -> np.ndarray:
    """A mask from relative runs down the columns.

    Args:
        runs: alternating starts and lengths; each start is counted from the end of the previous run.
        size: (height, width).

    Returns:
        (H, W) uint8 of 0 and 1.

    Raises:
        ImageError: if a run ends outside the image.

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
                raise ImageError(
                    f"A run of {length} pixels from pixel {place} is not inside the image of {width} x {height} pixels.",
                    code="run-outside-image",
                )
            flat[place : place + length] = 1
            place += length
    return flat.reshape(width, height).T.copy()


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The radiographs with their masks, from Kaggle's files or from the study's.

    Args:
        name: "siim_pneumothorax".
        root: the folder with the unpacked data.
        pooled: ignore the split by folders.

    Raises:
        DataContractError: for annotated images that are missing, damaged runs or headers, and images without a mask.
        MissingExtraError: if pydicom is not installed and there are DICOM files.
    """
    # The study's layout, if its folders exist.
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    pairs = read_pairs(root, (".dcm", ".png"), name)
    if pairs is not None:
        return _from_pairs(info, root, *pairs, pooled=pooled)
    # Kaggle's layout: every image of the table needs its DICOM file.
    outer = ("", "siim/", "pneumothorax/")
    table = find_one(root, [f"{folder}{file}" for folder in outer for file in TABLES], name)
    runs = _runs(table)
    images = by_stem(files_below(find_one(table.parent, (FOLDER,), name), (".dcm",), root), name)
    ids = need_partners(images, list(runs), name, "DICOM file", table.parent / FOLDER, ".dcm")
    # Sizes and patients come from the DICOM headers.
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
    """The study's layout; patients are known if all radiographs are DICOM files with a PatientID."""
    images = columns["image"]
    check_sizes(root, images, columns["mask"], info.name)
    headers = _headers(root, [path for path in images if path.lower().endswith(".dcm")], info.name)
    sizes = [(path, mask, header_size(root / mask)) for path, mask in zip(images, columns["mask"], strict=True)]
    bad = [
        f"{mask} of {path}" for path, mask, size in sizes if path in headers and size not in (None, headers[path][0])
    ]
    complain_of(
        bad, f"Task {info.name}: {len(bad)} masks do not have the size of their image", code="mask-size-differs"
    )
    patients = [headers[path][1] if path in headers else "" for path in images]
    known = len(headers) == len(images) and any(patients)
    columns["patient_id"] = patients if known else columns["id"]
    info = info if known else replace(info, groups=NO_GROUPS)
    return make_task(info, columns, splits, root, (), reader=MaskReader(root), pooled=pooled)


def _runs(table: Path) -> dict[str, list[list[int]]]:
    """ImageId → its runs; the list is empty without a pneumothorax."""
    _, cells = read_csv(table, ("ImageId", "EncodedPixels"))
    runs_of_image: dict[str, list[list[int]]] = {}
    bad = []
    for row in cells:
        text = row["EncodedPixels"]
        runs = runs_of_image.setdefault(row["ImageId"], [])
        if text == "-1":
            continue
        numbers = text.split()
        if not numbers or len(numbers) % 2 or not all(number.isdecimal() for number in numbers):
            bad.append(f"{row['ImageId']}: {text[:40]!r}")
            continue
        runs.append([int(number) for number in numbers])
    complain_of(bad, f"{table}: {len(bad)} rows are neither pairs of start and length nor -1", code="runs-invalid")
    return runs_of_image


def _headers(root: Path, paths: list[str], task: str) -> dict[str, tuple[Size, str]]:
    """Path → (height, width) and PatientID, read from the headers only."""
    if not paths:
        return {}
    pydicom = need_pydicom(f"Task {task}")
    headers, bad = {}, []
    for path in paths:
        try:
            header = pydicom.dcmread(
                root / path, stop_before_pixels=True, specific_tags=["Rows", "Columns", "PatientID"]
            )
            headers[path] = ((int(header.Rows), int(header.Columns)), str(header.get("PatientID") or ""))
        except Exception as error:  # damaged files raise many kinds of errors
            bad.append(f"{path} ({error})")
    complain_of(bad, f"Task {task}: {len(bad)} DICOM headers cannot be read", code="dicom-header-unreadable")
    return headers


def _check_runs(runs: dict[str, list[list[int]]], sizes: dict[str, Size], table: Path) -> None:
    bad = [path for path, parts in runs.items() for part in parts if sum(part) > sizes[path][0] * sizes[path][1]]
    complain_of(bad, f"{table}: {len(bad)} images have runs outside the image", code="run-outside-image")


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: DICOM files below study and series, and the table of runs, most of them -1.

    Args:
        root: folder.
        n: radiographs; at least 12, two of the last patient.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "siim_pneumothorax".
    """
    rng = np.random.default_rng(seed)
    lines, side = ["ImageId, EncodedPixels"], 40 + seed
    for number in range(max(n, 12)):
        study, series, key = (f"1.2.276.0.7230010.3.1.{part}.{number}" for part in (2, 3, 4))
        patient = f"patient-{min(number, max(n, 12) - 2)}"
        path = root / FOLDER / study / series / f"{key}.dcm"
        save_dicom(path, rng, modality="CR", bits=8, side=side, uids=(study, series, key), PatientID=patient)
        lines += [f"{key},{side * 4 + 5} 10 22 10", f"{key},{side * 9} 3"] if number % 3 == 0 else [f"{key}, -1"]
    (root / TABLES[0]).write_text("\n".join(lines) + "\n")
