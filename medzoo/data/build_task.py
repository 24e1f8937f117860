"""Build a task from the rows that a family reads from the tables of a data set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.files.fingerprint import fingerprint
from medzoo.data.label_policy import LabelPolicy, settle
from medzoo.data.problems import complain
from medzoo.data.readers.image_file import FileReader
from medzoo.data.task import Reader, Task
from medzoo.data.task_info import Choice, TaskInfo
from medzoo.data.vocabulary import EXCLUDED, MARKS, UNCERTAIN, is_empty
from medzoo.errors import DataContractError, listed


def make_task(
    info: TaskInfo,
    rows: Mapping[str, Any],
    splits: Sequence[str] | None,
    root: Path,
    tables: Iterable[str],
    *,
    reader: Reader | None = None,
    policy: LabelPolicy | None = None,
    pooled: bool = False,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
) -> Task:
    """Build a task from one row per image.

    Args:
        info: the family's facts.
        rows: column → one value per row: `id`, `image` and `mask` (paths below root; `file#key` inside a file), `label` (of a
            multilabel task (N, C) with -1 for uncertain and NaN for not annotated), `patient_id`, and the columns of subgroups.
        splits: of each row: train, validation, test or excluded; None if the data have no splits.
        root: the data's folder.
        tables: files below it that define the labels. The fingerprint covers their content, the content of the masks (users
            correct masks in place), and the sizes of the images.
        reader: gives pixels and masks; by default files below root.
        policy: of uncertain labels, for tasks that have some.
        pooled: drop the splits, because a split file or a fold replaces them.
        name: the task's name with its choices.
        classes: where the data decide them.

    Raises:
        DataContractError: as `Task`.
    """
    columns: dict[str, Any] = dict(rows)
    if policy is not None:
        settle_labels(columns, policy)
    row_splits = list(splits) if splits is not None else ["all"] * len(columns["id"])
    if pooled:
        row_splits = [split if split == EXCLUDED else "all" for split in row_splits]
    if classes is not None:
        info = replace(info, classes=classes)
    # Tables and masks are hashed by content, images by size.
    images, masks = (_files(columns.get(column, ())) for column in ("image", "mask"))
    content = [*tables, *(mask for mask in masks - images if (root / mask).is_file())]
    hashed = fingerprint(root, content, images)
    return Task(info, by_split(columns, row_splits), reader or FileReader(root), hashed, name=name, policy=policy)


def _files(keys: Iterable[Any]) -> set[str]:
    """The files that the keys name: `a.png|b.png` names two files, `scan.nii#3` names one."""
    return {part for key in keys for part in str(key).partition("#")[0].split("|")}


def settle_labels(columns: dict[str, Any], policy: LabelPolicy) -> None:
    """Apply the policy to the uncertain labels (-1) of the column `label`."""
    columns["label"], uncertain = settle(np.asarray(columns["label"], dtype=np.float32), policy)
    if policy.kind in ("soft", "one"):
        columns[UNCERTAIN] = uncertain.tolist()


def by_split(columns: Mapping[str, Any], row_splits: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Divide columns over all rows into the columns of each split, in row order. Excluded rows are dropped.

    Args:
        columns: over all rows.
        row_splits: the split of each row.

    >>> by_split({"id": ["a", "b", "c"]}, ["train", "excluded", "train"])
    {'train': {'id': ['a', 'c']}}
    """
    parts: dict[str, dict[str, Any]] = {}
    for split in dict.fromkeys(row_splits):
        if split != EXCLUDED:
            parts[split] = select_rows(columns, [row_split == split for row_split in row_splits])
    return parts


def marks(cells: Sequence[Mapping[str, str]], classes: Sequence[str], ids: Sequence[str], where: object) -> np.ndarray:
    """Cells with 1, 0, -1 (uncertain) or nothing (not annotated) as numbers, selected by column name.

    Args:
        cells: rows of a CSV.
        classes: columns, in the order of the result.
        ids: of the rows, for the message.
        where: for the message.

    Returns:
        float32 (N, C); NaN for empty cells.

    Raises:
        DataContractError: lists the cells with another value.

    >>> marks([{"a": "1.0", "b": ""}, {"a": "-1", "b": "0"}], ["a", "b"], ["x", "y"], "t.csv").tolist()
    [[1.0, nan], [-1.0, 0.0]]
    """
    found = np.full((len(cells), len(classes)), np.nan, np.float32)
    bad = []
    for number, row in enumerate(cells):
        for place, name in enumerate(classes):
            cell = row[name]
            if cell in MARKS:
                found[number, place] = MARKS[cell]
            elif not is_empty(cell):
                bad.append(f"{ids[number]}: {name} = {cell!r}")
    if bad:
        complain(
            DataContractError(
                f"{where}: {len(bad)} labels are not 1, 0, -1 or empty: {listed(bad)}.",
                code="label-not-a-mark",
                offenders=bad,
            )
        )
    return found


def numbered(words: Sequence[str], classes: Sequence[str], ids: Sequence[str], where: object) -> list[int]:
    """Class names as their positions.

    Raises:
        DataContractError: lists the rows whose name is not a class.

    >>> numbered(["no", "yes"], ("no", "yes"), ["a", "b"], "t.csv")
    [0, 1]
    """
    place = {name: number for number, name in enumerate(classes)}
    bad = [f"{key}: {word!r}" for key, word in zip(ids, words, strict=True) if word not in place]
    if bad:
        complain(
            DataContractError(
                f"{where}: {len(bad)} labels are outside the {len(classes)} classes ({listed(classes)}): {listed(bad)}.",
                code="label-outside-classes",
                offenders=bad,
            )
        )
    return [place.get(word, -1) for word in words]


def select_rows(columns: Mapping[str, Any], mask: Sequence[bool]) -> dict[str, Any]:
    """The rows for which `mask` is true."""
    chosen = [number for number, selected in enumerate(mask) if selected]
    return {
        name: values[chosen] if isinstance(values, np.ndarray) else [values[number] for number in chosen]
        for name, values in columns.items()
    }


def concatenate_rows(parts: Collection[Mapping[str, Any]]) -> dict[str, Any]:
    """Concatenate the columns of several parts.

    Args:
        parts: all with the same columns.

    >>> concatenate_rows([{"id": ["a"]}, {"id": ["b", "c"]}])
    {'id': ['a', 'b', 'c']}
    """
    return {
        name: np.concatenate([rows[name] for rows in parts])
        if isinstance(values, np.ndarray)
        else [value for rows in parts for value in rows[name]]
        for name, values in next(iter(parts)).items()
    }


def name_with_choices(name: str, chosen: Mapping[str, object], choices: Mapping[str, Choice]) -> str:
    """A task's name with the choices that differ from their defaults.

    >>> choices = {"view": Choice(("all", "frontal"), default="all"), "blank": Choice(("zero", "mask"), default="zero")}
    >>> name_with_choices("chexpert", {"view": "frontal", "blank": "zero"}, choices)
    'chexpert,view=frontal'
    """
    return name + "".join(f",{key}={value}" for key, value in chosen.items() if value != choices[key].default)
