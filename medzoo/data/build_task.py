"""From the rows that a family reads out of a data set's own tables to a task."""

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
    """A task out of one row an image.

    Args:
        info: the family's facts.
        rows: column → one value a row: `id`, `image` and `mask` (paths below root; `file#key` inside a file), `label` (of a
            multilabel task (N, C) with -1 for uncertain and NaN for not annotated), `patient_id`, and what subgroups need.
        splits: of each row, train, validation, test or excluded; None if the data come without splits.
        root: the data's folder.
        tables: files below it that say what the labels are; the fingerprint holds their content and that of masks, which
            people correct in place, and of images the size.
        reader: gives pixels and masks; by default files below root.
        policy: of uncertain labels, for tasks that have some.
        pooled: leave the splits out, since a split file or a fold replaces them.
        name: the task's name with its choices.
        classes: where the data decide them.

    Raises:
        DataContractError: for whatever `Task` refuses.
    """
    columns: dict[str, Any] = dict(rows)
    if policy is not None:
        settle_labels(columns, policy)
    words = list(splits) if splits is not None else ["all"] * len(columns["id"])
    if pooled:
        words = [word if word == EXCLUDED else "all" for word in words]
    if classes is not None:
        info = replace(info, classes=classes)
    images, masks = (_files(columns.get(column, ())) for column in ("image", "mask"))
    content = [*tables, *(mask for mask in masks - images if (root / mask).is_file())]
    hashed = fingerprint(root, content, images)
    return Task(
        info, by_split(columns, words), reader or FileReader(root), hashed, name=name, policy=policy
    )  # fmt: skip


def _files(keys: Iterable[Any]) -> set[str]:
    """The files that keys name: `a.png|b.png` are two, `scan.nii#3` is one."""
    return {part for key in keys for part in str(key).partition("#")[0].split("|")}


def settle_labels(columns: dict[str, Any], policy: LabelPolicy) -> None:
    """Turn the uncertain labels (-1) of the column `label` into what the policy says."""
    columns["label"], uncertain = settle(np.asarray(columns["label"], dtype=np.float32), policy)
    if policy.kind in ("soft", "one"):
        columns[UNCERTAIN] = uncertain.tolist()


def by_split(columns: Mapping[str, Any], words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Columns over all rows → columns of each split, in the rows' order; excluded rows are left out.

    >>> by_split({"id": ["a", "b", "c"]}, ["train", "excluded", "train"])
    {'train': {'id': ['a', 'c']}}
    """
    parts: dict[str, dict[str, Any]] = {}
    for split in dict.fromkeys(words):
        if split == EXCLUDED:
            continue
        parts[split] = select_rows(columns, [word == split for word in words])
    return parts


def marks(cells: Sequence[Mapping[str, str]], classes: Sequence[str], ids: Sequence[str], where: object) -> np.ndarray:
    """Cells with 1, 0, -1 (uncertain) or nothing (not annotated) as numbers, found by the name of their column.

    Args:
        cells: rows of a CSV.
        classes: columns, in the order of the result.
        ids: of the rows, for the message.
        where: for the message.

    Returns:
        float32 (N, C); NaN where nothing was said.

    Raises:
        DataContractError: with the cells that hold anything else.

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
        complain(DataContractError(f"{where}: {len(bad)} labels are not 1, 0, -1 or empty: {listed(bad)}."))
    return found


def numbered(words: Sequence[str], classes: Sequence[str], ids: Sequence[str], where: object) -> list[int]:
    """Class names as their positions.

    Raises:
        DataContractError: with the rows whose name is no class.

    >>> numbered(["no", "yes"], ("no", "yes"), ["a", "b"], "t.csv")
    [0, 1]
    """
    place = {name: number for number, name in enumerate(classes)}
    bad = [f"{key}: {word!r}" for key, word in zip(ids, words, strict=True) if word not in place]
    if bad:
        complain(
            DataContractError(
                f"{where}: {len(bad)} labels are outside the {len(classes)} classes ({listed(classes)}): {listed(bad)}."
            )
        )
    return [place.get(word, -1) for word in words]


def select_rows(columns: Mapping[str, Any], wanted: Sequence[bool]) -> dict[str, Any]:
    """The rows for which `wanted` holds."""
    chosen = [number for number, yes in enumerate(wanted) if yes]
    return {
        name: values[chosen] if isinstance(values, np.ndarray) else [values[number] for number in chosen]
        for name, values in columns.items()
    }


def concatenate_rows(parts: Collection[Mapping[str, Any]]) -> dict[str, Any]:
    """Columns of several parts, one after the other.

    Args:
        parts: with the same columns.

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
