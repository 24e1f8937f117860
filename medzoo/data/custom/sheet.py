"""A table of a user's own images, read from CSV or Parquet: its columns, and where its images lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medzoo.data.task import Reader

NOTHING = "none"  # as a column's name: the data have none


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that a user names behind the path (`folder:PATH,label=dx`); None leaves it to the names of the columns.

    Args:
        image: paths (or cells) of the images.
        label: one class, or one value, an image.
        labels: columns of 0 and 1, one a class.
        mask: paths of masks, which makes a segmentation.
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
        """As it stands behind a task's name, the group apart: it changes no label.

        >>> ColumnChoice(label="dx", labels=()).named(), ColumnChoice(labels=("a", "b")).named()
        (',label=dx', ',labels=a;b')
        """
        chosen = {
            "image": self.image, "label": self.label, "labels": ";".join(self.labels) or None, "mask": self.mask,
            "split": self.split,
        }  # fmt: skip
        return "".join(f",{key}={value}" for key, value in chosen.items() if value is not None)


@dataclass
class Sheet:
    """Rows of images with their columns, before anything is known of what the columns mean.

    Args:
        where: the table, for messages.
        root: folder that keys start from.
        reader: gives the pixels of a key.
        columns: name → one value a row, the image column among them.
        image: the column of the images.
        keys: of the images, one a row.
        files: below the root, that hold what the rows are.
        parts: split of the file that each row comes from, where files are named by splits.
        paths: of each row, the file below the root that its image lies in; None where images lie in the table itself.
        class_depth: how many of the first folders of a key are splits and classes, and no patients.
        named_by_cell: whether an image without an id is called what stands in its cell; else it is called by its key.
        names: of the classes of a column, where the table itself holds them.
        notes: what was chosen so far.
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
        """The column `id`; else what stands in the table for the image, or its key."""
        own = self.columns.get("id", self.columns[self.image] if self.named_by_cell else None)
        return self.keys if own is None else [str(value) for value in own]


@dataclass
class CustomData:
    """A data set as read from files, before it is a task.

    Args:
        kind: as of a task.
        classes: names in the order of the labels.
        groups: the column of the groups, or "none: ...".
        columns: split → columns.
        root: folder that keys start from.
        files: below the root, whose content decides what the data are.
        reader: gives pixels.
        notes: what was chosen, for people.
    """

    kind: str
    classes: tuple[str, ...]
    groups: str
    columns: dict[str, dict[str, Any]]
    root: Path
    files: list[str]
    reader: Reader
    notes: list[str] = field(default_factory=list)
