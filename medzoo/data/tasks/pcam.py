"""PatchCamelyon: tumour in the middle of lymph node patches, from the official HDF5 files or from a study's PNG files.

Home: https://github.com/basveeling/pcam. Paper: https://arxiv.org/abs/1806.03962.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.class_folders import files_in
from medzoo.data.files.csv_rows import read_csv
from medzoo.data.files.find import find_one, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.readers.hdf5 import Hdf5Reader, open_hdf5, shape_in
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, listed

CHOICES = {"files": Choice(("h5", "png"))}
TAKES = LoadOptions(pooled=True)
PARTS = {"train": "train", "valid": "validation", "test": "test"}
STEM = "camelyonpatch_level_2_split_"
_NAME = re.compile(r"(\d+)_label=([01])\.png")

TASKS: dict[str, TaskInfo] = {
    "pcam": TaskInfo(
        name="pcam",
        title="tumour in patches of lymph nodes (PatchCamelyon), official split",
        kind="binary",
        classes=("no", "yes"),
        metric="auroc",
        unit="image",
        groups="the slide (wsi) of the three meta files; none without them, but official splits share no slides",
        channels=3,
        license="cc0-1.0",
        url="https://github.com/basveeling/pcam",
        citation="Veeling et al., Rotation equivariant CNNs for digital pathology, https://arxiv.org/abs/1806.03962",
        how="Download the nine files of https://github.com/basveeling/pcam and unpack them (gzip -d); reading them needs h5py.",
        layout=f"""ROOT/  (or ROOT/pcam/)
  {STEM}train_x.h5, {STEM}train_y.h5
  {STEM}valid_x.h5, {STEM}valid_y.h5
  {STEM}test_x.h5,  {STEM}test_y.h5
  {STEM}{{train,valid,test}}_meta.csv      (optional: the slide of each patch)
or ROOT/png_images/157778_label=0.png, as converted by Juodelyte et al. (also ROOT/PCam/png_images/)""",
        split="official: 262,144, 32,768 and 32,768 patches. With PNG files made by image: 70, 10 and 20 %. The folds of Juodelyte "
        "et al. are samples of their PNG files (10,000: data/pcam-small, 100,000: data/pcam-middle of "
        "https://github.com/DovileDo/revisiting-transfer): `pcam,files=png` with --split-file FOLDER --fold 0 to 4; patches "
        "that the lists do not name are left out.",
        note="96 x 96 pixels; the label is for the central 32 x 32. The study restarts the numbers of the PNG files in each "
        "official split and overwrites files with the same name and label. So its folder mixes the splits, slides are unknown, "
        "and its folds share slides between training and test.",
        published={
            "auroc": 0.938, "sd": 0.011, "model": "ResNet-50, supervised ImageNet, mean of 5 folds of 10,000 PNG files",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "computed on folds that the study replaced later; not the official split",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, files: str | None = None, pooled: bool = False) -> Task:
    """PatchCamelyon from HDF5 or PNG files.

    Args:
        name: "pcam".
        root: the folder with the unpacked data.
        files: "h5" or "png"; by default HDF5 if there are such files.
        pooled: ignore the official split.

    Raises:
        DataContractError: for missing or damaged files, files of different lengths, and labels other than 0 and 1.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    archives = [f"{folder}{STEM}{part}_{kind}.h5" for folder in ("", "pcam/") for part in PARTS for kind in "xy"]
    pictures = ["png_images", "PCam/png_images"]
    places = {"h5": archives, "png": pictures}.get(files or "", [*archives, *pictures])
    first = find_one(root, places, name)
    if first.name == "png_images":
        return _png(info, root, first, name, pooled)
    return _hdf5(info, root, first.parent, name, pooled)


def _png(info: TaskInfo, root: Path, folder: Path, task: str, pooled: bool) -> Task:
    files = files_in(folder, (".png",))
    odd = [file for file in files if not _NAME.fullmatch(file)]
    complain_of(
        odd,
        f"Task {task}: {len(odd)} files in {folder} are not named like 157778_label=0.png",
        code="file-name-invalid",
    )
    ids = [file for file in files if _NAME.fullmatch(file)]
    if not ids:
        raise DataContractError(f"Task {task}: {folder} has no .png files.", code="images-not-found")
    prefix = folder.relative_to(root).as_posix()
    labels = [int(file.rpartition(".")[0][-1]) for file in ids]
    rows = {"id": ids, "image": [f"{prefix}/{file}" for file in ids], "label": labels, "patient_id": ids}
    info = replace(info, groups="none: the PNG files do not say their slide")
    return make_task(info, rows, None, root, (), pooled=pooled, name=f"{task},files=png")


