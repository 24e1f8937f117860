"""Labels on which a metric is undefined: said before anything is decoded or trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.bench import metrics
from medzoo.errors import ResultError, listed

if TYPE_CHECKING:
    from medzoo.data.task import Task

_WORST = 6  # labels that a sentence names


def check_labels(task: Task, *, selects: bool) -> list[str]:
    """Refuse a validation split that cannot select, and list what else the metric will not say.

    Args:
        task: of classification, with its splits.
        selects: whether something (an epoch, a penalty) is chosen by the metric on validation.

    Returns:
        Sentences to warn with: labels that a split cannot measure, or that training cannot learn.

    Raises:
        ResultError: if a split is missing, or if the metric is undefined on validation and selects.

    >>> from medzoo.data.task_registry import load_task
    >>> check_labels(load_task("phantom_oct"), selects=True)
    []
    """
    if missing := [split for split in ("train", "validation", "test") if split not in task.tables]:
        raise ResultError(
            f"{task.name} has no {' and no '.join(missing)} split (it has {listed(task.tables, 3)}), and a result needs all three. "
            "Nothing was trained. Add the images to the data, or state every image's split in a file (--split-file)."
        )
    title = metrics.metric(task.metric).title
    if selects and (reason := undefined_on(task, "validation")):
        raise ResultError(
            f"{title} cannot select on the {len(task.labels('validation')):,} validation images of {task.name}: {reason} "
            f"({_counts(task, 'validation')}). Nothing was trained. Give a validation split that holds every class "
            '(--split-file), or a protocol with selection = "last".'
        )
    return [*_untrained(task), *_unmeasured(task, title)]


def undefined_on(task: Task, split: str) -> str | None:
    """Why the task's metric is undefined on a split, whatever a network predicts; None if it is defined.

    Args:
        task: of classification.
        split: one of its splits.
    """
    reason = metrics.headline(_rows(task, split), task.metric)["undefined"]
    return None if reason is None else str(reason)


def _rows(task: Task, split: str) -> list[dict[str, Any]]:
    """The metrics of predictions that say nothing: which are undefined depends on the labels alone."""
    labels, width = task.labels(split), len(task.classes)
    same = np.full((len(labels), width), 0.5 if task.kind == "multilabel" else 1 / width)
    return metrics.compute(task.kind, task.classes, labels, same, scored=task.info.scored)


def _counts(task: Task, split: str) -> str:
    return listed((f"{name}: {count}" for name, count in task.counts(split).items()), _WORST)


def _unmeasured(task: Task, title: str) -> Iterator[str]:
    """Sentences about validation and test."""
    for split in ("validation", "test"):
        if split not in task.tables:
            continue
        rows = _rows(task, split)
        if reason := metrics.headline(rows, task.metric)["undefined"]:
            yield (
                f"{title} will be undefined on the {split} split of {task.name}: {reason} ({_counts(task, split)}). "
                "The run goes on; its other metrics and its predictions are kept."
            )
            continue
        scored = task.info.scored
        lacking = [row for row in rows if row["name"] == task.metric and row["label"] and row["value"] is None]
        lacking = [row for row in lacking if not scored or row["label"] in scored]
        if lacking:
            named = listed((f"{row['label']}: {row['undefined']}" for row in lacking), _WORST)
            whole = len(scored or task.classes)
            yield (
                f"{title} is undefined for {len(lacking)} of {whole} labels on the {split} split of {task.name} ({named}); "
                f"the mean is that of the other {whole - len(lacking)}."
            )


def _untrained(task: Task) -> Iterator[str]:
    """A sentence about labels that are the same for every training image; a class without any is refused by the task itself."""
    if task.kind != "multilabel":
        return
    known, positive = (~np.isnan(task.labels("train"))).sum(axis=0), task.counts("train")
    always = [name for name, total in zip(task.classes, known.tolist(), strict=True) if positive[name] == total]
    if always:
        yield f"Every training image of {task.name} with a label for it has {listed(always, _WORST)}: that cannot be learnt."
