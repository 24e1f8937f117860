"""BraTS 2020: regions of gliomas in slices of T1, T1ce and FLAIR, from NIfTI volumes or from the RadNet study's .npy slices.

Home: https://www.med.upenn.edu/cbica/brats2020/data.html. The study: https://github.com/TIO-IKIM/Transfer-learning-across-domain-boundaries.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.find import files_below, need_folder
from medzoo.data.images.read import Pixels
from medzoo.data.problems import complain_of
from medzoo.data.readers.image_file import FileReader
from medzoo.data.readers.masks import need_partners, splits_by_folder
from medzoo.data.readers.nifti_slices import SliceReader, count_slices, save_volume, stack_channels
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, ImageError, listed

CHOICES = {"files": Choice(("nifti", "npy"))}
TAKES = LoadOptions(pooled=True)
CHANNELS = ("t1", "t1ce", "flair")  # without T2, so that networks for three channels fit
LABELS = (0, 1, 2, 4)  # in the data: background, NCR/NET, edema, enhancing tumour; 4 becomes 3
_FILE = re.compile(r"(.+)_(t1|t1ce|t2|flair|seg)\.(nii|nii\.gz|npy)")
_PATIENT = re.compile(r"BraTS\w*?_(?:Training|Validation)_\d+|.+(?=_\d+$)")
_ODD = "Segm"  # one segmentation, of case 355, is called W39_1998.09.19_Segm.nii in a common copy

TASKS: dict[str, TaskInfo] = {
    "brats2020": TaskInfo(
        name="brats2020",
        title="regions of gliomas in MR slices (BraTS 2020)",
        kind="segmentation",
        classes=("NCR/NET", "edema", "enhancing tumour"),
        metric="dice",
        unit="slice",
        groups="the case: BraTS20_Training_001",
        channels=3,
        license="for research and education, on registration with the organisers",
        url="https://www.med.upenn.edu/cbica/brats2020/data.html",
        citation="the BraTS 2020 data page and the papers that it names, "
        "https://www.med.upenn.edu/cbica/brats2020/data.html",
        how="Register at https://www.med.upenn.edu/cbica/brats2020/registration.html and download the training data.",
        layout="""ROOT/  (any folders)
  BraTS20_Training_001/BraTS20_Training_001_t1.nii.gz        (also .nii)
  BraTS20_Training_001/BraTS20_Training_001_{t1ce,t2,flair,seg}.nii.gz
