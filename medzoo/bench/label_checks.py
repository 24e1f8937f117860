"""Find labels on which a metric is undefined, before anything is decoded or trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.bench import metrics
from medzoo.errors import ResultError, listed

if TYPE_CHECKING:
    from medzoo.data.task import Task

_MOST = 6  # labels that a sentence lists


def check_labels(task: Task, *, selects: bool) -> list[str]:
    """Refuse a validation split that cannot be used for selection, and list the labels without a defined metric.

    Args:
        task: with its splits.
        selects: whether the metric on validation chooses something (an epoch, a penalty).

    Returns:
        Warnings about labels that cannot be evaluated on a split, or cannot be learnt.

    Raises:
        ResultError: if a split is missing, or if the metric is needed for selection and undefined on validation.

    >>> from medzoo.data.task_registry import load_task
    >>> check_labels(load_task("phantom_oct"), selects=True)
    []
    """
    if missing := [split for split in ("train", "validation", "test") if split not in task.tables]:
        raise ResultError(
            f"{task.name} has no {' and no '.join(missing)} split (it has {listed(task.tables, 3)}). A run needs train, validation "
            "and test. Nothing was trained. Add the images to the data, or give the split of every image in a file (--split-file).",
            code="split-missing",
        )
    if task.kind == "segmentation":  # Dice is defined for every mask
        return []
    title = metrics.metric(task.metric).title
    if selects and (reason := undefined_on(task, "validation")):
        raise ResultError(
            f"{title} is undefined on the {len(task.labels('validation')):,} validation images of {task.name}: {reason} "
            f"({_counts(task, 'validation')}). Nothing was trained. Give a validation split with every class "
            '(--split-file), or a protocol with selection = "last".',
            code="metric-undefined-on-validation",
        )
    return [*_untrained(task), *_unmeasured(task, title)]


def undefined_on(task: Task, split: str) -> str | None:
    """Why the task's metric is undefined on a split for all predictions; None if it is defined.

    Args:
        task: of classification.
        split: one of its splits.
    """
    reason = metrics.headline(_rows(task, split), task.metric)["undefined"]
    return None if reason is None else str(reason)


def _rows(task: Task, split: str) -> list[dict[str, Any]]:
    """The task's metric of constant predictions: the labels alone decide where it is undefined."""
    labels, width = task.labels(split), max(1, len(task.classes))
    same = np.full((len(labels), width), 0.5 if task.kind == "multilabel" else 1 / width)
    return metrics.compute(task.kind, task.classes, labels, same, scored=task.info.scored, names=(task.metric,))


def _counts(task: Task, split: str) -> str:
    return listed((f"{name}: {count}" for name, count in task.counts(split).items()), _MOST)


def _unmeasured(task: Task, title: str) -> Iterator[str]:
    """Warnings about labels of validation and test."""
    for split in ("validation", "test"):
        if split not in task.tables:
            continue
        rows = _rows(task, split)
        if reason := metrics.headline(rows, task.metric)["undefined"]:
            yield (
                f"{title} will be undefined on the {split} split of {task.name}: {reason} ({_counts(task, split)}). "
                "The run continues; its other metrics and its predictions are stored."
            )
            continue
        scored = task.info.scored
        undefined = [row for row in rows if row["name"] == task.metric and row["label"] and row["value"] is None]
        undefined = [row for row in undefined if not scored or row["label"] in scored]
        if undefined:
            reasons = listed((f"{row['label']}: {row['undefined']}" for row in undefined), _MOST)
            count = len(scored or task.classes)
            yield (
                f"{title} is undefined for {len(undefined)} of {count} labels on the {split} split of {task.name} ({reasons}); "
                f"the mean is over the other {count - len(undefined)}."
            )


def _untrained(task: Task) -> Iterator[str]:
    """A warning about labels that are positive in every training image; the task itself refuses a class without images."""
    if task.kind != "multilabel":
        return
    known, positive = (~np.isnan(task.labels("train"))).sum(axis=0), task.counts("train")
    always = [name for name, total in zip(task.classes, known.tolist(), strict=True) if positive[name] == total]
    if always:
        yield f"Every annotated training image of {task.name} is positive for {listed(always, _MOST)}: this cannot be learnt."
