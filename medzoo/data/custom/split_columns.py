"""Find the split in a user's table: a column of names, flags such as is_test, folds, or the folders of the images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from medzoo.data.custom.column_roles import candidates, is_sure_split, named_column, plain
from medzoo.data.custom.image_table import NOTHING, ImageTable
from medzoo.data.custom.infer import plain_number
from medzoo.data.custom.label_columns import mark_of
from medzoo.data.problems import complain, complain_of
from medzoo.data.splits.split_names import fold_of, split_of
from medzoo.data.vocabulary import EXCLUDED, is_empty
from medzoo.errors import DataContractError, UsageError, listed

_FLAG = re.compile(r"(?:is|in|for)(.+)")
_FOLD_NAMES = {"fold", "folds", "foldid", "foldno", "foldnumber", "kfold", "cvfold", "splitfold"}
_TRUE = {"1": True, "1.0": True, "0": False, "0.0": False, "yes": True, "no": False, "y": True, "n": False, "": False}


@dataclass
class StatedSplit:
    """The split that a table states.

    Args:
        row_splits: of each row train, validation, test or excluded; None if the table states no split.
        folds: of each row its fold, or None; None if the table states no folds.
        used: columns that were read.
        note: the source, for the user.
    """

    row_splits: list[str] | None = None
    folds: list[int | None] | None = None
    used: set[str] = field(default_factory=set)
    note: str = ""


def stated_split(table: ImageTable, chosen: str | None, taken: Collection[str]) -> StatedSplit:
    """The split that a table states. If there are two sources, they must agree.

    Args:
        table: the table.
        chosen: the column that the user names; "none" for a new split; None looks at the names and cells of all columns.
        taken: columns that are image, label, mask or group.

    Raises:
        DataContractError: for two sources that differ, unknown names of splits, and columns that may or may not be a split.
    """
    if chosen == NOTHING:
        return StatedSplit()
    free = [name for name in table.columns if name not in taken]
    if chosen is not None:
        return _of_column(table, named_column(chosen, list(table.columns), "split", table.where))
    # Columns: folds, names of splits, flags.
    found = StatedSplit()
    for name in free:
        if plain(name) in _FOLD_NAMES and (folds := _folds(table.columns[name])) is not None:
            found.folds = folds
            found.used.add(name)
    for name in candidates("split", free, ()):
        if is_sure_split(name) or _mostly_splits(table.columns[name]):
            _add(found, _of_words(table, name), table)
    _add(found, _of_flags(table, [name for name in free if name not in found.used]), table)
    if found.row_splits is None and found.folds is None:
        _refuse_unclear(table, free)
    # Names of the tables, and folders of the images.
    if table.parts is not None and len(set(table.parts)) > 1:
        _add(found, StatedSplit(list(table.parts), note="splits: from the names of the files"), table)
    elif found.row_splits is None and table.parts is not None:
        found.row_splits, found.note = list(table.parts), "splits: from the name of the file"
    if table.paths is not None:
        _agree_with_folders(found, table, table.paths)
    if found.row_splits is None and found.folds is not None:
        without_fold = [key for key, fold in zip(table.ids, found.folds, strict=True) if fold is None]
        complain_of(without_fold, f"{table.where}: {len(without_fold)} rows have no fold", code="fold-empty")
    return found


def _of_column(table: ImageTable, name: str) -> StatedSplit:
    """The split or the folds in the column that the user names."""
    cells = table.columns[name]
    if not _mostly_splits(cells):
        if (folds := _folds(cells)) is not None and not _is_flag(cells):
            return StatedSplit(folds=folds, used={name})
        if _is_flag(cells):
            if (split := _flag_split(name)) is None:
                raise UsageError(
                    f"{table.where}: split={name}: the column has values 0 and 1, but its name does not say which split 1 "
                    "means. Rename it to is_test, is_validation or is_train, or use the values train, validation and test.",
                    code="split-flag-unclear",
                )
            return _from_flags(table, {name: split})
    return _of_words(table, name)


def _of_words(table: ImageTable, name: str) -> StatedSplit:
    """A column of split names. Rows without one are an error, and are excluded inside of `collecting`."""
    cells, ids = table.columns[name], table.ids
    known = [None if is_empty(cell) else split_of(cell) for cell in cells]
    bad = [f"{key}: {cell!r}" for key, cell, split in zip(ids, cells, known, strict=True) if split is None]
    if bad:
        complain(
            DataContractError(
                f"{table.where}: {len(bad)} rows have no known split: {listed(bad)}. Use train, validation or test in the column "
                f"{name}, or add split=none after the path to make a new split.",
                code="split-value-unknown",
                offenders=bad,
            )
        )
    return StatedSplit(
        [EXCLUDED if split is None else split for split in known], used={name}, note=f"splits: column {name}"
    )


def _mostly_splits(cells: Sequence[Any]) -> bool:
    """Whether at least half of the non-empty cells are names of splits."""
    filled = [cell for cell in cells if not is_empty(cell)]
    counts = Counter(map(str, filled))
    return bool(filled) and 2 * sum(number for word, number in counts.items() if split_of(word)) >= len(filled)


def _folds(cells: Sequence[Any]) -> list[int | None] | None:
    """Fold numbers, if all non-empty cells are whole numbers or of the form `fold1`; otherwise None."""
    folds: list[int | None] = []
    for cell in cells:
        number = plain_number(cell)
        fold = None if number is None else int(number) if number == int(number) else None
        fold = fold_of(cell) if fold is None else fold
        if fold is None and not is_empty(cell):
            return None
        folds.append(fold)
    return folds if len({fold for fold in folds if fold is not None}) > 1 else None


def _is_flag(cells: Sequence[Any]) -> bool:
    return all(mark_of(cell).lower() in _TRUE for cell in cells)


def _flag_split(name: str) -> str | None:
    """The split of a flag by its name: `is_test`, `in_training`, or just `test`."""
    short = plain(name)
    inner = _FLAG.fullmatch(short)
    return split_of(inner[1]) if inner else split_of(short)


def _of_flags(table: ImageTable, free: Sequence[str]) -> StatedSplit:
    """Columns such as is_test. `is_valid` alone is ignored: in many tables it means that an image is usable."""
    flags = {
        name: split
        for name in free
        if _FLAG.fullmatch(plain(name)) and (split := _flag_split(name)) and _is_flag(table.columns[name])
    }
    if not flags or {plain(name) for name in flags} == {"isvalid"}:
        return StatedSplit()
    return _from_flags(table, flags)


def _from_flags(table: ImageTable, flags: dict[str, str]) -> StatedSplit:
    """The split of each row from flags. Rows without a flag are for training, or for test if there is only a train flag."""
    splits = set(flags.values())
    rest = "test" if splits == {"train"} else EXCLUDED if "train" in splits else "train"
    row_splits, ambiguous = [], []
    columns = {name: [_TRUE[mark_of(cell).lower()] for cell in table.columns[name]] for name in flags}
    for row, key in enumerate(table.ids):
        on = {flags[name] for name in flags if columns[name][row]}
        if len(on) > 1:
            ambiguous.append(key)
        row_splits.append(on.pop() if len(on) == 1 else EXCLUDED if on else rest)
    complain_of(
        ambiguous,
        f"{table.where}: {len(ambiguous)} rows are in two splits by {listed(flags)}",
        code="rows-in-several-splits",
    )
    excluded = row_splits.count(EXCLUDED) - len(ambiguous)
    note = f"splits: columns {listed(flags)}" + (f"; {excluded} rows without a flag are not used" if excluded else "")
    return StatedSplit(row_splits, used=set(flags), note=note)


def _refuse_unclear(table: ImageTable, free: Sequence[str]) -> None:
    """Refuse unused columns whose cells or name are names of splits: the user probably meant a split."""
    for name in free:
        cells = table.columns[name]
        splits = {split_of(cell) for cell in set(map(str, cells))} - {None}
        split = _flag_split(name)
        if (len(splits) > 1 and _mostly_splits(cells)) or (
            split is not None and _is_flag(cells) and any(map(mark_of, cells))
        ):
            complain(
                DataContractError(
                    f"{table.where}: the column {name!r} may be the split. If it is, add split={name} after the path. If not, "
                    "split=none makes a new split, and split=COLUMN names another column.",
                    code="split-column-unclear",
                )
            )


def _add(found: StatedSplit, other: StatedSplit, table: ImageTable) -> None:
    """Add a source of the split; if there is one already, both must agree."""
    if other.row_splits is None:
        return
    if found.row_splits is not None:
        bad = [
            f"{key}: {one} or {two}"
            for key, one, two in zip(table.ids, found.row_splits, other.row_splits, strict=True)
            if one != two and EXCLUDED not in (one, two)
        ]
        if bad:
            raise DataContractError(
                f"{table.where}: two sources of the split differ ({found.note.partition(': ')[2]}; "
                f"{other.note.partition(': ')[2]}) for {len(bad)} rows: {listed(bad, 5)}. Name the column to use: split=COLUMN.",
                code="split-sources-differ",
            )
    else:
        found.row_splits, found.note = other.row_splits, other.note
    found.used |= other.used


def _agree_with_folders(found: StatedSplit, table: ImageTable, paths: Sequence[str]) -> None:
    """Add or compare the split in the paths (train/a.png, test/b.png), if the paths name at least two splits."""
    parts = [[split_of(part) for part in key.split("/")[:-1]] for key in paths]
    depths = {depth for depth in range(min(map(len, parts), default=0)) if all(row[depth] is not None for row in parts)}
    several = [depth for depth in sorted(depths) if len({row[depth] for row in parts}) > 1]
    if not several:
        return
    folder_splits = [str(row[several[0]]) for row in parts]
    # Without another source, the folders decide; otherwise train and test must not be exchanged.
    if found.row_splits is None and found.folds is None:
        if "train" not in folder_splits:
            raise DataContractError(
                f"{table.where}: the images are in folders of splits ({listed(sorted(set(folder_splits)))}), but none is for "
                "training. Add a column split, or give split=none to make a new split.",
                code="training-split-missing",
            )
        found.row_splits, found.note = folder_splits, "splits: from the names of the images' folders"
    elif found.row_splits is not None:
        bad = [
            f"{key}: {split}"
            for key, folder, split in zip(paths, folder_splits, found.row_splits, strict=True)
            if split != EXCLUDED and split != folder and "test" in (split, folder) and "train" in (split, folder)
        ]
        if bad:
            raise DataContractError(
                f"{table.where}: {len(bad)} images are in a folder of another split than the table says "
                f"({found.note.partition(': ')[2]}): {listed(bad, 5)}. Name the column to use: split=COLUMN.",
                code="split-sources-differ",
            )
