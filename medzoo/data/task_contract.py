"""What must hold before a task exists: ids, groups, images, splits and labels. Every offender is named."""

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
        raise DataContractError(f"A split is {rows!r}; give its columns by name, each a list.")
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
    """Known split names, a training set, the columns that every task of this kind has.

    Raises:
        DataContractError: with what is missing or unknown.
    """
    unknown = [split for split in tables if split not in (*SPLITS, "all")]
    if unknown or ("all" in tables and len(tables) > 1):
        raise DataContractError(f"Task {task}: splits are {listed(tables)}; they should be among {', '.join(SPLITS)}.")
    if "train" not in tables and "all" not in tables:
        raise DataContractError(f"Task {task} has no training split; it has {listed(tables) or 'nothing'}.")
    for split, table in tables.items():
        missing = [name for name in ("id", "image", "patient_id") if name not in table.column_names]
        if kind != "unlabelled" and not {"label", "mask"} & set(table.column_names):
            missing.append("label or mask")
        if missing:
            hint = (
                " State a patient or group id for each image, or that there is none." if "patient_id" in missing else ""
            )
            raise DataContractError(f"Task {task}, {split}: the columns {', '.join(missing)} are missing.{hint}")
        if table.num_rows == 0:
            complain(DataContractError(f"Task {task}: the split {split} is empty."))


def check_ids(task: str, tables: Mapping[str, pa.Table]) -> None:
    """Ids are there and unique over all splits."""
    ids = [value for table in tables.values() for value in table["id"].to_pylist()]
    if any(is_empty(value) for value in ids):
        complain(DataContractError(f"Task {task}: {sum(is_empty(value) for value in ids)} images have no id."))
    if len(set(ids)) != len(ids):
        twice = [value for value, count in Counter(ids).items() if count > 1]
        complain(DataContractError(f"Task {task}: {len(twice)} ids occur more than once: {listed(twice)}."))


def one_spelling(tables: Mapping[str, pa.Table], groups: str) -> dict[str, pa.Table]:
    """Tables in which each patient has one id: blanks around it, 7 and 7.0, composed and decomposed accents are one spelling.

    Args:
        tables: split → rows.
        groups: as the task states its groups; where there are none, nothing is changed.
    """
    import pyarrow as pa

    if groups.startswith("none"):
        return dict(tables)
    held = {split: table["patient_id"].to_pylist() for split, table in tables.items()}
    merged = spellings(
        (str(value) for values in held.values() for value in set(values) if not is_empty(value)), same_form
    )
    if not merged:
        return dict(tables)
    changed = {}
    for split, table in tables.items():
        column = pa.array([merged.get(str(value), value) for value in held[split]])
        changed[split] = table.set_column(table.column_names.index("patient_id"), "patient_id", column)
    return changed


def check_groups(task: str, tables: Mapping[str, pa.Table], groups: str) -> None:
    """Every image has a group (or the task says that there is none), and no group is in two splits.

    Warns where two splits hold ids that may be of one patient (`p1` and `P1`, `7` and `007`).

    Raises:
        DataContractError: for images without a group.
        SplitError: for groups that are in two splits.
    """
    holders: dict[str, str] = {}
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
                    "Fill it in, or state that there is none."
                )
            )
        for value in distinct:
            if holders.setdefault(value, split) != split:
                shared.setdefault(value, {holders[value]}).add(split)
    if shared:
        named = [f"{group} ({', '.join(sorted(splits))})" for group, splits in sorted(shared.items(), key=str)]
        complain(
            SplitError(
                f"Task {task}: {len(shared)} patients (or groups) are in more than one split: {listed(named)}. "
                "Give a split file that keeps each in one."
            )
        )
    if len(tables) > 1 and not none:
        _advise_of_alike(task, {str(group): split for group, split in holders.items() if not is_empty(group)})


def _advise_of_alike(task: str, holders: Mapping[str, str]) -> None:
    """Say which ids of different splits may be one patient's."""
    alike: dict[str, list[str]] = {}
    for name, one in spellings(holders, alike_form).items():
        alike.setdefault(one, []).append(name)
    doubtful = [names for names in alike.values() if len({holders[name] for name in names}) > 1]
    if doubtful:
        pairs = [" = ".join(f"{name!r} ({holders[name]})" for name in names) for names in doubtful]
        advise(
            f"Task {task}: {len(doubtful)} patients (or groups) may be in two splits under two spellings of one id: "
            f"{listed(pairs, 5)}. If these are the same, write each id in one way."
        )


def check_images(task: str, tables: Mapping[str, pa.Table]) -> None:
    """No image file is in two splits, whatever ids and groups say.

    Raises:
        SplitError: with the images.
    """
    holders: dict[str, str] = {}
    shared: dict[str, set[str]] = {}
    for split, table in tables.items():
        for key in {_plain_path(str(value)) for value in table["image"].to_pylist()}:
            if holders.setdefault(key, split) != split:
                shared.setdefault(key, {holders[key]}).add(split)
    if shared:
        named = [f"{key} ({', '.join(sorted(splits))})" for key, splits in sorted(shared.items())]
        complain(SplitError(f"Task {task}: {len(shared)} images are in more than one split: {listed(named)}."))


