"""The classes of images as groups: for the colours of a map, and for a classifier."""

from __future__ import annotations

import numpy as np

from medzoo.data.task_info import TaskInfo

SHOWN = 7  # groups with a colour; the others are "other"


def class_names(kind: str, classes: tuple[str, ...], labels: np.ndarray) -> np.ndarray:
    """A name for each image, for the colour of its point.

    Args:
        kind: of the task.
        classes: of the task.
        labels: of the images, as `Task.labels`.

    Returns:
        (N,) texts: the class; of several labels the only one, "several" or "none"; the third of the range of a number;
        "image" without labels.

    >>> class_names("multilabel", ("a", "b"), np.array([[1, 0], [1, 1], [0, np.nan]])).tolist()
    ['a', 'several', 'none']
    """
    if kind in ("binary", "multiclass"):
        return np.array(classes)[np.asarray(labels, dtype=np.int64)]
    if kind == "multilabel":
        present = np.asarray(labels) == 1
        names = np.where(present.sum(1) > 1, "several", "none").astype(object)
        single = present.sum(1) == 1
        names[single] = np.array(classes, dtype=object)[present[single].argmax(1)]
        return names.astype(str)
    if kind == "regression":
        low, high = np.nanquantile(labels, [1 / 3, 2 / 3])
        return np.select([labels <= low, labels <= high], ["low third", "middle third"], "high third")
    return np.full(len(labels), "image")


def most_frequent(names: np.ndarray, most: int = SHOWN) -> np.ndarray:
    """The names with rare ones replaced by "other".

    Args:
        names: (N,) texts.
        most: names that stay.

    >>> most_frequent(np.array(["a", "a", "b", "b", "c"]), 2).tolist()
    ['a', 'a', 'b', 'b', 'other']
    """
    found, counts = np.unique(names, return_counts=True)
    if len(found) <= most:
        return names
    kept = set(found[np.argsort(-counts, kind="stable")][:most].tolist())
    return np.array([name if name in kept else "other" for name in names.tolist()])


def targets(info: TaskInfo, classes: tuple[str, ...], labels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """What a classifier of the task's classes learns, and which images it can use.

    Args:
        info: of the task.
        classes: of the task.
        labels: of the images.

    Returns:
        (N,) names of classes, or (N, L) of 0 and 1, or None where the task has no classes; and (N,) whether an image is used.
    """
    everything = np.ones(len(labels), dtype=bool)
    if info.kind in ("binary", "multiclass"):
        return class_names(info.kind, classes, labels), everything
    if info.kind == "multilabel":
        return np.asarray(labels), ~np.isnan(labels).any(1)
    return None, everything
