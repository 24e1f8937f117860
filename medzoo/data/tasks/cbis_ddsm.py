"""CBIS-DDSM, film mammograms: a malignant finding or none, one label per image (`mammograms`).

Home: https://www.cancerimagingarchive.net/collection/cbis-ddsm/. Paper: https://www.nature.com/articles/sdata2017177.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task
from medzoo.data.files.csv_rows import read_csv
from medzoo.data.files.find import files_below, find_one, need_folder
from medzoo.data.problems import complain, complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, listed

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(pooled=True)
TABLES = tuple(f"{kind}_case_description_{part}_set.csv" for kind in ("calc", "mass") for part in ("train", "test"))
COLUMNS = ("patient_id", "left or right breast", "image view", "pathology", "image file path")
PATHOLOGY = {"BENIGN": 0, "BENIGN_WITHOUT_CALLBACK": 0, "MALIGNANT": 1}

TASKS: dict[str, TaskInfo] = {
    "mammograms": TaskInfo(
        name="mammograms",
        title="malignant findings in film mammograms (CBIS-DDSM)",
        kind="binary",
        classes=("BENIGN", "MALIGNANT"),
        metric="auroc",
        unit="image",
        groups="patient_id",
        channels=1,
        license="cc-by-3.0",
        url="https://www.cancerimagingarchive.net/collection/cbis-ddsm/",
        citation="Lee et al., A curated mammography data set for use in computer-aided detection and diagnosis research, "
        "Scientific Data (2017), https://www.nature.com/articles/sdata2017177; data: "
        "https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY",
        how="Download the four CSV files and the full mammogram images from The Cancer Imaging Archive.",
        layout="""ROOT/
  calc_case_description_train_set.csv, calc_case_description_test_set.csv      (also in ROOT/csv/)
  mass_case_description_train_set.csv, mass_case_description_test_set.csv
  images/Calc-Training_P_00005_RIGHT_CC.png      (converted, as in the study)
