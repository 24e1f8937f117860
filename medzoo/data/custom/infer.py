"""What a user's own data say about classes, groups and splits, whatever the files look like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.checks import SPLIT_WORDS, is_empty
from medzoo.data.problems import complain
from medzoo.data.tables import EXCLUDED
from medzoo.errors import DataContractError, listed

if TYPE_CHECKING:
    from medzoo.data.task import Reader

GROUP_COLUMNS = ("patient_id", "patient", "group")


@dataclass
class Found:
    """A data set as read from files, before it is a task."""

    kind: str
    classes: tuple[str, ...]
    groups: str
    columns: dict[str, dict[str, Any]]
    root: Path
    files: list[str]
    reader: Reader


def choose_groups(names: Sequence[str], groups: str | None, where: object) -> str | None:
    """The column that groups images of one patient, or None where the user states that there is none.

    Raises:
        DataContractError: if neither the data nor the user says anything.
    """
    if groups == "none":
        return None
    if groups is not None:
        if groups not in names:
            raise DataContractError(f"{where}: has no column {groups!r} to group by; it has {listed(names) or 'none'}.")
        return groups
    for name in GROUP_COLUMNS:
        if name in names:
            return name
    complain(
        DataContractError(
            f"{where}: nothing says which images belong to one patient, so a split could leak. Add a column "
            f"{', '.join(GROUP_COLUMNS[:-1])} or {GROUP_COLUMNS[-1]}, name another one with groups=COLUMN (--groups COLUMN), or "
            "state that there is none with groups=none (--groups none)."
        )
    )
    return None


def stated(column: str | None) -> str:
    """How a task records its groups."""
    return "none: stated by the user (groups=none)" if column is None else column


def split_words(words: Sequence[Any], ids: Sequence[Any], where: object) -> list[str]:
    """Split names in the usual spellings → train, validation, test; "excluded" for what is none, after the complaint."""
    known = [None if is_empty(word) else SPLIT_WORDS.get(str(word).strip().lower()) for word in words]
    bad = [f"{key}: {word!r}" for key, word, name in zip(ids, words, known, strict=True) if name is None]
    if bad:
        complain(
            DataContractError(
                f"{where}: {len(bad)} rows have no known split: {listed(bad)}. Use train, validation or test."
            )
        )
    return [EXCLUDED if name is None else name for name in known]


def classes_beside(folder: Path) -> tuple[str, ...] | None:
    """The names in `classes.json`, a JSON list, where there is one.

    Raises:
        DataContractError: if it is none.
    """
    path = folder / "classes.json"
    if not path.is_file():
        return None
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataContractError(f"{path} is not readable JSON ({error}).") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataContractError(f"{path} should be a list of class names.")
    return tuple(names)


def interpret(
    values: list[Any], ids: Sequence[Any], named: tuple[str, ...] | None, where: object
) -> tuple[str, tuple[str, ...], list[Any]]:
    """One label a row, as strings or numbers → kind, classes and numbers.

    Whole numbers and words are classes (sorted, unless their names are given); other numbers are values to regress.
    A number outside named classes is kept, and the task's check reports it. A row without a label, or with a word that is no
    class, gets None after the complaint.
    """
    empty = [str(key) for key, value in zip(ids, values, strict=True) if is_empty(value)]
    if empty:
        complain(DataContractError(f"{where}: {len(empty)} rows have no label: {listed(empty)}."))
        told = [not is_empty(value) for value in values]
        rest = [value for value, yes in zip(values, told, strict=True) if yes]
        known = [key for key, yes in zip(ids, told, strict=True) if yes]
        kind, classes, labels = interpret(rest, known, named, where)
        left = iter(labels)
        return kind, classes, [next(left) if yes else None for yes in told]
    numbers = [_number(value) for value in values]
    if named is None and all(number is not None for number in numbers):
        real = [number for number in numbers if number is not None]
        if any(number != int(number) for number in real):
            return "regression", (), real
        unique = sorted({int(number) for number in real})
        return _kind(len(unique)), tuple(map(str, unique)), [unique.index(int(number)) for number in real]
    words = [str(value).strip() for value in values]
    classes = named if named is not None else tuple(sorted(set(words)))
    place = {word: index for index, word in enumerate(classes)}
    outside = {word for word in words if word not in place}
    if outside and all(number is not None and number == int(number) for number in numbers):
        return _kind(len(classes)), classes, [int(number or 0) for number in numbers]  # numbers of the named classes
    if outside:
        bad = [f"{key}: {word!r}" for key, word in zip(ids, words, strict=True) if word in outside]
        complain(
            DataContractError(
                f"{where}: {len(bad)} labels are outside the {len(classes)} classes ({listed(classes)}): {listed(bad)}."
            )
        )
    return _kind(len(classes)), classes, [place.get(word) for word in words]


def _kind(classes: int) -> str:
    return "binary" if classes == 2 else "multiclass"


def _number(value: Any) -> float | None:  # noqa: ANN401
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and abs(number) < 2**53 else None
