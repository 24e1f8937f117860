"""Identify what the folds of one cross-validation, or the draws from the same images, have in common; these have a common mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.data.splits.assign import FOLDS, number_of_folds
from medzoo.training.options.shared import SharedOptions, part_identity

if TYPE_CHECKING:
    from medzoo.data.task import Task

# Text of the groups → its earlier text, which stays in the hash: the folds are the same, and old results keep their column.
_EARLIER_TEXTS = {
    "none: without pneumonia-challenge-dataset-mappings_2018.json nothing says which images are of one patient; a patientId names "
    "one image": "the NIH patient where pneumonia-challenge-dataset-mappings_2018.json is there; else patientId, which names one "
    "image",
}
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
        # folds of the data are hashed with the usual number too, so that stored results keep their column
        made = {
            "folds": options.fold_count or FOLDS,
            "groups": _EARLIER_TEXTS.get(task.info.groups, task.info.groups),
            "version": task.version,
            "data": task.fingerprint,
        }
        return {"folds": {"count": number_of_folds(task, options.fold_count), "sha256": store.sha256_of(made)}}
    lists: dict[str, str] = {}
    numbers = set()
    for file in sorted(Path(options.split_file).expanduser().iterdir()):
        number = _NUMBER.search(file.stem)
        if number and file.is_file():
            lists[file.name] = store.sha256_file(file)
            numbers.add(int(number[1]))
    return {"folds": {"count": len(numbers), "sha256": store.sha256_of({"lists": lists, "data": task.fingerprint})}}


def draw_facts(task: Task, options: SharedOptions) -> dict[str, Any]:
    """The data that all draws of a part of the training images are drawn from, for its result; empty for a run without a draw.

    The draws have different splits, but the same images for validation and test, and so the same images to draw from.

    Args:
        task: the opened task.
        options: of the run.

    Returns:
        {"draws": {"sha256": hash of the facts}}, or {}.
    """
    if "draw" not in part_identity(options):
        return {}
    held_out = {split: sorted(set(task.groups(split))) for split in task.tables if split != "train"}
    given = None if options.split_file is None else Path(options.split_file).expanduser()
    facts = {
        "data": task.fingerprint,
        "version": task.version,
        "held_out": store.sha256_of(held_out),
        "split_file": store.sha256_file(given) if given is not None and given.is_file() else None,
    }
    return {"draws": {"sha256": store.sha256_of(facts)}}
