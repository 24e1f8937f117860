"""What must hold for the labels of a task: their type, their range, and that there are some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.problems import complain
from medzoo.errors import DataContractError, listed

if TYPE_CHECKING:
    import pyarrow as pa


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
                f"Task {task}: no training image has the class {listed(empty)}.",
                code="class-without-training-images",
                offenders=empty,
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
                    offenders=[ids[row].as_py() for row in wrong],
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
                offenders=named,
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
                    offenders=named,
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
                    offenders=missing,
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
                offenders=outside,
            )
        )
        return None
    return array.astype(np.int64)