def _plain_path(key: str) -> str:
    """A path without detours, so that ./a.png and x/../a.png are a.png."""
    return posixpath.normpath(key) if "./" in key or "//" in key else key


def check_labels(
    task: str, kind: str, classes: tuple[str, ...], tables: Mapping[str, pa.Table]
) -> dict[str, np.ndarray]:
    """Labels as arrays, all within the classes, and every class present in training.

    Returns:
        split → int64 (N,), float32 (N, C) or float32 (N,); nothing for segmentation.

    Raises:
        DataContractError: for an unknown kind, classes that do not fit it, and with all labels outside of them.
    """
    if kind == "unlabelled":
        return {}
    if kind == "segmentation":
        if not classes or len(classes) > 254:
            raise DataContractError(f"Task {task} marks {len(classes)} classes in its masks; it should be 1 to 254.")
        return {}
    if kind not in ("binary", "multiclass", "multilabel", "regression"):
        raise DataContractError(f"Task {task}: unknown kind {kind!r}.")
    if kind == "binary" and len(classes) != 2:
        raise DataContractError(f"Task {task} is binary and has {len(classes)} classes: {listed(classes)}.")
    if len(set(classes)) != len(classes):
        raise DataContractError(f"Task {task}: a class is listed twice: {listed(classes)}.")
    labels = {}
    for split, table in tables.items():
        array = _label_array(task, split, kind, classes, table)
        if array is not None:
            labels[split] = array
    first = labels.get("train", labels.get("all"))
    if kind == "regression" or first is None:
        return labels
    present = (first == 1).any(axis=0) if kind == "multilabel" else np.bincount(first, minlength=len(classes)) > 0
    empty = [name for name, there in zip(classes, present, strict=True) if not there]
    if empty:
        complain(DataContractError(f"Task {task}: no training image has the class {listed(empty)}."))
    return labels


def _label_array(task: str, split: str, kind: str, classes: tuple[str, ...], table: pa.Table) -> np.ndarray | None:
    """The labels of a split; None where some are no labels and `complain` went on."""
    fast = _plain_numbers(table["label"], len(classes) if kind == "multilabel" else 0)
    if fast is not None:
        return _inside(task, split, kind, classes, fast, table["id"])
    values, ids = table["label"].to_pylist(), table["id"]
    if kind == "multilabel":
        wrong = [row for row, value in enumerate(values) if not isinstance(value, list) or len(value) != len(classes)]
        if wrong:
            complain(
                DataContractError(
                    f"Task {task}, {split}: {len(wrong)} rows do not have {len(classes)} labels, one a class: "
                    f"{listed(ids[row].as_py() for row in wrong)}."
                )
            )
            return None
        return _inside(task, split, kind, classes, np.array(values, dtype=np.float32), ids)
    numbers = (int, float) if kind == "regression" else int
    wrong = [row for row, value in enumerate(values) if not isinstance(value, numbers) or isinstance(value, bool)]
    if wrong:
        named = [f"{ids[row].as_py()}: {values[row]!r}" for row in wrong]
        complain(
            DataContractError(f"Task {task}, {split}: {len(wrong)} labels are no numbers of a class: {listed(named)}.")
        )
        return None
    return _inside(task, split, kind, classes, np.array(values), ids)


def _plain_numbers(column: pa.ChunkedArray, width: int) -> np.ndarray | None:
    """A column of numbers without nulls, or of lists that are all `width` long; None for anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if column.null_count:
        return None
    if width and (
        types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)
    ):
        if pc.unique(pc.list_value_length(column)).to_pylist() != [width]:
            return None
        flat = pc.list_flatten(column)
        return flat.to_numpy().astype(np.float32).reshape(-1, width) if not types.is_null(flat.type) else None
    if not width and (types.is_integer(column.type) or types.is_floating(column.type)):
        return column.to_numpy()
    return None


def _inside(
    task: str, split: str, kind: str, classes: tuple[str, ...], array: np.ndarray, ids: pa.ChunkedArray
) -> np.ndarray | None:
    """The labels in their final type, once each is known to be allowed."""
    if kind == "multilabel":
        bad = np.argwhere(~(np.isnan(array) | (array == 0) | (array == 1)))
        if len(bad):
            named = [f"{ids[row].as_py()}: {classes[column]} = {array[row, column]:g}" for row, column in bad.tolist()]
            complain(
                DataContractError(
                    f"Task {task}, {split}: {len(named)} labels are not 0, 1 or empty: {listed(named)}. "
                    "(Uncertain labels are -1 and follow the label policy.)"
                )
            )
            return None
        return array
    if kind == "regression":
        missing = [str(ids[row].as_py()) for row in np.flatnonzero(~np.isfinite(array)).tolist()]
        if missing:
            complain(
                DataContractError(
                    f"Task {task}, {split}: {len(missing)} images have no finite value: {listed(missing)}."
                )
            )
            return None
        return array.astype(np.float32)
    allowed = (array >= 0) & (array < len(classes)) & (array == np.floor(array))
    outside = [f"{ids[row].as_py()}: {array[row].item()!r}" for row in np.flatnonzero(~allowed).tolist()]
    if outside:
        complain(
            DataContractError(
                f"Task {task}, {split}: {len(outside)} labels are outside the {len(classes)} classes "
                f"({listed(classes)}): {listed(outside)}."
            )
        )
        return None
    return array.astype(np.int64)
