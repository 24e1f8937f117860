"""TEMPLATE of a task family. FILL IN: what the data are, in one sentence.

FILL IN: links to the paper, the download page and the page that says what the columns mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.build_task import make_task, name_with_choices, select_rows
from medzoo.data.files.csv_columns import numbers, read_columns
from medzoo.data.files.find import find_one, need_files, need_folder
from medzoo.data.problems import complain_of
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo

# FILL IN: what a user may choose after the name, as in template,view=frontal. Each is a keyword argument of load with the same
# default. Without any: CHOICES: dict[str, Choice] = {}
CHOICES = {"view": Choice(("all", "frontal"), default="all")}
# FILL IN: pooled=True if the data have splits of their own, label_policy=True if labels may be uncertain (-1).
TAKES = LoadOptions(pooled=True)
SPLITS = {"train": "train", "val": "validation", "test": "test"}  # FILL IN: the words of the data → those of medzoo

# FILL IN: the facts, for each task of these files. `TaskInfo` explains every field; leave out what you do not know.
TASKS: dict[str, TaskInfo] = {
    "template": TaskInfo(
        name="template",
        title="normal or pneumonia in chest radiographs",
        kind="binary",
        classes=("normal", "pneumonia"),
        metric="auroc",
        unit="image",
        groups="patient",  # the column that says which images are of one patient, or "none: " and the reason
        channels=1,
        license="CC-BY-4.0",
        url="https://example.org/data",
        citation="Author et al., Title, Journal (year), https://doi.org/...",
        how="Download images.zip and labels.csv from https://example.org/data, and unpack them into one folder.",
        layout="""ROOT/
  labels.csv      (columns image, patient, finding, view, split, age)
  images/p1_0.png""",
        split="official: the column split of labels.csv",
    ),
}


def load(name: str, root: Path | None = None, *, view: str = "all", pooled: bool = False) -> Task:
    """FILL IN: the data set in one sentence.

    Args:
        name: "template".
        root: the unpacked data.
        view: "all" or "frontal" images.
        pooled: leave out the splits.

    Raises:
        DataContractError: for missing files, unknown labels and unknown splits.
    """
    info = TASKS[name]
    root = need_folder(root, name, info.how)
    # FILL IN: read the tables. read_columns raises if a column is missing.
    table = find_one(root, ("labels.csv",), name)
    cells = read_columns(table, ("image", "patient", "finding", "split"), ("view", "age"))
    files = [f"images/{image}" for image in cells["image"]]
    # complain_of raises for the first problem; `medzoo tasks check` collects them all. Rows with a problem are left out below.
    unknown = [image for image, word in zip(cells["image"], cells["finding"], strict=True) if word not in info.classes]
    other = f"{table}: {len(unknown)} images have a finding other than {', '.join(info.classes)}"
    complain_of(unknown, other, code="label-outside-classes")
    strange = [image for image, word in zip(cells["image"], cells["split"], strict=True) if word not in SPLITS]
    other = f"{table}: {len(strange)} images have a split other than {', '.join(SPLITS)}"
    complain_of(strange, other, code="split-name-unknown")
    absent = need_files(root, files, name)
    # FILL IN: one value for each image. Paths are relative to root; labels are positions in classes.
    rows: dict[str, Any] = {
        "id": cells["image"],
        "image": files,
        "label": [info.classes.index(word) if word in info.classes else -1 for word in cells["finding"]],
        "patient_id": cells["patient"],
        "age": numbers(cells.get("age", [""] * len(files)), 0, 120),
        "view": cells.get("view", ["frontal"] * len(files)),
        "split": [SPLITS.get(word) for word in cells["split"]],
    }
    keep = [
        file not in absent and label >= 0 and split is not None and view in ("all", shown)
        for file, label, split, shown in zip(files, rows["label"], rows["split"], rows["view"], strict=True)
    ]
    rows = select_rows(rows, keep)
    full = name_with_choices(name, {"view": view}, CHOICES)
    return make_task(info, rows, rows.pop("split"), root, [table.name], pooled=pooled, name=full)


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write a tiny data set in the layout above: PNG files of noise and labels.csv.

    Args:
        root: folder.
        n: training images; at least 12. A quarter as many are written for validation and for test.
        seed: of the noise.
        name: not used; there is one task.
    """
    from medzoo.data.synthetic.files import save_picture

    # FILL IN: the file formats and column names of the real data. Every class is in every split, a patient is in one split.
    rng = np.random.default_rng(seed)
    lines = ["image,patient,finding,view,split,age"]
    classes = TASKS["template"].classes
    for split, count in (("train", max(n, 12)), ("val", max(n, 12) // 4 + 2), ("test", max(n, 12) // 4 + 2)):
        for number in range(count):
            patient, visit = divmod(number, 2)
            file = f"{split}{patient}_{visit}.png"
            save_picture(root / "images" / file, rng)
            view = "lateral" if number % 5 == 4 else "frontal"
            lines.append(f"{file},{split}-p{patient},{classes[number % len(classes)]},{view},{split},{20 + patient}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
