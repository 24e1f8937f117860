"""DDTI, thyroid ultrasound: benign or malignant by the TI-RADS score of the case, as in Juodelyte et al.

Paper: https://doi.org/10.1117/12.2073532. Files: https://www.kaggle.com/datasets/dasmehdixtr/ddti-thyroid-ultrasound-images.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medzoo.data.build_task import make_task, select_rows
from medzoo.data.files.find import by_name, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError

CHOICES = {"unscored": Choice(("benign", "out"), default="benign")}
TAKES = LoadOptions(pooled=True)
MALIGNANT = (
    4  # the lowest malignant TI-RADS score, https://github.com/DovileDo/revisiting-transfer (src/io_fun/data_import.py)
)
_IMAGE = re.compile(r"(\d+)_(\d+)\.jpg", re.IGNORECASE)
_SCORE = re.compile(r"([1-5])[abc]?")

TASKS: dict[str, TaskInfo] = {
    "thyroid": TaskInfo(
        name="thyroid",
        title="benign or malignant in thyroid ultrasound (DDTI), by TI-RADS",
        kind="binary",
        classes=("benign", "malignant"),
        metric="auroc",
        unit="image",
        groups="the case: the number before the underscore in the file's name",
        channels=1,
        license="not stated with the data; the paper calls them open access",
        url="https://www.kaggle.com/datasets/dasmehdixtr/ddti-thyroid-ultrasound-images",
        citation="Pedraza et al., An open access thyroid ultrasound-image database, Proc. SPIE 9287 (2015), "
        "https://doi.org/10.1117/12.2073532",
        how="Download the set and unpack.",
        layout="""ROOT/  (any folders, each name once)
  257_1.jpg    (case 257, its first image)
  257_2.jpg
  257.xml      (<case> with <number> and <tirads>)""",
        split="made by case: 70, 10 and 20 %. The folds of Juodelyte et al. (data/thyroid of "
        "https://github.com/DovileDo/revisiting-transfer): --split-file FOLDER --fold 0 to 4.",
        note="480 images of 390 cases. A TI-RADS score of 4 or 5 (4a, 4b, 4c, 5) counts as malignant: 288 images, 192 benign. "
        "A case without a score counts as benign, as in the study; `thyroid,unscored=out` leaves it out. The label comes "
        "from a reading of the images, not from a biopsy, and belongs to the whole case.",
        published={
            "auroc": 0.523, "sd": 0.089, "model": "ResNet-50, supervised ImageNet, mean of 5 folds",
            "source": "https://arxiv.org/abs/2302.08272 (Juodelyte et al.), results/AUC.csv",
            "note": "computed on folds that the study replaced later",
        },
    ),
}  # fmt: skip


def load(name: str, root: Path | None = None, *, unscored: str = "benign", pooled: bool = False) -> Task:
    """DDTI with the labels of the study.

    Args:
        name: "thyroid".
        root: the folder with the unpacked data.
        unscored: "benign" counts cases without a TI-RADS score as benign; "out" leaves them out.
        pooled: no effect: the data have no split.

    Raises:
        DataContractError: for images with other names or without a case file, damaged case files, and unknown scores.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    images, cases = by_name(root, (".jpg",), name), by_name(root, (".xml",), name)
    if not images or not cases:
        raise DataContractError(
            f"Task {name}: {root} has {len(images)} .jpg and {len(cases)} .xml files. `medzoo tasks info {name}` shows the "
            "layout.",
            code="images-not-found",
        )
    # The file name names the case; the case needs a file with its score.
    matches = {file: _IMAGE.fullmatch(file) for file in images}
    odd = [file for file, match in matches.items() if match is None]
    complain_of(odd, f"Task {name}: {len(odd)} images are not named CASE_NUMBER.jpg", code="file-name-invalid")
    known = _cases(root, cases, name)
    number_of = {file: str(int(match[1])) for file, match in matches.items() if match}
    unmatched = [file for file, number in number_of.items() if number not in known]
    complain_of(
        unmatched,
        f"Task {name}: {len(unmatched)} images have no case file (CASE.xml) below {root}",
        code="case-file-missing",
    )
    files = sorted(file for file, number in number_of.items() if number in known)
    scores = [known[number_of[file]]["tirads"] for file in files]
    rows = {
        "id": files,
        "image": [images[file] for file in files],
        "label": _labels(files, scores, name),
        "patient_id": [number_of[file] for file in files],
        "tirads": scores,
        "sex": [known[number_of[file]]["sex"] for file in files],
    }
    full_name = name
    if unscored == "out":
        rows, full_name = select_rows(rows, [score is not None for score in scores]), f"{name},unscored=out"
    return make_task(info, rows, None, root, sorted(cases.values()), pooled=pooled, name=full_name)


def _labels(files: list[str], scores: list[str | None], task: str) -> list[int]:
    labels, bad = [], []
    for file, score in zip(files, scores, strict=True):
        match = _SCORE.fullmatch(score or "1")
        if match is None:
            bad.append(f"{file}: {score!r}")
        labels.append(int(match is not None and int(match[1]) >= MALIGNANT))
    complain_of(bad, f"Task {task}: {len(bad)} images have an unknown TI-RADS score", code="score-unknown")
    return labels


def _cases(root: Path, paths: Mapping[str, str], task: str) -> dict[str, dict[str, str | None]]:
    """Number of the case → the values in its file; an empty element is None."""
    cases: dict[str, dict[str, str | None]] = {}
    bad, twice = [], []
    for file, path in paths.items():
        try:
            data = (root / path).read_bytes()
            if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
                raise ValueError("it declares entities, which a case file does not need")
            case = ElementTree.fromstring(data)
            texts = {key: (case.findtext(key) or "").strip() or None for key in ("number", "tirads", "sex")}
            number = str(int(texts["number"] or file.rpartition(".")[0]))
        except (ElementTree.ParseError, ValueError, OSError) as error:
            bad.append(f"{path} ({error})")
            continue
        if number in cases:
            twice.append(f"{number} ({path})")
        cases[number] = texts
    complain_of(bad, f"Task {task}: {len(bad)} case files cannot be read", code="case-file-unreadable")
    complain_of(twice, f"Task {task}: {len(twice)} cases have two files", code="case-file-duplicated")
    return cases


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set: JPEG images and case files.

    Args:
        root: folder.
        n: cases; at least 12, some with two images.
        seed: for the noise.
        name: "thyroid".
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    scores = ("2", "4a", "3", "5", "", "4c")
    for case in range(1, max(n, 12) + 1):
        score = scores[case % len(scores)]
        (root / f"{case}.xml").write_text(
            f"<case>\n<number>{case}</number><age>40</age><sex>{'MF'[case % 2]}</sex>"
            f"<tirads>{score}</tirads><mark><image>1</image><svg>[]</svg></mark>\n</case>\n"
        )
        for number in range(1, 2 + case % 2):
            image = Image.fromarray(rng.integers(0, 256, (36, 56, 3), dtype=np.uint8))
            image.save(root / f"{case}_{number}.jpg")
