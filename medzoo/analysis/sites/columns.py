"""The values of a column of a task for the images of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medzoo.errors import NotApplicableError, UsageError, listed

if TYPE_CHECKING:
    from medzoo.data.task import Task

# Columns that say where or how an image was made, in the order of the search.
USUAL = ("site", "scanner", "manufacturer", "center", "centre", "hospital", "device", "view")
MOST_VALUES = 20  # more distinct values are a number or an id, not a site


def usual_column(task: Task, split: str) -> str | None:
    """The first column of a task that says where or how its images were made; None without one.

    Args:
        task: the data.
        split: of the images.
    """
    names = {str(name).lower(): str(name) for name in task.tables[split].column_names}
    return next((names[name] for name in USUAL if name in names), None)


def column_values(task: Task, split: str, ids: Sequence[str], column: str, flag: str) -> np.ndarray:
    """The value of a column for some images, as text; empty where the table has none.

    Args:
        task: the data.
        split: of the images.
        ids: of the images.
        column: its name.
        flag: the option that named it, for messages.

    Returns:
        (N,) texts.

    Raises:
        UsageError: if there is no such column, or its values are not a few sites.
    """
    names = task.tables[split].column_names
    if column not in names:
        raise UsageError(
            f"{flag} is {column!r}; {task.name} has the columns {listed(names)}.", code="column-not-in-task"
        )
    by_id = dict(zip(map(str, task.column(split, "id")), task.column(split, column), strict=True))
    values = np.array(["" if by_id[name] is None else str(by_id[name]).strip() for name in ids])
    distinct = sorted(set(values) - {""})
    if len(distinct) > MOST_VALUES:
        raise UsageError(
            f"{flag} is {column!r}, which has {len(distinct)} values in {task.name} ({listed(distinct, 3)}). Name a column with "
            f"at most {MOST_VALUES} values, such as a site or a scanner.",
            code="column-has-many-values",
        )
    return values


def check_values_differ(values: np.ndarray, column: str) -> None:
    """Refuse a column without two values.

    Args:
        values: (N,) texts.
        column: its name.

    Raises:
        NotApplicableError: if there are fewer than two values.
    """
    distinct = sorted(set(values) - {""})
    if len(distinct) < 2:
        only = f"only the value {distinct[0]!r}" if distinct else "no value"
        raise NotApplicableError(f"The column {column} has {only} in these images.", code="one-site-only")
