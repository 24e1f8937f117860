"""A table of a user's own images, read from CSV or Parquet: its columns, and the location of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medzoo.data.task import Reader

NOTHING = "none"  # in place of a column's name: the data have no such column


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that a user names after the path (`folder:PATH,label=dx`); None means: find the column by its name.

    Args:
        image: paths (or cells) of the images.
        label: one class or one value per image.
        labels: columns of 0 and 1, one per class.
        mask: paths of masks, for a segmentation.
        split: train, validation or test; or "none".
        group: patients; or "none", "parent", "parent:N", "dicom:patient", "dicom:study", "dicom:series".
    """

    image: str | None = None
    label: str | None = None
    labels: tuple[str, ...] = ()
    mask: str | None = None
    split: str | None = None
    group: str | None = None

    def named(self) -> str:
        """The choice as written after a task's name, without the group, which does not change labels.

        >>> ColumnChoice(label="dx", labels=()).named(), ColumnChoice(labels=("a", "b")).named()
        (',label=dx', ',labels=a;b')
        """
        chosen = {
            "image": self.image,
            "label": self.label,
            "labels": ";".join(self.labels) or None,
            "mask": self.mask,
            "split": self.split,
        }
        return "".join(f",{key}={value}" for key, value in chosen.items() if value is not None)


@dataclass
class ImageTable:
    """Rows of images with their columns, before the roles of the columns are known.

    Args:
        where: the table, for messages.
        root: folder that keys are relative to.
        reader: gives the pixels of a key.
        columns: name → one value per row, with the image column.
        image: the column of the images.
        keys: of the images, one per row.
        files: below the root, that determine the rows.
        parts: of each row, the split that its file is named by; None where files are not named by splits.
        paths: of each row, the image file below the root; None where the images are stored in the table.
        class_depth: how many of the first folders of a key are splits and classes, not patients.
        named_by_cell: whether an image without an id is named by its cell; otherwise by its key.
        names: class names of a column, where the table contains them.
        notes: the choices so far, for the user.
    """

    where: Path
    root: Path
    reader: Reader
    columns: Mapping[str, Sequence[Any]]
    image: str
    keys: list[str]
    files: list[str]
    parts: list[str] | None = None
    paths: list[str] | None = None
    class_depth: int = 0
    named_by_cell: bool = True
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The column `id`; if there is none, the cells of the image column, or the keys."""
        cells = self.columns.get("id", self.columns[self.image] if self.named_by_cell else None)
        return self.keys if cells is None else [str(value) for value in cells]


@dataclass
class CustomData:
    """A data set as read from files, before it becomes a task.

    Args:
        kind: as in `TaskInfo`.
        classes: names in the order of the labels.
        groups: the column of the groups, or "none: ...".
        columns: split → columns.
        root: folder that keys are relative to.
        files: below the root; their content identifies the data.
        reader: gives pixels.
        notes: the choices, for the user.
    """

    kind: str
    classes: tuple[str, ...]
    groups: str
    columns: dict[str, dict[str, Any]]
    root: Path
    files: list[str]
    reader: Reader
    notes: list[str] = field(default_factory=list)
