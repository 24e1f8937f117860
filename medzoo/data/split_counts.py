"""Count the images, patients and labels that a training really uses; the counts are stored with its result.

In other projects a requested fraction of the data was silently not applied (a list was compared with a string). The counts of a
result are therefore taken from the rows, and a fraction is checked against the request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from medzoo.errors import DataContractError

if TYPE_CHECKING:
    from medzoo.data.task import Task

MANY = 100  # up to this number, each class is counted separately


def data_counts(task: Task) -> dict[str, int]:
    """Count the images of each split; for training also the patients and the images of each class.

    Args:
        task: the training data.

    Returns:
        images of `train`, `validation`, ...; `train patients`, where the data have patient ids; `train: CLASS`, or for more than
        100 classes `train: fewest of a class` and `train: most of a class`.

    >>> from medzoo.data.task_registry import load_task
    >>> counts = data_counts(load_task("phantom_oct", fraction=0.1))
    >>> counts["train"], counts["train patients"], counts["train: drusen"]
    (33, 11, 10)
    """
    counts = {split: int(table.num_rows) for split, table in task.tables.items()}
    if "train" not in counts:
        return counts
    if not task.info.groups.startswith("none"):
        counts["train patients"] = len(set(task.groups("train")))
    if task.kind in ("binary", "multiclass", "multilabel"):
        each = task.counts("train")
        if len(each) > MANY:
            each = {"fewest of a class": min(each.values()), "most of a class": max(each.values())}
        counts |= {f"train: {name}": count for name, count in each.items()}
    return counts


def check_share(whole: Task, part: Task, kept: Collection[str]) -> None:
    """Check that a part of the training data has all images of the selected groups, and no others.

    Args:
        whole: the task.
        part: the task with a part of its training data.
        kept: the selected groups.

    Raises:
        DataContractError: if the images differ.
    """
    expected = {group: count for group, count in Counter(whole.groups("train")).items() if group in kept}
    actual = Counter(part.groups("train"))
    changed = [
        split
        for split in whole.tables
        if split != "train" and part.tables[split].num_rows != whole.tables[split].num_rows
    ]
    if actual != expected or changed:
        raise DataContractError(
            f"Task {whole.name}: the fraction of the training data should have {sum(expected.values())} images of "
            f"{len(expected)} patients (or groups), but it has {sum(actual.values())} of {len(actual)}. This is a bug in "
            "medzoo: please report it.",
            code="fraction-counts-differ",
        )
