"""Splits and folds by group: groups are ranked by a hash of (purpose, seed, group), and by nothing else.

A group is a patient, a lesion cluster, or the image itself where the data have no groups. Groups are ranked
within their class (the most frequent class of their images; for multilabel tasks, the rarest label that they have). Segmentation
and regression have one stratum.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.patient_ids import alike_form, spellings
from medzoo.data.splits.split_file import read_splits
from medzoo.data.vocabulary import EXCLUDED, SPLITS, UNCERTAIN
from medzoo.errors import DataContractError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from medzoo.data.task import Task

FOLDS = 5  # that are made, unless another number is asked for
STATED_FOLD = "stated_fold"  # a column of fold numbers in a user's own data
VALIDATION_SHARE = {"train": 0.9, "validation": 0.1}
ALL_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
Strata = list[list[str]]


def arrange(
    task: Task,
    *,
    split_file: str | os.PathLike[str] | None = None,
    fold: int | None = None,
    seed: int = 0,
    fold_count: int | None = None,
) -> Task:
    """Give a task the splits train, validation and (where it has or can have one) test.

    Args:
        task: as its family built it.
        split_file: ids → splits, or a folder of lists (split_file.py); replaces the task's splits.
        fold: this part of all groups is the test set, the next one is validation; with a folder of lists, its fold.
        seed: of made splits.
        fold_count: how many folds are made (5); with two, the other fold is for training, and 10 % of it become validation.

    Raises:
        UsageError: if both a split file and a fold are given, the fold does not exist, or the data have another number of folds.
        DataContractError: if there are too few groups to split.
    """
    if fold_count is not None and fold is None:
        raise UsageError("The number of folds needs a fold: add --fold N.", code="fold-not-given")
    stated = STATED_FOLD in next(iter(task.tables.values())).column_names
    if fold_count is not None and (split_file is not None or stated):
        where = "the folder of lists" if split_file is not None else f"task {task.name}"
        raise UsageError(
            f"The folds are those of {where}; their number cannot be chosen. Leave out --fold-count.",
            code="fold-count-of-data",
        )
    # A split file, a fold of the data, or a fold made by group.
    if split_file is not None:
        tables, dropped = _from_file(task, Path(split_file).expanduser(), fold)
        task = task.with_tables(tables, f"splits: from {split_file}", dropped=dropped)
    elif fold is not None and stated:
        task = _stated_fold(task, fold)
    elif fold is not None:
        count = FOLDS if fold_count is None else fold_count
        if count < 2:
            raise UsageError(f"The number of folds is {count}; it must be at least 2.", code="fold-count-too-small")
        if not 0 <= fold < count:
            raise UsageError(f"There is no fold {fold}. Give one of 0 to {count - 1}.", code="fold-out-of-range")
        note = f"splits: fold {fold} of {count}, made here by {_unit(task)} with seed {seed}"
        chosen = _fold(task, fold, count, seed)
        if count > 2:
            return _regroup(task, chosen, "a fold", note)
        task = task.with_tables(
            _divide(_pool(task), "all", chosen), note
        )  # validation comes from the training half below
    if task.kind == "unlabelled":
        return task
    # The data have folds, and the user must choose one.
    first = next(iter(task.tables))
    if (
        fold is None
        and split_file is None
        and "validation" not in task.tables
        and STATED_FOLD in task.tables[first].column_names
    ):
        count = len({number for number in task.column(first, STATED_FOLD) if number is not None})
        raise UsageError(
            f"Task {task.name}: the data have {count} folds, and no validation split. Choose a fold with --fold 0 to {count - 1}, "
            "or add split=none after the task's name to make other splits.",
            code="fold-not-given",
        )
    # Missing splits are made by group.
    if "all" in task.tables:
        shares = ", ".join(f"{share:.0%} {split}" for split, share in ALL_SHARES.items())
        note = f"splits: none in the data; made here by {_unit(task)} with seed {seed}: {shares}"
        return _regroup(task, _cut(ranked_strata(task, "all", seed, "split"), ALL_SHARES), "splits", note)
    if "validation" not in task.tables:
        chosen = _cut(ranked_strata(task, "train", seed, "validation"), VALIDATION_SHARE)
        parts = _divide(task, "train", chosen)
        rest = {name: table for name, table in task.tables.items() if name != "train"}
        share = f"{VALIDATION_SHARE['validation']:.0%} of train"
        note = f"validation: none in the data; {share}, made here by {_unit(task)} with seed {seed}"
        return task.with_tables(_nonempty(task, parts, "a validation split") | rest, note)
    return task


def number_of_folds(task: Task, fold_count: int | None = None) -> int:
    """The number of folds of a task that was opened with a fold: those of a column in the data, or those made here.

    Args:
        task: opened with a fold, and without a split file.
        fold_count: how many were asked for.
    """
    if STATED_FOLD not in task.tables["train"].column_names:
        return FOLDS if fold_count is None else fold_count
    numbers = {number for split in task.tables for number in task.column(split, STATED_FOLD)}
    return len(numbers - {None})


def _stated_fold(task: Task, fold: int) -> Task:
    """The splits of a fold in the data: this fold is for test and the next one for validation.

    If the data have a test split, it stays, and the fold is for validation.
    """
    test = {split: table for split, table in task.tables.items() if split == "test"}
    pool = _pool(task.with_tables({split: table for split, table in task.tables.items() if split not in test}))
    numbers = pool.column("all", STATED_FOLD)
    known = sorted({number for number in numbers if number is not None})
    if not 0 <= fold < len(known):
        raise UsageError(
            f"Task {task.name} has no fold {fold}. Give one of 0 to {len(known) - 1}: its data have {len(known)} folds.",
            code="fold-out-of-range",
        )
    if len(known) < 2:
        raise UsageError(
            f"Task {task.name}: all rows are in one fold, so there is no fold for training.", code="single-fold"
        )
    role = {known[fold]: "validation" if test else "test"}
    if not test and len(known) > 2:
        role[known[(fold + 1) % len(known)]] = "validation"
    rows: dict[str, list[int]] = {"train": []}
    for row, number in enumerate(numbers):
        rows.setdefault(role.get(number, "train"), []).append(row)
    parts = {split: pool.tables["all"].take(chosen) for split, chosen in rows.items()}
    return task.with_tables(parts | test, f"splits: fold {fold} of the {len(known)} folds in the data")


def rank(purpose: str, seed: int, group: str) -> bytes:
    """The place of a group in a random order: a hash, so that it does not depend on the other groups.

    Args:
        purpose: of the order; orders of other purposes are independent.
        seed: of the order.
        group: a patient, or the id of an image.
    """
    return hashlib.sha256(f"{purpose}\0{seed}\0{group}".encode()).digest()


def ranked_strata(task: Task, split: str, seed: int, purpose: str) -> Strata:
    """Groups of each class, ranked; the largest stratum first.

    Args:
        task: of any kind.
        split: one of its splits.
        seed: of the ranking.
        purpose: of the ranking.
    """
    groups = groups_of(task, split)
    # The class of each group.
    stratum: dict[str, int] = {}
    if task.kind in ("binary", "multiclass"):
        votes: dict[str, Counter[int]] = defaultdict(Counter)
        for group, label in zip(groups, task.labels(split).tolist(), strict=True):
            votes[group][label] += 1
        stratum = {group: min(count, key=lambda label: (-count[label], label)) for group, count in votes.items()}
    elif task.kind == "multilabel":
        present = present_labels(task, split)
        rarity = np.argsort(np.argsort(present.sum(axis=0), kind="stable"))  # 0 is the rarest label
        for group, row in zip(groups, present, strict=True):
            rarest = min(rarity[row].tolist(), default=len(rarity))
            stratum[group] = min(rarest, stratum.get(group, len(rarity)))
    else:
        stratum = dict.fromkeys(groups, 0)
    # Rank the groups of each class.
    strata: dict[int, list[str]] = defaultdict(list)
    for group, label in stratum.items():
        strata[label].append(group)
    ranked = [sorted(members, key=lambda group: rank(purpose, seed, group)) for _, members in sorted(strata.items())]
    return sorted(ranked, key=len, reverse=True)


def present_labels(task: Task, split: str) -> np.ndarray:
    """Labels that are certainly present: bool (N, C). They, and so the splits, do not depend on the label policy."""
    present = task.labels(split) == 1
    if task.policy is not None and UNCERTAIN in task.tables[split].column_names:
        present &= ~np.array(task.column(split, UNCERTAIN), dtype=bool).reshape(present.shape)
    return present


def _cut(strata: Strata, shares: dict[str, float]) -> dict[str, str]:
    """Group → split. Each stratum is cut at the shares, train first; an empty split gets a group of the largest stratum."""
    chosen: dict[str, str] = {}
    for ranked in strata:
        start, share = 0, 0.0
        for split, part in shares.items():
            share += part
            stop = max(1 if start == 0 else start, int(share * len(ranked) + 0.5))
            chosen |= dict.fromkeys(ranked[start:stop], split)
            start = stop
    for split in shares:
        if split not in chosen.values():
            spare = [ranked for ranked in strata if sum(chosen[group] == "train" for group in ranked) > 1]
            if spare:
                chosen[[group for group in spare[0] if chosen[group] == "train"][-1]] = split
    return chosen


def _fold(task: Task, fold: int, folds: int, seed: int) -> dict[str, str]:
    strata = ranked_strata(_pool(task), "all", seed, "fold")
    if (count := sum(map(len, strata))) < folds:
        raise DataContractError(
            f"Task {task.name} has {count} patients (or groups); {folds} folds need at least {folds}. Leave out --fold, or give "
            "the split of every image in a file (--split-file).",
            code="fewer-groups-than-folds",
        )
    chosen, dealt = {}, 0
    for ranked in strata:
        for group in ranked:  # the count continues from class to class, so that the folds have equal sizes
            place = dealt % folds
            validates = folds > 2 and place == (fold + 1) % folds
            chosen[group] = "test" if place == fold else "validation" if validates else "train"
            dealt += 1
    return chosen


def _pool(task: Task) -> Task:
    import pyarrow as pa

    if "all" in task.tables:
        return task
    return task.with_tables({"all": pa.concat_tables(task.tables.values(), promote_options="default")})


def groups_of(task: Task, split: str) -> list[str]:
    """The group of every row. Ids that may mean one patient get one spelling, so that made splits do not separate them."""
    groups = task.groups(split)
    if task.info.groups.startswith("none"):
        return groups
    merged = spellings(set(groups), alike_form)
    return [merged.get(group, group) for group in groups] if merged else groups


def _regroup(task: Task, chosen: dict[str, str], what: str, note: str) -> Task:
    parts = _divide(_pool(task), "all", chosen)
    return task.with_tables(_nonempty(task, parts, what), note)


def _divide(task: Task, split: str, chosen: dict[str, str]) -> dict[str, pa.Table]:
    rows: dict[str, list[int]] = {name: [] for name in SPLITS if name in set(chosen.values())}
    for row, group in enumerate(groups_of(task, split)):
        rows[chosen[group]].append(row)
    return {name: task.tables[split].take(indices) for name, indices in rows.items()}


def _nonempty(task: Task, parts: dict[str, pa.Table], what: str) -> dict[str, pa.Table]:
    if "train" not in parts or "validation" not in parts:
        groups = sum(len(set(table["patient_id"].to_pylist())) for table in parts.values())
        raise DataContractError(
            f"Task {task.name}: {groups} groups are too few to make {what}. Give a split file.", code="groups-too-few"
        )
    return parts


def _unit(task: Task) -> str:
    """What a split that is made here keeps together, for a note."""
    return "image" if task.info.groups.startswith("none") else "patient (or group)"


def _from_file(task: Task, path: Path, fold: int | None) -> tuple[dict[str, pa.Table], list[str]]:
    """The task's rows, divided by a split file or a folder of lists; and the ids that it leaves out of groups that it uses."""
    pooled = _pool(task).tables["all"]
    ids, groups = pooled["id"].to_pylist(), pooled["patient_id"].to_pylist()
    assigned = read_splits(path, ids, task.name, fold)
    rows: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate(ids):
        rows[assigned[key]].append(row)
    used = {groups[row] for split in SPLITS for row in rows[split]}
    dropped = [ids[row] for row in rows[EXCLUDED] if groups[row] in used]
    return {split: pooled.take(rows[split]) for split in SPLITS if rows[split]}, dropped
