"""Checks before a task is built: ids, groups, images, splits and labels. The messages name every offender."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.patient_ids import alike_form, same_form, spellings
from medzoo.data.problems import advise, complain
from medzoo.data.vocabulary import SPLITS, is_empty
from medzoo.errors import DataContractError, MissingExtraError, SplitError, listed

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_table(rows: Mapping[str, Any] | pa.Table) -> pa.Table:
    """Columns (lists or arrays; labels may be (N, C)) as an Arrow table.

    Raises:
        MissingExtraError: if pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtraError("pyarrow", "recipes", "Opening a task") from None
    if isinstance(rows, pa.Table):
        return rows
    if not isinstance(rows, Mapping):
        raise DataContractError(
            f"A split is {rows!r}. Give a mapping of column names to lists.", code="split-not-a-mapping"
        )
    columns = {}
    for name, values in rows.items():
        if isinstance(values, np.ndarray) and values.ndim == 2:
            flat = pa.array(values.astype(np.float32).ravel())
            offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * values.shape[1])
            columns[name] = pa.ListArray.from_arrays(offsets, flat)
        else:
            columns[name] = pa.array(values)
    return pa.table(columns)


def check_splits(task: str, tables: Mapping[str, pa.Table], kind: str) -> None:
    """Check that the splits have known names, a training set, and the columns of this kind of task.

    Raises:
        DataContractError: lists what is missing or unknown.
    """
    unknown = [split for split in tables if split not in (*SPLITS, "all")]
    if unknown or ("all" in tables and len(tables) > 1):
        raise DataContractError(
            f"Task {task}: splits are {listed(tables)}; the allowed names are {', '.join(SPLITS)}.",
            code="split-names-unknown",
        )
    if "train" not in tables and "all" not in tables:
        raise DataContractError(
            f"Task {task} has no training split; it has {listed(tables) or 'nothing'}.", code="training-split-missing"
        )
    for split, table in tables.items():
        missing = [name for name in ("id", "image", "patient_id") if name not in table.column_names]
        if kind != "unlabelled" and not {"label", "mask"} & set(table.column_names):
            missing.append("label or mask")
        if missing:
            hint = (
                " Give a patient or group id for each image, or declare that there is none."
                if "patient_id" in missing
                else ""
            )
            raise DataContractError(
                f"Task {task}, {split}: the columns {', '.join(missing)} are missing.{hint}", code="columns-missing"
            )
        if table.num_rows == 0:
            complain(DataContractError(f"Task {task}: the split {split} is empty.", code="split-empty"))


def check_ids(task: str, tables: Mapping[str, pa.Table]) -> None:
    """Check that ids are not empty, and unique over all splits."""
    ids = [value for table in tables.values() for value in table["id"].to_pylist()]
    if any(is_empty(value) for value in ids):
        empty = sum(is_empty(value) for value in ids)
        complain(DataContractError(f"Task {task}: {empty} images have no id.", code="image-id-empty"))
    if len(set(ids)) != len(ids):
        twice = [value for value, count in Counter(ids).items() if count > 1]
        complain(
            DataContractError(
                f"Task {task}: {len(twice)} ids occur more than once: {listed(twice)}.",
                code="image-id-repeated",
                offenders=twice,
            )
        )


def one_spelling(tables: Mapping[str, pa.Table], groups: str) -> dict[str, pa.Table]:
    """Give each patient one spelling of the id: outer blanks, 7 and 7.0, composed and decomposed accents become one.

    Args:
        tables: split → rows.
        groups: the task's description of its groups; if it starts with "none", nothing changes.
    """
    import pyarrow as pa

    if groups.startswith("none"):
        return dict(tables)
    ids = {split: table["patient_id"].to_pylist() for split, table in tables.items()}
    merged = spellings(
        (str(value) for values in ids.values() for value in set(values) if not is_empty(value)), same_form
    )
    if not merged:
        return dict(tables)
    changed = {}
    for split, table in tables.items():
        column = pa.array([merged.get(str(value), value) for value in ids[split]])
        changed[split] = table.set_column(table.column_names.index("patient_id"), "patient_id", column)
    return changed


def check_groups(task: str, tables: Mapping[str, pa.Table], groups: str) -> None:
    """Check that every image has a group (or the task declares none), and that no group is in two splits.

    Warns where two splits have ids that may mean one patient (`p1` and `P1`, `7` and `007`).

    Raises:
        DataContractError: for images without a group.
        SplitError: for groups that are in two splits.
    """
    split_of: dict[str, str] = {}  # group → the first split that has it
    shared: dict[str, set[str]] = {}
    none = groups.startswith("none")
    for split, table in tables.items():
        values = table["patient_id"].to_pylist()
        distinct = set(values)
        if not none and any(map(is_empty, distinct)):
            bad = [key for key, value in zip(table["id"].to_pylist(), values, strict=True) if is_empty(value)]
            complain(
                DataContractError(
                    f"Task {task}, {split}: {len(bad)} images have an empty patient (or group) id: {listed(bad)}. "
                    "Fill it in, or declare that there is none.",
                    code="patient-id-empty",
                    offenders=bad,
                )
            )
        for value in distinct:
            if split_of.setdefault(value, split) != split:
                shared.setdefault(value, {split_of[value]}).add(split)
    if shared:
        named = [f"{group} ({', '.join(sorted(splits))})" for group, splits in sorted(shared.items(), key=str)]
        complain(
            SplitError(
                f"Task {task}: {len(shared)} patients (or groups) are in more than one split: {listed(named)}. "
                "Give a split file that puts each of them into one split.",
                code="patients-in-several-splits",
                offenders=shared,
            )
        )
    if len(tables) > 1 and not none:
        _advise_of_similar_ids(task, {str(group): split for group, split in split_of.items() if not is_empty(group)})


def _advise_of_similar_ids(task: str, split_of: Mapping[str, str]) -> None:
    """Warn about ids of different splits that may mean one patient.

    Args:
        task: for the message.
        split_of: id → split.
    """
    similar: dict[str, list[str]] = {}
    for name, spelling in spellings(split_of, alike_form).items():
        similar.setdefault(spelling, []).append(name)
    doubtful = [names for names in similar.values() if len({split_of[name] for name in names}) > 1]
    if doubtful:
        pairs = [" = ".join(f"{name!r} ({split_of[name]})" for name in names) for names in doubtful]
        advise(
            f"Task {task}: {len(doubtful)} patients (or groups) may be in two splits under two spellings of one id: "
            f"{listed(pairs, 5)}. If they are the same patient, use one spelling."
        )


def check_images(task: str, tables: Mapping[str, pa.Table]) -> None:
    """Check that no image file is in two splits, independently of ids and groups.

    Raises:
        SplitError: lists the images.
    """
    split_of: dict[str, str] = {}  # path → the first split that has it
    shared: dict[str, set[str]] = {}
    for split, table in tables.items():
        for key in {_plain_path(str(value)) for value in table["image"].to_pylist()}:
            if split_of.setdefault(key, split) != split:
                shared.setdefault(key, {split_of[key]}).add(split)
    if shared:
        named = [f"{key} ({', '.join(sorted(splits))})" for key, splits in sorted(shared.items())]
        complain(
            SplitError(
                f"Task {task}: {len(shared)} images are in more than one split: {listed(named)}.",
                code="images-in-several-splits",
                offenders=shared,
            )
        )


def _plain_path(key: str) -> str:
    """A normalized path: ./a.png and x/../a.png become a.png."""
    return posixpath.normpath(key) if "./" in key or "//" in key else key
