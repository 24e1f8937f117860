"""Identify the cross-validation of a fold: only folds of the same cross-validation have a common mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.data.splits.assign import FOLDS

if TYPE_CHECKING:
    from medzoo.data.task import Task
    from medzoo.training.options.shared import SharedOptions

_NUMBER = re.compile(r"fold[_-]?(\d+)", re.IGNORECASE)  # as in data/splits/split_file.py


def fold_facts(task: Task, options: SharedOptions) -> dict[str, Any]:
    """The cross-validation of a fold, for its result; empty for a run without a fold.

    The split of one fold does not identify the other folds. All folds are made from the groups of the same data, or from the
    lists in one folder.

    Args:
        task: the opened task.
        options: of the run.

    Returns:
        {"folds": {"count": number of folds, "sha256": hash of the facts that define them}}, or {}.
    """
    if options.fold is None:
        return {}
    if options.split_file is None:
        made = {"folds": FOLDS, "groups": task.info.groups, "version": task.version, "data": task.fingerprint}
        return {"folds": {"count": FOLDS, "sha256": store.sha256_of(made)}}
    lists: dict[str, str] = {}
    numbers = set()
    for file in sorted(Path(options.split_file).expanduser().iterdir()):
        number = _NUMBER.search(file.stem)
        if number and file.is_file():
            lists[file.name] = store.sha256_file(file)
            numbers.add(int(number[1]))
    return {"folds": {"count": len(numbers), "sha256": store.sha256_of({"lists": lists, "data": task.fingerprint})}}
