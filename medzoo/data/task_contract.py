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
                f"Task {task}: {len(twice)} ids occur more than once: {listed(twice)}.", code="image-id-repeated"
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
            )
        )


def _plain_path(key: str) -> str:
    """A normalized path: ./a.png and x/../a.png become a.png."""
    return posixpath.normpath(key) if "./" in key or "//" in key else key


def check_labels(
    task: str, kind: str, classes: tuple[str, ...], tables: Mapping[str, pa.Table]
) -> dict[str, np.ndarray]:
    """Convert labels to arrays; check that all are within the classes, and that training has every class.

    Returns:
        split → int64 (N,), float32 (N, C) or float32 (N,); empty for segmentation.

    Raises:
        DataContractError: for an unknown kind, classes that do not fit it, and labels outside the classes (all are listed).
    """
    if kind == "unlabelled":
        return {}
    if kind == "segmentation":
        if not classes or len(classes) > 254:
            raise DataContractError(
                f"Task {task} has {len(classes)} classes in its masks; masks can have 1 to 254.",
                code="mask-class-count-wrong",
            )
        return {}
    if kind not in ("binary", "multiclass", "multilabel", "regression"):
        raise DataContractError(f"Task {task}: unknown kind {kind!r}.", code="task-kind-unknown")
    if kind == "binary" and len(classes) != 2:
        raise DataContractError(
            f"Task {task} is binary, but it has {len(classes)} classes: {listed(classes)}.",
            code="binary-class-count-wrong",
        )
    if len(set(classes)) != len(classes):
        raise DataContractError(f"Task {task}: a class is listed twice: {listed(classes)}.", code="class-repeated")
    labels = {}
    for split, table in tables.items():
        array = _label_array(task, split, kind, classes, table)
        if array is not None:
            labels[split] = array
    first = labels.get("train", labels.get("all"))
    if kind == "regression" or first is None:
        return labels
    present = (first == 1).any(axis=0) if kind == "multilabel" else np.bincount(first, minlength=len(classes)) > 0
    empty = [name for name, used in zip(classes, present, strict=True) if not used]
    if empty:
        complain(
            DataContractError(
                f"Task {task}: no training image has the class {listed(empty)}.", code="class-without-training-images"
            )
        )
    return labels


def _label_array(task: str, split: str, kind: str, classes: tuple[str, ...], table: pa.Table) -> np.ndarray | None:
    """The labels of a split; None where some are invalid and `complain` collected the error."""
    fast = _plain_numbers(table["label"], len(classes) if kind == "multilabel" else 0)
    if fast is not None:
        return _inside(task, split, kind, classes, fast, table["id"])
    values, ids = table["label"].to_pylist(), table["id"]
    if kind == "multilabel":
        wrong = [row for row, value in enumerate(values) if not isinstance(value, list) or len(value) != len(classes)]
        if wrong:
            complain(
                DataContractError(
                    f"Task {task}, {split}: {len(wrong)} rows do not have {len(classes)} labels, one per class: "
                    f"{listed(ids[row].as_py() for row in wrong)}.",
                    code="label-count-wrong",
                )
            )
            return None
        return _inside(task, split, kind, classes, np.array(values, dtype=np.float32), ids)
    numbers = (int, float) if kind == "regression" else int
    wrong = [row for row, value in enumerate(values) if not isinstance(value, numbers) or isinstance(value, bool)]
    if wrong:
        named = [f"{ids[row].as_py()}: {values[row]!r}" for row in wrong]
        complain(
            DataContractError(
                f"Task {task}, {split}: {len(wrong)} labels are not numbers: {listed(named)}.",
                code="label-not-a-number",
            )
        )
        return None
    return _inside(task, split, kind, classes, np.array(values), ids)


def _plain_numbers(column: pa.ChunkedArray, width: int) -> np.ndarray | None:
    """A column of numbers without nulls, or of lists that all have the length `width`; None for other columns."""
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
    """The labels in their final type, after a check that each is allowed; None if `complain` collected an error."""
    if kind == "multilabel":
        bad = np.argwhere(~(np.isnan(array) | (array == 0) | (array == 1)))
        if len(bad):
            named = [f"{ids[row].as_py()}: {classes[column]} = {array[row, column]:g}" for row, column in bad.tolist()]
            complain(
                DataContractError(
                    f"Task {task}, {split}: {len(named)} labels are not 0, 1 or empty: {listed(named)}. "
                    "(Uncertain labels are -1, and the label policy replaces them.)",
                    code="label-not-a-mark",
                )
            )
            return None
        return array
    if kind == "regression":
        missing = [str(ids[row].as_py()) for row in np.flatnonzero(~np.isfinite(array)).tolist()]
        if missing:
            complain(
                DataContractError(
                    f"Task {task}, {split}: {len(missing)} images have no finite value: {listed(missing)}.",
                    code="label-not-finite",
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
                f"({listed(classes)}): {listed(outside)}.",
                code="label-outside-classes",
            )
        )
        return None
    return array.astype(np.int64)
