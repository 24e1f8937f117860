"""Turn a table of images into a data set: find the columns of labels, patients and split, and the kind of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medzoo.data.build_task import by_split, marks
from medzoo.data.custom.column_roles import ALIASES, advise_of_near_names, candidates, find_column, named_column, plain
from medzoo.data.custom.groups import find_groups, group_column
from medzoo.data.custom.image_table import NOTHING, ColumnChoice, CustomData, ImageTable
from medzoo.data.custom.infer import class_word, infer_labels, positive_class, read_class_names
from medzoo.data.custom.label_columns import choose_label_columns, mark_of
from medzoo.data.custom.split_columns import stated_split
from medzoo.data.images.frame_key import file_of
from medzoo.data.problems import complain, complain_of
from medzoo.data.readers.mask_formats import refuse_jpeg
from medzoo.data.readers.masks import ClassMaskReader
from medzoo.data.splits.assign import STATED_FOLD
from medzoo.data.vocabulary import EXCLUDED, UNCERTAIN
from medzoo.errors import DataContractError, UsageError, listed

FOREGROUND = ("foreground",)
_OWN = (UNCERTAIN, STATED_FOLD)  # names of columns that medzoo adds to a task


def from_table(
    table: ImageTable, choice: ColumnChoice, *, groups: str | None, label_policy: str | None, unlabelled: bool
) -> CustomData:
    """Build a data set from the rows of a table.

    Args:
        table: the table.
        choice: columns that the user names.
        groups: as for `find_groups`.
        label_policy: of uncertain labels; an error for labels that cannot be uncertain.
        unlabelled: do not use labels: the images are for pre-training.

    Raises:
        DataContractError: if the table is ambiguous or invalid; all offenders are named.
        UsageError: for choices that exclude each other.
    """
    header, where = list(table.columns), table.where
    group = group_column(table, groups)
    taken = {table.image, "id", *([group] if group else [])}
    labels = _Labels(table, choice, taken, unlabelled)
    taken |= labels.taken
    split = stated_split(table, choice.split, {*taken, *candidates("group", header, ())})
    taken |= split.used
    kind, classes, columns = labels.read(taken, label_policy)
    patients, stated = find_groups(table, groups, group, needed=not unlabelled)
    columns = {"id": table.ids, "image": table.keys, "patient_id": patients, **columns}
    extras = [name for name in header if name not in {*columns, *classes, table.image, group, "split"}]
    columns |= {name: list(table.columns[name]) for name in extras if name not in _OWN}
    table.notes += [
        f"column {name}: not kept, because medzoo uses this name itself. Rename the column to keep it for subgroups"
        for name in extras
        if name in _OWN
    ]
    # The split of each row; rows without a label are excluded.
    row_splits = split.row_splits or ["all"] * len(table.keys)
    if split.folds is not None:
        columns[STATED_FOLD] = split.folds
    if unlabelled and split.row_splits is None:
        row_splits = ["train"] * len(row_splits)
    if isinstance(columns.get("label"), list):
        row_splits = [
            EXCLUDED if label is None else name for name, label in zip(row_splits, columns["label"], strict=True)
        ]
    if split.note:
        table.notes.append(split.note)
    if not unlabelled:
        found = {
            "label": labels.label or labels.mask or (choice.labels and "labels"),
            "group": group if groups in (None, NOTHING) else "stated",
            "split": split.note or (split.folds and "folds") or choice.split,
        }
        advise_of_near_names(found, [name for name in header if name not in taken], where)
    reader = ClassMaskReader(table.root) if kind == "segmentation" and len(classes) > 1 else table.reader
    return CustomData(
        kind,
        classes,
        stated,
        by_split(columns, row_splits),
        table.root,
        [*table.files, *labels.files],
        reader,
        table.notes,
    )


class _Labels:
    """The labels of a table: their columns, their kind and their values.

    Args:
        table: the table.
        choice: columns that the user names.
        taken: columns of another role.
        unlabelled: do not use labels.
    """

    def __init__(self, table: ImageTable, choice: ColumnChoice, taken: set[str], unlabelled: bool) -> None:
        self.table, self.choice, self.unlabelled = table, choice, unlabelled
        self.files: list[str] = []
        header, where = list(table.columns), table.where
        given = [
            key for key, value in (("label", choice.label), ("labels", choice.labels), ("mask", choice.mask)) if value
        ]
        if len(given) > 1:
            raise UsageError(
                f"{where}: {given[0]}= and {given[1]}= exclude each other. Choose one.", code="label-choices-exclusive"
            )
        self.label = self.mask = None
        self.columns: tuple[str, ...] = ()
        if unlabelled:
            return
        # Columns that the user names, or else the column with the usual name of a label.
        if choice.labels:
            self.columns = tuple(named_column(name, header, "labels", where) for name in choice.labels)
        elif choice.mask is not None:
            self.mask = named_column(choice.mask, header, "mask", where)
        elif choice.label is not None:
            self.label = named_column(choice.label, header, "label", where)
        else:
            self.label = find_column("label", header, where, taken)
            others = [name for name in candidates("label", header, taken) if name != self.label]
            if others and plain(str(self.label)) != "label":
                raise DataContractError(
                    f"{where}: the columns {listed(map(repr, [self.label, *others]))} could all be the label. Add one "
                    f"after the path: ,label={self.label}",
                    code="column-ambiguous",
                )

    @property
    def taken(self) -> set[str]:
        """The columns that are certainly labels."""
        return {name for name in (self.label, self.mask, *self.columns) if name}

    def read(self, taken: set[str], label_policy: str | None) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """Kind, classes, and the columns `label` or `mask`.

        Args:
            taken: columns of another role.
            label_policy: of uncertain labels.
        """
        table, where = self.table, self.table.where
        if self.unlabelled:
            table.notes.append("labels: not used")
            return "unlabelled", (), {}
        named = table.names.get(self.label or "") or read_class_names(table.root)
        # One column with a single label, a value, or a list per row.
        if self.label is not None:
            values = list(table.columns[self.label])
            if any(isinstance(value, list) for value in values):
                return self._lists(values, named)
            if label_policy is not None:
                raise UsageError(
                    f"{where}: a single label has no uncertain values. Remove --label-policy.",
                    code="label-policy-not-applicable",
                )
            if named is not None and all(isinstance(value, int | None) for value in values):
                kind, classes, labels = self._positions(values, named)
            else:
                kind, classes, labels = infer_labels(values, table.ids, named, where)
            what = "values to regress" if kind == "regression" else f"{len(classes)} classes ({listed(classes, 10)})"
            order = "classes.json next to the table sets another order" if named is None else ""
            table.notes.append(f"labels: column {self.label}, {what}{positive_class(kind, classes, order)}")
            return kind, classes, {"label": labels}
        # A column of masks, or else one column of marks per class.
        if not self.columns and self.mask is None and not (named and set(named) <= set(table.columns)):
            self.mask = find_column("mask", list(table.columns), where, taken)
        if self.mask is not None:
            return self._masks(named, label_policy)
        self.columns = self.columns or named or self._findings(taken)
        missing = [name for name in self.columns if name not in table.columns]
        if missing or not self.columns:
            raise DataContractError(
                f"{where} has no column label ({', '.join(ALIASES['label'][1:])}), and no columns of 0 and 1, one per class"
                f"{': ' + listed(missing) + ' missing' if missing else ''}. Add the column after the path (,label=COLUMN or "
                f",labels=COLUMN;COLUMN). The table has {listed(table.columns, 30)}.",
                code="label-column-missing",
            )
        rows = [
            dict(zip(self.columns, cells, strict=True))
            for cells in zip(*(map(mark_of, table.columns[name]) for name in self.columns), strict=True)
        ]
        table.notes.append(f"labels: {len(self.columns)} columns of 1 and 0: {listed(self.columns, 20)}")
        return "multilabel", self.columns, {"label": marks(rows, self.columns, table.ids, where)}

    def _findings(self, taken: set[str]) -> tuple[str, ...]:
        """The columns of 1 and 0 that do not describe the patient; a note lists the others."""
        table = self.table
        free = [name for name in table.columns if name not in taken]
        chosen = choose_label_columns(table.columns, free, table.ids, table.where)
        ignored = [f"{name} ({reason})" for name, reason in chosen.left_out.items()]
        if chosen.classes and ignored:
            table.notes.append(f"columns not used as labels: {listed(ignored, 10)}")
        return chosen.classes

    def _masks(
        self, named: tuple[str, ...] | None, label_policy: str | None
    ) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        from medzoo.data.custom.csv_table import need_images, with_slashes

        table = self.table
        if table.paths is None or not table.named_by_cell:
            raise UsageError(
                f"{table.where}: masks in Parquet are not supported. List the files in a CSV (folder:PATH).",
                code="parquet-masks-unsupported",
            )
        if label_policy is not None:
            raise UsageError(
                f"{table.where}: masks have no uncertain values. Remove --label-policy.",
                code="label-policy-not-applicable",
            )
        masks = [with_slashes(table.root, str(cell)) for cell in table.columns[str(self.mask)]]
        need_images(table.where, table.root, masks)
        self.files = list(dict.fromkeys(file_of(table.root, mask) for mask in masks))
        refuse_jpeg(table.root, self.files, table.where)
        classes = named or FOREGROUND
        table.notes.append(f"masks: column {self.mask}, {len(classes)} classes ({listed(classes, 10)})")
        return "segmentation", classes, {"mask": masks}

    def _positions(self, values: Sequence[Any], classes: tuple[str, ...]) -> tuple[str, tuple[str, ...], list[Any]]:
        """Numbers of a ClassLabel: positions in its list of names."""
        empty = [key for key, value in zip(self.table.ids, values, strict=True) if value is None]
        complain_of(empty, f"{self.table.where}: {len(empty)} rows have no label", code="label-empty")
        return "binary" if len(classes) == 2 else "multiclass", classes, list(values)

    def _lists(
        self, values: Sequence[Any], named: tuple[str, ...] | None
    ) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """Labels that are lists: vectors of 0 and 1, or lists of class numbers or names, which become such vectors."""
        table, where, ids = self.table, self.table.where, self.table.ids
        if named is None:
            raise DataContractError(
                f"{where}: the labels are lists without class names. Put a list of names in classes.json.",
                code="class-names-missing",
            )
        table.notes.append(f"labels: lists in the column {self.label}, {len(named)} classes ({listed(named, 20)})")
        lengths = {len(value) if isinstance(value, list) else -1 for value in values}
        place = {name: number for number, name in enumerate(named)}
        if any(isinstance(item, str) for value in values for item in value or ()):
            numbers = [None if v is None else [place.get(class_word(item), -1) for item in v] for v in values]
        elif str(self.label) in table.names and lengths != {len(named)}:
            numbers = list(values)
        else:
            return "multilabel", named, {"label": self._vectors(values, named)}
        bad = [
            f"{k}: {v!r}"
            for k, v, n in zip(ids, values, numbers, strict=True)
            if n is None or not all(0 <= x < len(named) for x in n)
        ]
        complain_of(
            bad, f"{where}: {len(bad)} labels are outside the {len(named)} classes", code="label-outside-classes"
        )
        array = np.zeros((len(values), len(named)), np.float32)
        for row, present in enumerate(numbers):
            array[row, [number for number in present or () if 0 <= number < len(named)]] = 1
        return "multilabel", named, {"label": array}

    def _vectors(self, values: Sequence[Any], classes: tuple[str, ...]) -> np.ndarray:
        wrong = [
            key
            for key, value in zip(self.table.ids, values, strict=True)
            if value is None or len(value) != len(classes)
        ]
        if wrong:
            complain(
                DataContractError(
                    f"{self.table.where}: {len(wrong)} rows do not have {len(classes)} labels, one per class: {listed(wrong)}.",
                    code="label-count-wrong",
                    offenders=wrong,
                )
            )
            empty = [np.nan] * len(classes)
            values = [value if value is not None and len(value) == len(classes) else empty for value in values]
        return np.array(values, dtype=np.float32).reshape(len(values), len(classes))