or  CBIS-DDSM/Calc-Training_P_00005_RIGHT_CC/<study>/<series>/1-1.dcm      (as downloaded)""",
        split="made by patient: 70, 10 and 20 %. The folds of Juodelyte et al. (data/mammograms of "
        "https://github.com/DovileDo/revisiting-transfer): --split-file FOLDER --fold 0 to 4.",
        note="The tables have 3,568 findings in 3,103 images of 1,566 patients. The label belongs to the image: it is malignant "
        "if one of its findings is (17 images have findings of both kinds). BENIGN_WITHOUT_CALLBACK counts as benign. The study "
        "has one row per finding, 2,111 benign and 1,457 malignant, and so counts 465 images twice or more. The joined official "
        "training and test tables of calcifications and masses share 31 patients, so they are not used as a split. "
        "Regions of interest (folders that end in _1, _2, ...) are not read.",
        published={
            "auroc": 0.634, "sd": 0.043, "model": "ResNet-50, supervised ImageNet, mean of 5 folds",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "computed on folds that the study replaced later, one row per finding",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, pooled: bool = False) -> Task:
    """The full mammograms of the four tables, one row per image.

    Args:
        name: "mammograms".
        root: the folder with the unpacked data.
        pooled: no effect: the official split is not used.

    Raises:
        DataContractError: for missing tables or images, unknown pathologies, and an image with two patients.
    """
    # The four tables, in the root or in csv/.
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    base = find_one(root, [f"{folder}{table}" for folder in ("", "csv/") for table in TABLES], name).parent
    absent = [table for table in TABLES if not (base / table).is_file()]
    if absent:
        complain(
            DataContractError(
                f"Task {name}: {listed(absent)} not found in {base}. Add the missing files: all four tables are read.",
                code="tables-missing",
            )
        )
    tables = [table for table in TABLES if table not in absent]
    # Findings of each image; the image must have a file.
    findings = _by_image([row for table in tables for row in read_csv(base / table, COLUMNS)[1]], name)
    files = _files(root, set(findings), name)
    missing = [key for key in findings if key not in files]
    complain_of(
        missing,
        f"Task {name}: {len(missing)} of {len(findings)} images are not below {root}, neither as images/<name>.png nor as one "
        ".dcm in a folder <name>",
        code="images-missing",
    )
    # One row per image: it is malignant if one of its findings is.
    ids = [key for key in findings if key in files]
    rows = {
        "id": ids,
        "image": [files[key] for key in ids],
        "label": [max(PATHOLOGY.get(row["pathology"], 0) for row in findings[key]) for key in ids],
        "patient_id": [findings[key][0]["patient_id"] for key in ids],
        "side": [findings[key][0]["left or right breast"] for key in ids],
        "view": [findings[key][0]["image view"] for key in ids],
        "findings": [len(findings[key]) for key in ids],
    }
    return make_task(
        info, rows, None, root, [(base / table).relative_to(root).as_posix() for table in tables], pooled=pooled
    )


def _by_image(rows: list[dict[str, str]], task: str) -> dict[str, list[dict[str, str]]]:
    """Name of the image → its findings; the name is the first folder of the path in the tables."""
    findings: dict[str, list[dict[str, str]]] = {}
    bad, mixed = [], []
    for row in rows:
        key = row["image file path"].replace("\\", "/").strip("/").partition("/")[0]
        findings.setdefault(key, []).append(row)
        if row["pathology"] not in PATHOLOGY:
            bad.append(f"{key}: {row['pathology']!r}")
    for key, group in findings.items():
        if len({row["patient_id"] for row in group}) > 1 or not key:
            mixed.append(f"{key!r}: {sorted({row['patient_id'] for row in group})}")
    complain_of(
        bad,
        f"Task {task}: {len(bad)} findings have a pathology other than {listed(PATHOLOGY)}",
        code="class-unknown",
    )
    complain_of(
        mixed, f"Task {task}: {len(mixed)} images have no name or more than one patient", code="patient-ambiguous"
    )
    return findings


def _files(root: Path, names: set[str], task: str) -> dict[str, str]:
    """Name of an image → its file: a PNG of that name, or the only DICOM file below a folder of that name."""
    files: dict[str, str] = {}
    for path in files_below(root, (".png",)):
        stem = path.rpartition("/")[2].rpartition(".")[0]
        if stem in names and files.setdefault(stem, path) != path:
            complain(
                DataContractError(
                    f"Task {task}: {files[stem]} and {path} have the same name. Keep one of them.",
                    code="files-duplicated",
                    offenders=(files[stem], path),
                )
            )
    slices: dict[str, list[str]] = {}
    for path in files_below(root, (".dcm",)):
        name = next((part for part in path.split("/")[:-1] if part in names and part not in files), None)
        if name is not None:
            slices.setdefault(name, []).append(path)
    several = [f"{name}: {listed(paths, 3)}" for name, paths in slices.items() if len(paths) > 1]
    complain_of(
        several, f"Task {task}: {len(several)} images have more than one .dcm file", code="dicom-files-ambiguous"
    )
    return files | {name: paths[0] for name, paths in slices.items()}


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: the four tables, and PNG images, some with two findings.

    Args:
        root: folder.
        n: twice the number of patients per table, which is at least 6; two views each.
        seed: for the noise and the image width, so that another seed gives files of other sizes.
        name: "mammograms".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True, exist_ok=True)
    header = "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,assessment,pathology,"
    header += "subtlety,image file path,cropped image file path,ROI mask file path"
    words = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
    for place, table in enumerate(TABLES):
        kind, part = table.split("_")[0], ("Training", "Test")["test" in table]
        lines = [header]
        for number in range(max(n // 2, 6)):
            patient = f"P_{1000 * place + number:05d}"
            for view in ("CC", "MLO"):
                key = f"{kind.capitalize()}-{part}_{patient}_LEFT_{view}"
                array = rng.integers(0, 65536, (40, 28 + seed), dtype=np.uint16)
                Image.fromarray(array).save(root / "images" / f"{key}.png")
                for finding in range(2 if number % 3 == 1 else 1):
                    pathology = words[(number + finding) % 3]
                    path = f"{key}/1.3.6.1/1.3.6.2/000000.dcm"
                    lines.append(
                        f"{patient},3,LEFT,{view},{finding + 1},{kind},4,{pathology},3,{path},x/000000.dcm,x/000001.dcm"
                    )
        (root / table).write_text("\n".join(lines) + "\n")