or ROOT/  (or ROOT/BraTS/, as in the RadNet study)
  train/<id>_{t1,t1ce,t2,flair,seg}.npy      (one slice each)
  val/...  test/...""",
        split="made by case: 70, 10 and 20 %. If there are folders train, val and test, they are the splits; a case in two of "
        "them is an error. The RadNet study publishes no lists.",
        regions={"ET": (3,), "WT": (1, 2, 3), "TC": (1, 3)},
        note="369 cases, 155 slices each, most of them without tumour. The channels are T1, T1ce and FLAIR; T2 is dropped, as "
        "in the study. Intensities have no common scale: every slice is scaled by its lowest and highest value over the three "
        "channels, as in the study. Label 4 is stored as 3. The metric scores the regions ET (3), WT (1, 2, 3) and TC (1, 3), "
        "as in the study's evaluation code.",
        published={
            "dice_ET": 0.8547, "dice_WT": 0.8946, "dice_TC": 0.8457,
            "model": "U-Net with ResNet-50, SimCLR ImageNet, mean of 4 runs",
            "source": "https://arxiv.org/abs/2306.17555 (Jonske et al.), experiment E1",
            "note": "mean of the Dice of each batch, so it depends on the batch size; 256 x 256 pixels",
        },
    ),
}  # fmt: skip


class NpyReader(FileReader):
    """Images under "a_t1.npy|a_t1ce.npy|a_flair.npy", masks under "a_seg.npy"."""

    ID = "medzoo.data.tasks.brats.NpyReader"  # part of the keys of decoded images; never change it

    def read(self, key: str) -> Pixels:
        """(H, W, 3), the range being the lowest and the highest value."""
        return stack_channels([self._array(part) for part in key.split("|")], key, str(self.root))

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8 with values 0 to 3."""
        return _mask(self._array(key), str(self.root / key))

    def _array(self, key: str) -> np.ndarray:
        try:
            array = np.load(self.root / key, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ImageError(
                f"{self.root / key} is not a complete .npy file ({error}). Get it again.", code="npy-unreadable"
            ) from error
        if array.ndim != 2 or array.dtype.kind not in "uifb":
            raise ImageError(
                f"{self.root / key} holds {array.dtype} of shape {array.shape}; a slice must be numbers of shape (H, W).",
                code="npy-not-a-slice",
            )
        return array


class TumourReader(SliceReader):
    """Images under "a_t1.nii|a_t1ce.nii|a_flair.nii#77", masks under "a_seg.nii#77"."""

    ID = "medzoo.data.tasks.brats.TumourReader"  # part of the keys of decoded images; never change it

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8 with values 0 to 3."""
        return _mask(self.labels(key), str(self.root / key))


def _mask(values: np.ndarray, where: str) -> np.ndarray:
    if not np.isin(values, LABELS).all():
        raise ImageError(
            f"{where}: the mask has the values {np.unique(values).tolist()[:9]}; only {listed(LABELS)} are allowed.",
            code="mask-values-invalid",
        )
    return np.where(values == 4, 3, values).astype(np.uint8)


def load(name: str, root: Path | None = None, *, files: str | None = None, pooled: bool = False) -> Task:
    """The slices of all cases.

    Args:
        name: "brats2020".
        root: the folder with the unpacked data.
        files: "nifti" or "npy"; by default NIfTI if there are such files.
        pooled: ignore the split by folders.

    Raises:
        DataContractError: if a case lacks a channel or the segmentation, or an id does not name its case.
        SplitError: if a case is in two of the folders train, val and test.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    kinds = {"nifti": (".nii", ".nii.gz"), "npy": (".npy",)}
    for kind in (files,) if files else kinds:
        cases = _cases(root, files_below(root, kinds[kind]), name)
        if cases:
            return (_nifti if kind == "nifti" else _npy)(info, root, cases, name, pooled)
    raise DataContractError(
        f"Task {name}: {root} has no files named like <id>_t1.nii.gz or <id>_t1.npy. `medzoo tasks info {name}` shows the layout.",
        code="images-not-found",
    )


def _cases(root: Path, paths: list[str], task: str) -> dict[str, dict[str, str]]:
    """Id → channel → path, for the ids that have all channels and a segmentation."""
    cases: dict[str, dict[str, str]] = {}
    suffix = ""
    # The segmentation with the odd name belongs to the case whose folder it is in.
    odd = {path.rpartition("/")[0].rpartition("/")[2]: path for path in paths if _ODD in path.rpartition("/")[2]}
    twice = []
    for path in paths:
        match = _FILE.fullmatch(path.rpartition("/")[2])
        if match and cases.setdefault(match[1], {}).setdefault(match[2], path) != path:
            twice.append(f"{cases[match[1]][match[2]]} and {path}")
        suffix = f".{match[3]}" if match else suffix
    complain_of(twice, f"Task {task}: {len(twice)} files are there twice; keep one of each", code="files-duplicated")
    for key, parts in cases.items():
        if "seg" not in parts and key in odd:
            parts["seg"] = odd[key]
    for part in (*CHANNELS, "seg"):
        with_part = {key: parts[part] for key, parts in cases.items() if part in parts}
        need_partners(with_part, list(cases), task, part, root, f"_{part}{suffix}")
    return {key: parts for key, parts in cases.items() if {*CHANNELS, "seg"} <= set(parts)}


def _patients(keys: list[str], task: str) -> dict[str, str]:
    """Id → case; the case is the first part of the id."""
    patients = {key: match[0] for key in keys if (match := _PATIENT.match(key))}
    unmatched = [key for key in keys if key not in patients]
    if unmatched:
        raise DataContractError(
            f"Task {task}: {len(unmatched)} ids do not name their case, so slices of one case could be in two splits: "
            f"{listed(unmatched)}. An id must begin like BraTS20_Training_001, or end in _ and the slice number.",
            code="patient-not-in-file-name",
        )
    return patients


def _npy(info: TaskInfo, root: Path, cases: dict[str, dict[str, str]], task: str, pooled: bool) -> Task:
    patients = _patients(list(cases), task)
    rows: dict[str, Any] = {
        "id": list(cases),
        "image": ["|".join(parts[channel] for channel in CHANNELS) for parts in cases.values()],
        "mask": [parts["seg"] for parts in cases.values()],
        "patient_id": [patients[key] for key in cases],
    }
    splits = splits_by_folder(rows["mask"], task)
    full_name = f"{task},files=npy"
    return make_task(info, rows, splits, root, (), reader=NpyReader(root), pooled=pooled, name=full_name)


def _nifti(info: TaskInfo, root: Path, cases: dict[str, dict[str, str]], task: str, pooled: bool) -> Task:
    rows: dict[str, list[str]] = {"id": [], "image": [], "mask": [], "patient_id": []}
    for key, parts in cases.items():
        paths = [parts[channel] for channel in CHANNELS]
        for number in range(count_slices(root, [*paths, parts["seg"]], task)):
            rows["id"].append(f"{key}_{number}")
            rows["image"].append(f"{'|'.join(paths)}#{number}")
            rows["mask"].append(f"{parts['seg']}#{number}")
            rows["patient_id"].append(key)
    splits = splits_by_folder(rows["mask"], task, least=2)
    return make_task(info, rows, splits, root, (), reader=TumourReader(root), pooled=pooled)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: NIfTI volumes of four channels and their segmentations.

    Args:
        root: folder.
        n: cases; at least 6, of three slices.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "brats2020".
    """
    rng = np.random.default_rng(seed)
    for number in range(1, max(n // 2, 6) + 1):
        key = f"BraTS20_Training_{number:03d}"
        shape = (24 + seed, 24, 3)
        for channel in ("t1", "t1ce", "t2", "flair"):
            volume = rng.integers(0, 900 if channel == "t1" else 2400, shape).astype(np.int16)
            save_volume(root / key / f"{key}_{channel}.nii.gz", volume)
        seg = np.zeros(shape, np.uint8)
        seg[4:20, 4:20, 1:] = 2
        seg[8:16, 8:16, 1:] = 4
        seg[10:14, 10:14, 2:] = 1
        save_volume(root / key / f"{key}_seg.nii.gz", seg)
