"""Words that every part of `data` uses alike: names of splits, marks of labels, empty cells."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
# How folders, files and columns of data name them.
SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "dev": "validation", "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
EXCLUDED = "excluded"
UNCERTAIN = "uncertain"  # which labels are drawn in training ("soft"), or are 1 by the policy alone ("one")
MARKS = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "-1": -1.0, "-1.0": -1.0}
_EMPTY = ("", "nan", "none", "null", "na", "n/a", "<na>")


def is_empty(value: object) -> bool:
    """Whether a cell says nothing: null, NaN, blanks, "n/a".

    >>> is_empty(" NaN "), is_empty(0)
    (True, False)
    """
    return value is None or value != value or (isinstance(value, str) and value.strip().lower() in _EMPTY)
