"""A part of the training split: a fraction of its patients, or a number of images per class (few-shot).

Both are nested: a smaller part is contained in every larger one of the same draw. Both depend on the ids in the data only, so
they are equal for all checkpoints and all training seeds. Validation and test stay complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from medzoo.data.split_counts import check_share
from medzoo.data.splits.assign import groups_of, present_labels, rank, ranked_strata
from medzoo.data.task import Task
from medzoo.data.vocabulary import UNCERTAIN
from medzoo.errors import DataContractError, UsageError, listed

SHOTS = "few-shot"  # the purpose of its ranking


def check_part(fraction: float, per_class: int | None, draw: int | None) -> None:
    """Refuse a part of the training split that does not exist for any task.

    Args:
        fraction: of the training groups.
        per_class: images per class, or None.
        draw: number of the random part, or None.

    Raises:
        UsageError: for a value out of range, and for values that exclude each other.
    """
    if not 0 < fraction <= 1:
        raise UsageError(
            f"The fraction is {fraction}. Give a number above 0 and at most 1.", code="fraction-out-of-range"
        )
    if per_class is not None and fraction != 1:
        raise UsageError(
            f"A fraction ({fraction:g}) and a number of images per class ({per_class}) exclude each other. Remove "
            "--fraction or --per-class.",
            code="per-class-with-fraction",
        )
    if draw is not None and per_class is None and fraction == 1:
        raise UsageError(
            f"Draw {draw} is a number of a random part of the training images, but all images are used. Add --per-class N or "
            "--fraction SHARE, or remove --draw.",
            code="draw-without-part",
        )
    for name, value, least in (("per_class", per_class, 1), ("draw", draw, 0)):
        if value is not None and value < least:
            raise UsageError(f"{name} is {value}; it should be at least {least}.", code="part-out-of-range")


def reduce_training(task: Task, *, fraction: float, per_class: int | None, draw: int | None, seed: int = 0) -> Task:
    """The task with the requested part of its training split.

    Args:
        task: with a training split.
        fraction: of the training groups; 1 takes all.
        per_class: images per class; None takes all.
        draw: number of the random part; None is the one part of a fraction that has no number, and draw 0 of `per_class`.
        seed: of fractions.

    Raises:
        UsageError: for a task without classes.
        DataContractError: if a class has fewer images.
    """
    if per_class is not None:
        return take_per_class(task, per_class, draw=draw or 0)
    return task if fraction == 1 else take_fraction(task, fraction, seed=seed, draw=draw)


def take_fraction(task: Task, fraction: float, *, seed: int = 0, draw: int | None = None) -> Task:
    """Take a fraction of the training groups; the other splits stay complete.

    A smaller fraction is a part of every larger one of the same draw. Every class has at least one group.

    Args:
        task: with a training split.
        fraction: of the groups of each class, in (0, 1].
        seed: of the ranking; the same groups for every checkpoint and training seed.
        draw: number of another ranking; None for the one without a number.
    """
    purpose = "fraction" if draw is None else f"fraction, draw {draw}"
    # The first groups of each stratum, and one group for each class.
    strata = ranked_strata(task, "train", seed, purpose)
    kept = {group for ranked in strata for group in ranked[: max(1, int(fraction * len(ranked) + 0.5))]}
    ranks = {group: rank(purpose, seed, group) for ranked in strata for group in ranked}
    groups = groups_of(task, "train")
    for members in _members(task):
        if len(members):
            kept.add(min((groups[row] for row in members.tolist()), key=ranks.__getitem__))
    rows = [row for row, group in enumerate(groups) if group in kept]
    part = task.with_tables({**task.tables, "train": task.tables["train"].take(rows)})
    check_share(task, part, {raw for raw, group in zip(task.groups("train"), groups, strict=True) if group in kept})
    return part


def take_per_class(task: Task, count: int, *, draw: int = 0) -> Task:
    """Take a number of training images per class; the other splits stay complete.

    The patients of each class are ranked at random. A class takes one image of each of its patients, in their order, and a
    second image of a patient only when every patient has given one. So its images come from as many patients as possible, and
    the images of a smaller count are contained in those of a larger one. In a multilabel task, every label takes its images in
    this way, an image counts for all of its labels, and as many images without any label are added, where there are some.

    Args:
        task: with a training split.
        count: images per class, at least 1.
        draw: number of the ranking, from 0.

    Raises:
        UsageError: for a task without classes.
        DataContractError: if a class has fewer training images; all such classes are named.

    >>> from medzoo.data.task_registry import load_task
    >>> part = take_per_class(load_task("phantom_oct"), 5)
    >>> part.counts("train"), part.tables["test"].num_rows
    ({'normal': 5, 'drusen': 5, 'fluid': 5, 'atrophy': 5}, 400)
    """
    if task.kind not in ("binary", "multiclass", "multilabel"):
        raise UsageError(
            f"Task {task.name} is {task.kind}: its images have no classes to count. Use --fraction SHARE instead of --per-class.",
            code="per-class-without-classes",
        )
    members = dict(zip(task.classes, _members(task), strict=True))
    if few := {name: len(rows) for name, rows in members.items() if len(rows) < count}:
        most = min(map(len, members.values()))
        how = f"Give --per-class {most} or less" if most else "Merge or remove the classes without images"
        raise DataContractError(
            f"Task {task.name}: {count} training images per class were requested, but these classes have fewer: "
            f"{listed((f'{name} ({number})' for name, number in few.items()), 6)}. {how}, or use --fraction.",
            code="class-smaller-than-per-class",
        )
    # the first images of each class, and of the images without a label
    order = _taking_order(task, draw)
    chosen: set[int] = set()
    for name, rows in (*members.items(), ("", _unlabelled(task))):
        chosen.update(order(rows, name)[:count])
    part = task.with_tables({**task.tables, "train": task.tables["train"].take(sorted(chosen))})
    _check_counts(task, part, count)
    return part


def _members(task: Task) -> Iterator[np.ndarray]:
    """The rows of each class in training; nothing for masks and regression."""
    if task.kind == "multilabel":
        yield from map(np.flatnonzero, present_labels(task, "train").T)
    elif task.kind in ("binary", "multiclass"):
        # one pass, because there can be 10,000 classes and millions of images
        labels = task.labels("train")
        rows = np.argsort(labels, kind="stable")
        yield from np.split(rows, np.searchsorted(labels[rows], np.arange(1, len(task.classes))))


def _unlabelled(task: Task) -> np.ndarray:
    """The training rows of a multilabel task without any label, certain or not; none for other tasks."""
    if task.kind != "multilabel":
        return np.empty(0, dtype=np.int64)
    marked = present_labels(task, "train")
    if task.policy is not None and UNCERTAIN in task.tables["train"].column_names:
        marked |= np.array(task.column("train", UNCERTAIN), dtype=bool).reshape(marked.shape)
    return np.flatnonzero(~marked.any(axis=1) & (task.labels("train") == 0).any(axis=1))


def _taking_order(task: Task, draw: int) -> Callable[[np.ndarray, str], list[int]]:
    """(rows, class) → the rows in the order in which few-shot parts take them: each patient's first image before any second one."""
    groups, ids = groups_of(task, "train"), task.column("train", "id")

    def ordered(rows: np.ndarray, name: str) -> list[int]:
        ranked = sorted(rows.tolist(), key=lambda row: rank(SHOTS, draw, ids[row]))
        taken: Counter[str] = Counter()
        turns: dict[int, int] = {}
        for row in ranked:
            turns[row] = taken[groups[row]]
            taken[groups[row]] += 1
        patients = {group: rank(f"{SHOTS} patients of {name}", draw, group) for group in taken}
        return sorted(ranked, key=lambda row: (turns[row], patients[groups[row]]))

    return ordered


def _check_counts(task: Task, part: Task, count: int) -> None:
    """Check that every class has the requested images, and that no other split changed."""
    sizes = [len(rows) for rows in _members(part)]
    exact = task.kind == "multilabel" or max(sizes) == count
    whole = all(part.tables[name].num_rows == rows.num_rows for name, rows in task.tables.items() if name != "train")
    if min(sizes) < count or not exact or not whole:
        raise DataContractError(
            f"Task {task.name}: the training split should have {count} images per class, but it has {sizes}. This is a bug in "
            "medzoo: please report it.",
            code="per-class-counts-differ",
        )
