"""Cells of CSV files that are written for spreadsheets."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_text(cell: object) -> object:
    """A cell that a spreadsheet shows as it is: a text that it would run as a formula gets an apostrophe before it.

    Names of checkpoints, tasks and images come from other people. Medzoo does not read these CSV files again.

    Args:
        cell: a text, or a number, which does not change.

    >>> as_text("=1+1"), as_text("resnet50"), as_text(-0.5)
    ("'=1+1", 'resnet50', -0.5)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
