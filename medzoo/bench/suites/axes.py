"""The axes of a suite's task: images per class, fractions and sizes make columns; folds and draws repeat the runs of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medzoo.errors import UsageError

AXES = ("folds", "per_class", "fractions", "sizes", "draws")  # of a task, or of the whole suite
DRAWS = 10  # of a few-shot column that does not set a number; fewer are too few for a mean
_ONE_OF = {"fractions": "fraction", "sizes": "size", "folds": "fold"}  # axis → the option for one value
Option = tuple[str, dict[str, Any]]  # the words for the title, and the options


def columns_of(task: Mapping[str, Any], common: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """The columns of a task: one for each part of the training images and each size.

    Args:
        task: the keys that it sets, with title and name.
        common: axes of the suite, for a task that does not set them.
        where: file and place, for messages.

    Returns:
        Each column as a task without axes, apart from `folds` or `draws`, for which its runs are repeated.

    Raises:
        UsageError: for values that occur twice, and for axes that exclude each other.

    >>> [column["title"] for column in columns_of({"name": "busi", "title": "BUSI", "per_class": (1, 5)}, {}, "here")]
    ['BUSI, 1 per class', 'BUSI, 5 per class']
    """
    given = {key: value for key, value in common.items() if key not in task and _ONE_OF.get(key, "") not in task}
    # a task may set its own part of the training images
    if {"fraction", "per_class", "fractions"} & task.keys():
        given = {key: value for key, value in given.items() if key not in ("per_class", "fractions")}
    axes = {**given, **{key: task[key] for key in AXES if key in task}}
    if isinstance(axes.get("per_class"), int):
        axes["per_class"] = (axes["per_class"],)
    _check(axes, task, where)
    plain = {key: value for key, value in task.items() if key not in AXES}
    columns = []
    for words, part in _parts(axes):
        for pixels, size in [(f", {side} px", {"size": side}) for side in axes.get("sizes", ())] or [("", {})]:
            column = {**plain, **part, **size, "title": f"{plain['title']}{words}{pixels}"}
            if "folds" in axes:
                column["folds"] = axes["folds"]
            elif "per_class" in column or ("draws" in axes and column.get("fraction", 1) < 1):
                column["draws"] = axes.get("draws", DRAWS)
            columns.append(column)
    return columns


def _parts(axes: Mapping[str, Any]) -> list[Option]:
    """The parts of the training images: numbers per class, then fractions."""
    shots: list[Option] = [(f", {count} per class", {"per_class": count}) for count in axes.get("per_class", ())]
    shares: list[Option] = [
        (f", {100 * share:.3g} % of train", {"fraction": share} if share < 1 else {})
        for share in axes.get("fractions", ())
    ]
    return [*shots, *shares] or [("", {})]


def _check(axes: Mapping[str, Any], task: Mapping[str, Any], where: str) -> None:
    for name in ("folds", "per_class", "fractions", "sizes"):
        values: Sequence[Any] | None = axes.get(name)
        if values is not None and (not values or len(set(values)) < len(values)):
            raise UsageError(f"{where}: {name} must be distinct, not {list(values)}.", code="axis-invalid")
        if values is not None and (single := _ONE_OF.get(name, "")) in task:
            raise UsageError(
                f"{where}: give either {single} (one value) or {name} (several), not both.", code="axis-and-value-given"
            )
    if "per_class" in axes and task.get("fraction", 1) != 1:
        raise UsageError(
            f"{where}: per_class and fraction exclude each other. For columns of both, give fractions = [...].",
            code="per-class-with-fraction",
        )
    if "folds" in axes and ("per_class" in axes or "draws" in axes):
        raise UsageError(
            f"{where}: folds and draws of the training images cannot be averaged together. Remove folds (or choose one with "
            "fold = 0), or remove per_class and draws.",
            code="folds-with-draws",
        )
    if "draws" in task and "per_class" not in axes and min([*axes.get("fractions", ()), task.get("fraction", 1)]) == 1:
        raise UsageError(
            f"{where}: there is nothing to draw, because all training images are used. Add per_class = [...] or "
            "fractions = [...], or remove draws.",
            code="draws-without-part",
        )


def check_draws(draws: int | None, columns: Sequence[Mapping[str, Any]], where: str) -> None:
    """Refuse draws of a suite that none of its columns uses.

    Args:
        draws: of the suite.
        columns: of all its tasks.
        where: file, for the message.

    Raises:
        UsageError: if there is nothing to draw.
    """
    if draws is not None and not any("draws" in column for column in columns):
        raise UsageError(
            f"{where}: draws is set, but no task has per_class or fractions below 1. Add one of them, or remove draws.",
            code="draws-without-part",
        )
