"""A task: a data set with its split, labels and metric, checked when it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from medzoo.data.images.read import Pixels, with_channels
from medzoo.data.label_contract import check_labels
from medzoo.data.task_contract import arrow_table, check_groups, check_ids, check_images, check_splits, one_spelling
from medzoo.data.task_info import TaskInfo
from medzoo.data.vocabulary import SPLITS
from medzoo.errors import DataContractError, UsageError
from medzoo.store import sha256_of

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from medzoo.data.label_policy import LabelPolicy


class Reader(Protocol):
    """Turns the key of an image (a path, or `file#key`) into pixels; used from several threads.

    The pixels may depend only on the data's files, on `TaskInfo`, and on plain public attributes (`window`, `unit`): these
    identify decoded rows in the cache. `apart = True` means that each key is a file of its own, so that several
    processes can read at the same time.
    """

    def read(self, key: str) -> Pixels:
        """The image under a key."""

    def read_mask(self, key: str) -> np.ndarray:
        """The mask under a key: (H, W) uint8, 0 for background and k for class k, counted from 1."""


class TaskLike(Protocol):
    """The attributes that training and a run's identity need; a `Task` and streamed shards have them."""

    @property
    def name(self) -> str:
        """The name with its choices."""

    @property
    def kind(self) -> str:
        """As in `TaskInfo`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""

    @property
    def version(self) -> str:
        """Version of the task's definition."""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the data's files."""

    @property
    def split_hash(self) -> str:
        """The sha256 of which group is in which split, and of the single rows of a group that a split file leaves out."""

    @property
    def label_policy(self) -> str | None:
        """The label policy for uncertain labels; None where there are none."""


class Task:
    """A data set, its split and its labels.

    Args:
        info: the facts.
        columns: split → columns. `id`, `image` (a key for the reader), `label` (int, list of float with NaN for "not
            annotated", or float) or `mask`, `patient_id`, and the columns of subgroups. The single split "all" means that
            the data have no splits; `load_task` then makes them.
        reader: gives the pixels of an image key.
        fingerprint: sha256 over the data's files.
        name: the name with its choices; by default the info's.
        policy: the label policy for uncertain labels; None where there are none.
        notes: how the data were read (columns, source of the splits), where there was a choice; every run prints them.
        dropped: ids of rows that a split file leaves out although it uses other rows of their group.

    Raises:
        DataContractError: for missing ids, groups, labels or classes; the message lists all offenders.
        SplitError: if two splits share a group.
    """

    def __init__(
        self,
        info: TaskInfo,
        columns: Mapping[str, Mapping[str, Any] | pa.Table],
        reader: Reader,
        fingerprint: str,
        *,
        name: str | None = None,
        policy: LabelPolicy | None = None,
        notes: Sequence[str] = (),
        dropped: Sequence[str] = (),
    ) -> None:
        if not isinstance(info, TaskInfo) or not isinstance(columns, Mapping):
            raise UsageError(
                "Task() takes a TaskInfo and the columns of each split. Call medzoo.load_task to open a task by name.",
                code="task-arguments-wrong",
            )
        self.info, self.reader, self.fingerprint, self.policy = info, reader, fingerprint, policy
        self.notes, self.dropped = tuple(notes), tuple(dropped)
        self.name, self.kind, self.classes = name or info.name, info.kind, info.classes
        self.metric, self.unit, self.version = info.metric, info.unit, info.version
        tables = {split: arrow_table(columns[split]) for split in sorted(columns, key=_order)}
        check_splits(self.name, tables, self.kind)
        self.tables: dict[str, pa.Table] = one_spelling(tables, info.groups)
        check_ids(self.name, self.tables)
        check_images(self.name, self.tables)
        check_groups(self.name, self.tables, info.groups)
        self._labels = check_labels(self.name, self.kind, self.classes, self.tables)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {table.num_rows}" for split, table in self.tables.items())
        return f"Task({self.name}: {self.kind}, {len(self.classes)} classes; {sizes})"

    @cached_property
    def splits(self) -> dict[str, datasets.Dataset]:
        """The splits as `datasets.Dataset`, the images as keys."""
        from datasets import Dataset

        return {
            split: Dataset(table, fingerprint=sha256_of([self.fingerprint, self.split_hash, split])[:16])
            for split, table in self.tables.items()
        }

    @cached_property
    def split_hash(self) -> str:
        """The sha256 over sorted (hashed group, split): which patients are where.

        Where a split file leaves out single rows of a group, the groups do not say which rows are used. The hash then includes the
        ids of these rows.
        """
        pairs = sorted({(sha256_of(group)[:16], split) for split in self.tables for group in set(self.groups(split))})
        return sha256_of([pairs, sorted(self.dropped)] if self.dropped else pairs)

    def column(self, split: str, name: str) -> list[Any]:
        """All values of a column of a split.

        Raises:
            UsageError: if there is no such split.
        """
        return self._table(split)[name].to_pylist()

    def groups(self, split: str) -> list[str]:
        """The patient (or group) id of every row."""
        return self.column(split, "patient_id")

    def labels(self, split: str) -> np.ndarray:
        """The labels of a split.

        Returns:
            int64 (N,) for binary and multiclass; float32 (N, C) for multilabel, NaN where not annotated; float32 (N,) for
            regression.

        Raises:
            UsageError: if there is no such split, or the task has masks, or no labels at all.
        """
        self._table(split)
        if split not in self._labels:
            reason = "was opened without labels" if self.kind == "unlabelled" else "has masks instead of labels"
            raise UsageError(f"Task {self.name} is {self.kind}: it {reason}.", code="task-without-labels")
        return self._labels[split]

    @property
    def has_labels(self) -> bool:
        """Whether rows have labels (False for masks and for images without labels)."""
        return self.kind not in ("segmentation", "unlabelled")

    @property
    def label_policy(self) -> str | None:
        """The label policy as text; None where the task has no uncertain labels."""
        return None if self.policy is None else str(self.policy)

    def uncertain(self, split: str) -> np.ndarray | None:
        """The labels that the policy "soft" draws in every epoch: bool (N, C); None for other policies."""
        if self.policy is None or self.policy.kind != "soft":
            return None
        return np.array(self.column(split, "uncertain"), dtype=bool).reshape(-1, len(self.classes))

    def counts(self, split: str) -> dict[str, int]:
        """Images of each class (of a multilabel task: with each label present)."""
        labels = self.labels(split)
        if self.kind == "multilabel":
            return dict(zip(self.classes, np.nansum(labels == 1, axis=0).astype(int).tolist(), strict=True))
        return dict(
            zip(self.classes, np.bincount(labels.astype(int), minlength=len(self.classes)).tolist(), strict=True)
        )

    def read(self, split: str, index: int) -> tuple[Pixels, Any]:
        """Decode one image.

        Returns:
            the pixels, and the label as `labels(split)[index]` (None for segmentation).

        Raises:
            ImageError: if the image cannot be read; the message names the file and the row.
        """
        key = self._cell(split, index, "image")
        pixels = with_channels(self.reader.read(key), self.info.channels)
        labels = self._labels.get(split)
        return pixels, None if labels is None else labels[index]

    def read_mask(self, split: str, index: int) -> np.ndarray:
        """The mask of one image: (H, W) uint8, 0 is background.

        Raises:
            DataContractError: if the task has no masks.
        """
        if "mask" not in self._table(split).column_names:
            raise DataContractError(f"Task {self.name} has no masks.", code="task-without-masks")
        return self.reader.read_mask(self._cell(split, index, "mask"))

    def with_tables(self, tables: Mapping[str, pa.Table], *notes: str, dropped: Sequence[str] = ()) -> Task:
        """The same data with other splits, checked again.

        Args:
            tables: split → rows.
            notes: added to the task's notes.
            dropped: added to the task's rows that a split file leaves out.
        """
        return Task(
            self.info,
            tables,
            self.reader,
            self.fingerprint,
            name=self.name,
            policy=self.policy,
            notes=(*self.notes, *notes),
            dropped=(*self.dropped, *dropped),
        )

    def _table(self, split: str) -> pa.Table:
        if split not in self.tables:
            raise UsageError(
                f"Task {self.name} has no split {split!r}; it has {', '.join(self.tables)}.", code="split-unknown"
            )
        return self.tables[split]

    def _cell(self, split: str, index: int, column: str) -> str:
        table = self._table(split)
        rows = table.num_rows
        if not -rows <= index < rows:
            raise IndexError(f"Split {split} of {self.name} has {rows} rows; there is no row {index}.")
        return table[column][int(index) % rows].as_py()


def _order(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)
