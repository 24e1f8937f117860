"""How many images, patients and labels a training really has: counted from its rows, kept with its result.

A share of the data that was silently not applied has happened to others (a comparison of a list with a string); what a result
says of its data is therefore counted, and a share is held to what was asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from medzoo.errors import DataContractError

if TYPE_CHECKING:
    from medzoo.data.task import Task

MANY = 100  # classes that are counted one by one


def data_counts(task: Task) -> dict[str, int]:
    """Images of each split, and of training also patients and images of each class.

    Args:
        task: as it is trained on.

    Returns:
        `train`, `validation`, ... images; `train patients`, where the data know them; `train: CLASS`, or of more than 100
        classes `train: fewest of a class` and `train: most of a class`.

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
    """Hold a share of the training data to the groups that it should have: all images of these, and no others.

    Args:
        whole: the task.
        part: with the share.
        kept: the groups.

    Raises:
        DataContractError: if the share is another one.
    """
    wanted = {group: count for group, count in Counter(whole.groups("train")).items() if group in kept}
    got = Counter(part.groups("train"))
    others = [
        split
        for split in whole.tables
        if split != "train" and part.tables[split].num_rows != whole.tables[split].num_rows
    ]
    if got != wanted or others:
        raise DataContractError(
            f"Task {whole.name}: a share of training should hold {sum(wanted.values())} images of {len(wanted)} patients (or "
            f"groups), and holds {sum(got.values())} of {len(got)}. This is an error of medzoo: please report it."
        )
