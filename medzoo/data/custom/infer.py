"""Infer the kind of the labels in a user's own data: classes, values to regress, or classes named by the user."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.problems import complain
from medzoo.data.vocabulary import is_empty
from medzoo.errors import DataContractError, listed

# A plain decimal: no sign except -, no leading zeros, no underscores, no exponent. `001`, `1_1` and `1E2` are words.
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]+)?")
_PRINTED = re.compile(r"-?[0-9](?:\.[0-9]+)?e[+-][0-9]{2,3}")  # as Python and pandas print small and large fractions
_FEW_ODD = 2


def plain_number(value: Any) -> float | None:  # noqa: ANN401
    """A value as a number; None if it is not one. Text must be a plain decimal.

    Args:
        value: a cell of a CSV or Parquet table.

    >>> [plain_number(value) for value in ("12", "-0.5", 3, "001", "1_1", "1E2", "+1", "nan", "\\u0663")]
    [12.0, -0.5, 3.0, None, None, None, None, None, None]
    """
    if isinstance(value, str):
        text = value.strip()
        if not re.search(r"[0-9]", text) or not (_DECIMAL.fullmatch(text) or _PRINTED.fullmatch(text)):
            return None
        value = text
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and abs(number) < 2**53 else None


def class_word(value: Any) -> str:  # noqa: ANN401
    """A label as the name of a class: without outer blanks, with composed accents.

    >>> class_word(" Zyste "), class_word(True)
    ('Zyste', 'True')
    """
    return unicodedata.normalize("NFC", str(value).strip())


def read_class_names(folder: Path) -> tuple[str, ...] | None:
    """The names in `classes.json`, a JSON list; None if there is no such file.

    Raises:
        DataContractError: if the file is not a list of names.
    """
    path = folder / "classes.json"
    if not path.is_file():
        return None
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataContractError(f"{path} is not readable JSON ({error}).", code="classes-json-unreadable") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataContractError(f"{path} should be a list of class names.", code="classes-json-not-a-list")
    return tuple(names)


def positive_class(kind: str, classes: Sequence[str], other_order: str = "") -> str:
    """The end of a note on labels: which class of a binary task is the positive one; empty for other tasks.

    Args:
        kind: of the task.
        classes: in the order of the labels.
        other_order: how a user sets another order, if it can be set.

    >>> positive_class("binary", ["benign", "malignant"])
    '; positive: malignant, the last one'
    """
    if kind != "binary":
        return ""
    return f"; positive: {classes[-1]}, the last one" + (f" ({other_order})" if other_order else "")


def infer_labels(
    values: Sequence[Any], ids: Sequence[Any], named: tuple[str, ...] | None, where: object
) -> tuple[str, tuple[str, ...], list[Any]]:
    """Infer kind, classes and numeric labels from one label per row, given as strings or numbers.

    Whole numbers and words are classes (sorted, unless their names are given); other numbers are values to regress.
    A number outside the named classes stays, and the task's check reports it. Inside of `collecting`, a row without a label, or
    with a word that is not a class, gets None.
    """
    empty = [str(key) for key, value in zip(ids, values, strict=True) if is_empty(value)]
    if empty:
        complain(
            DataContractError(
                f"{where}: {len(empty)} rows have no label: {listed(empty)}.", code="label-empty", offenders=empty
            )
        )
        labelled = [not is_empty(value) for value in values]
        rest = [value for value, given in zip(values, labelled, strict=True) if given]
        rest_ids = [key for key, given in zip(ids, labelled, strict=True) if given]
        kind, classes, labels = infer_labels(rest, rest_ids, named, where)
        remaining = iter(labels)
        return kind, classes, [next(remaining) if given else None for given in labelled]
    numbers = [plain_number(value) for value in values]
    if named is None:
        numeric = _as_numbers(values, numbers, ids, where)
        if numeric is not None:
            return numeric
    # Words, or numbers that count the named classes.
    words = [class_word(value) for value in values]
    classes = named if named is not None else tuple(sorted(set(words)))
    place = {unicodedata.normalize("NFC", word): index for index, word in enumerate(classes)}
    outside = {word for word in words if word not in place}
    if outside and all(number is not None and number == int(number) for number in numbers):
        return _kind(len(classes)), classes, _as_positions(words, numbers, classes, where)
    if outside:
        bad = [f"{key}: {word!r}" for key, word in zip(ids, words, strict=True) if word in outside]
        complain(
            DataContractError(
                f"{where}: {len(bad)} labels are outside the {len(classes)} classes ({listed(classes)}): {listed(bad)}.",
                code="label-outside-classes",
                offenders=bad,
            )
        )
    return _kind(len(classes)), classes, [place.get(word) for word in words]


def _as_numbers(
    values: Sequence[Any], numbers: Sequence[float | None], ids: Sequence[Any], where: object
) -> tuple[str, tuple[str, ...], list[Any]] | None:
    """Values to regress, or whole numbers as classes; None where the labels are words."""
    # A few words among many fractions are probably typing errors.
    real = [number for number in numbers if number is not None]
    fractions = [number for number in real if number != int(number)]
    odd = [row for row, number in enumerate(numbers) if number is None]
    if odd and fractions and len(odd) <= max(_FEW_ODD, len(values) // 10) and len(real) > len(odd):
        bad = [f"{ids[row]}: {values[row]!r}" for row in odd]
        complain(
            DataContractError(
                f"{where}: {len(bad)} labels are not numbers, but the other {len(real)} are numbers with fractions: "
                f"{listed(bad)}. Correct them.",
                code="label-not-a-number",
                offenders=bad,
            )
        )
        return "regression", (), list(numbers)
    if odd or not real:
        return None
    if fractions:
        return "regression", (), real
    # Whole numbers are classes; each must have one spelling.
    spelled: dict[int, set[str]] = {}
    for value, number in zip(values, real, strict=True):
        if isinstance(value, str):
            spelled.setdefault(int(number), set()).add(value.strip())
    twice = [" = ".join(sorted(words)) for words in spelled.values() if len(words) > 1]
    if twice:
        complain(
            DataContractError(
                f"{where}: labels spell one number in several ways: {listed(twice)}. Use one spelling per class.",
                code="label-spelled-differently",
                offenders=twice,
            )
        )
    unique = sorted({int(number) for number in real})
    place = {number: index for index, number in enumerate(unique)}
    return _kind(len(unique)), tuple(map(str, unique)), [place[int(number)] for number in real]


def _as_positions(
    words: Sequence[str], numbers: Sequence[float | None], classes: tuple[str, ...], where: object
) -> list[int]:
    """Labels that are positions in the named classes, counted from 0."""
    both = sorted(set(words) & set(classes))
    if both:
        raise DataContractError(
            f"{where}: the label {both[0]!r} is the name of a class in classes.json, but other labels are not names. It is "
            "unclear whether the numbers are names or positions counted from 0. Use the names as labels.",
            code="class-numbers-ambiguous",
        )
    return [int(number or 0) for number in numbers]


def _kind(classes: int) -> str:
    return "binary" if classes == 2 else "multiclass"