def _hdf5(info: TaskInfo, root: Path, base: Path, task: str, pooled: bool) -> Task:
    names = {(part, kind): f"{STEM}{part}_{kind}.h5" for part in PARTS for kind in "xy"}
    absent = [name for name in names.values() if not (base / name).is_file()]
    if absent:
        packed = [name for name in absent if (base / f"{name}.gz").is_file()]
        hint = f" Unpack them first (gzip -d {packed[0]}.gz)." if packed else ""
        raise DataContractError(
            f"Task {task}: {len(absent)} files are not in {base}: {listed(absent)}.{hint}", code="data-file-missing"
        )
    # The meta files give the slides; they are optional, but only all together.
    prefix = base.relative_to(root).as_posix()
    start = "" if prefix == "." else f"{prefix}/"
    metas = [f"{STEM}{part}_meta.csv" for part in PARTS if (base / f"{STEM}{part}_meta.csv").is_file()]
    if metas and len(metas) < len(PARTS):
        raise DataContractError(
            f"Task {task}: {base} has {listed(metas)} but not the other meta files. Add the others, or remove these.",
            code="tables-missing",
        )
    # Images, labels and slides of each split must have the same length.
    ids: list[str] = []
    keys, labels, slides, splits = [], [], [], []
    for part, split in PARTS.items():
        label = _labels(base / names[part, "y"], task)
        with open_hdf5(base / names[part, "x"]) as file:
            shape = shape_in(file, "x")
        wsi = [row["wsi"] for row in read_csv(base / f"{STEM}{part}_meta.csv", ("wsi",))[1]] if metas else None
        if shape[0] != len(label) or (wsi is not None and len(wsi) != len(label)):
            rows_read = "no meta file" if wsi is None else f"{len(wsi)} rows in the meta file"
            raise DataContractError(
                f"Task {task}, {part}: {shape[0]} images, {len(label)} labels, {rows_read}. The numbers must be equal: download "
                "the files again.",
                code="image-count-wrong",
            )
        numbers = range(shape[0])
        ids += [f"{part}/{number}" for number in numbers]
        keys += [f"{start}{names[part, 'x']}#x/{number}" for number in numbers]
        labels += label
        slides += wsi if wsi is not None else [f"{part}/{number}" for number in numbers]
        splits += [split] * shape[0]
    if not metas:
        info = replace(
            info, groups="none: the meta files are not there, which say the slide; official splits share no slides"
        )
    rows = {"id": ids, "image": keys, "label": labels, "patient_id": slides}
    tables = [f"{start}{name}" for name in (*(names[part, "y"] for part in PARTS), *metas)]
    return make_task(info, rows, splits, root, tables, reader=Hdf5Reader(root), pooled=pooled)


def _labels(path: Path, task: str) -> list[int]:
    with open_hdf5(path) as file:
        shape = shape_in(file, "y")
        values = np.asarray(file["y"]).reshape(shape[0], -1)
    if values.shape[1] != 1 or not np.isin(values, (0, 1)).all():
        raise DataContractError(
            f"Task {task}: {path} must have one label per patch, 0 or 1; its shape is {shape}.", code="label-invalid"
        )
    return values[:, 0].astype(int).tolist()


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: HDF5 files with the official names and arrays but smaller patches, and the meta files.

    Args:
        root: folder.
        n: patches of each split; at least 24.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "pcam".
    """
    import h5py

    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    count = max(n, 24)
    for part in PARTS:
        with h5py.File(root / f"{STEM}{part}_x.h5", "w") as file:
            patches = rng.integers(0, 256, (count, 24, 24 + seed, 3), dtype=np.uint8)
            file.create_dataset(
                "x", data=patches, chunks=(1, *patches.shape[1:]), compression="gzip", track_times=False
            )
        labels = (np.arange(count) % 2).astype(np.uint8).reshape(count, 1, 1, 1)
        with h5py.File(root / f"{STEM}{part}_y.h5", "w") as file:
            file.create_dataset("y", data=labels, track_times=False)
        lines = [",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi"]
        lines += [
            f"{row},{96 * row},0,{row % 2 == 1},{row % 2 == 1},slide_{part}_{row // 2:03d}" for row in range(count)
        ]
        (root / f"{STEM}{part}_meta.csv").write_text("\n".join(lines) + "\n")
