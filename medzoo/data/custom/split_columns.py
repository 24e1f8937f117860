"""What a user's table says of its split: a column of words, flags such as is_test, folds, or the folders that images lie in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from medzoo.data.custom.column_roles import candidates, is_sure_split, named_column, plain
from medzoo.data.custom.infer import plain_number
from medzoo.data.custom.label_columns import mark_of
from medzoo.data.custom.sheet import NOTHING, Sheet
from medzoo.data.problems import complain
from medzoo.data.splits.split_names import fold_of, split_of
from medzoo.data.vocabulary import EXCLUDED, is_empty
from medzoo.errors import DataContractError, UsageError, listed

_FLAG = re.compile(r"(?:is|in|for)(.+)")
_FOLD_NAMES = {"fold", "folds", "foldid", "foldno", "foldnumber", "kfold", "cvfold", "splitfold"}
_TRUE = {"1": True, "1.0": True, "0": False, "0.0": False, "yes": True, "no": False, "y": True, "n": False, "": False}


@dataclass
class StatedSplit:
    """What was found.

    Args:
        words: of each row train, validation, test or excluded; None where the table states no split.
        folds: of each row its fold, None for none; None where the table states no folds.
        used: columns that were read for it.
        note: what was used, for people.
    """

    words: list[str] | None = None
    folds: list[int | None] | None = None
    used: set[str] = field(default_factory=set)
    note: str = ""


def stated_split(sheet: Sheet, chosen: str | None, taken: Collection[str]) -> StatedSplit:
    """The split that a table states; two statements have to agree.

    Args:
        sheet: the table.
        chosen: the column that the user names; "none" for a new split; None looks at the names and cells of all columns.
        taken: columns that are image, label, mask or group.

    Raises:
        DataContractError: for two statements that differ, unknown words, and columns that may be a split and may be none.
    """
    if chosen == NOTHING:
        return StatedSplit()
    free = [name for name in sheet.columns if name not in taken]
    if chosen is not None:
        return _of_column(sheet, named_column(chosen, list(sheet.columns), "split", sheet.where))
    found = StatedSplit()
    for name in free:
        if plain(name) in _FOLD_NAMES and (folds := _folds(sheet.columns[name])) is not None:
            found.folds = folds
            found.used.add(name)
    for name in candidates("split", free, ()):
        if is_sure_split(name) or _mostly_splits(sheet.columns[name]):
            _add(found, _of_words(sheet, name), sheet)
    _add(found, _of_flags(sheet, [name for name in free if name not in found.used]), sheet)
    if found.words is None and found.folds is None:
        _refuse_unclear(sheet, free)
    if sheet.parts is not None and len(set(sheet.parts)) > 1:
        _add(found, StatedSplit(list(sheet.parts), note="splits: as the files are named"), sheet)
    elif found.words is None and sheet.parts is not None:
        found.words, found.note = list(sheet.parts), "splits: as the file is named"
    if sheet.paths is not None:
        _agree_with_folders(found, sheet, sheet.paths)
    if found.words is None and found.folds is not None and None in found.folds:
        lost = [key for key, fold in zip(sheet.ids, found.folds, strict=True) if fold is None]
        complain(DataContractError(f"{sheet.where}: {len(lost)} rows have no fold: {listed(lost)}."))
    return found


def _of_column(sheet: Sheet, name: str) -> StatedSplit:
    """The column that the user names, whatever it is called."""
    cells = sheet.columns[name]
    if not _mostly_splits(cells):
        if (folds := _folds(cells)) is not None and not _is_flag(cells):
            return StatedSplit(folds=folds, used={name})
        if _is_flag(cells):
            if (split := _flag_split(name)) is None:
                raise UsageError(
                    f"{sheet.where}: split={name}: the column holds 0 and 1, and its name does not say which split 1 means. "
                    "Call it "
                    "is_test, is_validation or is_train, or write train, validation and test into its cells."
                )
            return _from_flags(sheet, {name: split})
    return _of_words(sheet, name)


def _of_words(sheet: Sheet, name: str) -> StatedSplit:
    """A column of split names; rows without one are excluded, after the complaint."""
    cells, ids = sheet.columns[name], sheet.ids
    known = [None if is_empty(cell) else split_of(cell) for cell in cells]
    bad = [f"{key}: {cell!r}" for key, cell, split in zip(ids, cells, known, strict=True) if split is None]
    if bad:
        complain(
            DataContractError(
                f"{sheet.where}: {len(bad)} rows have no known split: {listed(bad)}. Use train, validation or test in the column "
                f"{name}, or have a new split made with split=none behind the path."
            )
        )
    return StatedSplit(
        [EXCLUDED if split is None else split for split in known], used={name}, note=f"splits: column {name}"
    )


def _mostly_splits(cells: Sequence[Any]) -> bool:
    """Whether at least half of what the cells say are names of splits."""
    said = [cell for cell in cells if not is_empty(cell)]
    counts = Counter(map(str, said))
    return bool(said) and 2 * sum(number for word, number in counts.items() if split_of(word)) >= len(said)


def _folds(cells: Sequence[Any]) -> list[int | None] | None:
    """Fold numbers, where all cells that say anything are whole numbers or `fold1`."""
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
    """The split that a flag is of: `is_test`, `in_training`; also `test` by itself."""
    short = plain(name)
    inner = _FLAG.fullmatch(short)
    return split_of(inner[1]) if inner else split_of(short)


def _of_flags(sheet: Sheet, free: Sequence[str]) -> StatedSplit:
    """Columns such as is_test. `is_valid` by itself says in half of the tables that an image is usable: it needs a second flag."""
    flags = {
        name: split
        for name in free
        if _FLAG.fullmatch(plain(name)) and (split := _flag_split(name)) and _is_flag(sheet.columns[name])
    }
    if not flags or {plain(name) for name in flags} == {"isvalid"}:
        return StatedSplit()
    return _from_flags(sheet, flags)


def _from_flags(sheet: Sheet, flags: dict[str, str]) -> StatedSplit:
    """One split a row out of flags; rows without any flag are for training, or for test if the only flag is that of training."""
    splits = set(flags.values())
    rest = "test" if splits == {"train"} else EXCLUDED if "train" in splits else "train"
    words, torn = [], []
    columns = {name: [_TRUE[mark_of(cell).lower()] for cell in sheet.columns[name]] for name in flags}
    for row, key in enumerate(sheet.ids):
        on = {flags[name] for name in flags if columns[name][row]}
        if len(on) > 1:
            torn.append(key)
        words.append(on.pop() if len(on) == 1 else EXCLUDED if on else rest)
    if torn:
        complain(
            DataContractError(f"{sheet.where}: {len(torn)} rows are in two splits by {listed(flags)}: {listed(torn)}.")
        )
    lost = words.count(EXCLUDED) - len(torn)
    note = f"splits: columns {listed(flags)}" + (f"; {lost} rows without a flag are left out" if lost else "")
    return StatedSplit(words, used=set(flags), note=note)


def _refuse_unclear(sheet: Sheet, free: Sequence[str]) -> None:
    """Columns whose cells are names of splits, or whose name is, and which are not used: somebody meant something by them."""
    for name in free:
        cells = sheet.columns[name]
        words = {split_of(cell) for cell in set(map(str, cells))} - {None}
        split = _flag_split(name)
        if (len(words) > 1 and _mostly_splits(cells)) or (
            split is not None and _is_flag(cells) and any(map(mark_of, cells))
        ):
            complain(
                DataContractError(
                    f"{sheet.where}: the column {name!r} may state the split. If it does, give split={name} behind the "
                    "path; if not, "
                    "split=none has a new one made, and split=COLUMN names another one."
                )
            )


def _add(found: StatedSplit, other: StatedSplit, sheet: Sheet) -> None:
    """A second statement has to be the same as the first."""
    if other.words is None:
        return
    if found.words is not None:
        bad = [
            f"{key}: {one} or {two}"
            for key, one, two in zip(sheet.ids, found.words, other.words, strict=True)
            if one != two and EXCLUDED not in (one, two)
        ]
        if bad:
            raise DataContractError(
                f"{sheet.where}: two statements of the split differ ({found.note.partition(': ')[2]}; "
                f"{other.note.partition(': ')[2]}) for {len(bad)} rows: {listed(bad, 5)}. Name the column that holds: split=COLUMN."
            )
    else:
        found.words, found.note = other.words, other.note
    found.used |= other.used


def _agree_with_folders(found: StatedSplit, sheet: Sheet, paths: Sequence[str]) -> None:
    """Paths such as train/a.png and test/b.png state a split too, where they name at least two."""
    parts = [[split_of(part) for part in key.split("/")[:-1]] for key in paths]
    depths = {depth for depth in range(min(map(len, parts), default=0)) if all(row[depth] is not None for row in parts)}
    several = [depth for depth in sorted(depths) if len({row[depth] for row in parts}) > 1]
    if not several:
        return
    words = [str(row[several[0]]) for row in parts]
    if found.words is None and found.folds is None:
        if "train" not in words:
            raise DataContractError(
                f"{sheet.where}: the images lie in folders of splits ({listed(sorted(set(words)))}), and none is for "
                "training. Give a "
                "column split, or split=none to have a new split made."
            )
        found.words, found.note = words, "splits: as the images' folders are named"
    elif found.words is not None:
        bad = [
            f"{key}: {said}"
            for key, word, said in zip(paths, words, found.words, strict=True)
            if said != EXCLUDED and said != word and "test" in (said, word) and "train" in (said, word)
        ]
        if bad:
            raise DataContractError(
                f"{sheet.where}: {len(bad)} images lie in a folder of another split than the one that is stated "
                f"({found.note.partition(': ')[2]}): {listed(bad, 5)}. Name the column that holds: split=COLUMN."
            )
