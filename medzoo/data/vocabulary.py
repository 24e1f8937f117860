"""Shared vocabulary of `data`: names of splits, marks of labels, empty cells."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
# Spellings of the splits in names of folders, files and columns.
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "tst": "test",
}
EXCLUDED = "excluded"
UNCERTAIN = "uncertain"  # column: the labels that training draws ("soft"), or that are 1 only by the policy ("one")
MARKS = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "-1": -1.0, "-1.0": -1.0}
_EMPTY = ("", "nan", "none", "null", "na", "n/a", "<na>")


def is_empty(value: object) -> bool:
    """Whether a cell is empty: null, NaN, blanks, "n/a".

    >>> is_empty(" NaN "), is_empty(0)
    (True, False)
    """
    return value is None or value != value or (isinstance(value, str) and value.strip().lower() in _EMPTY)
