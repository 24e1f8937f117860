"""The facts of the task of a stored result, if medzoo knows it, and whether the labels of its cases may be published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medzoo.data.task_info import TaskInfo
from medzoo.data.task_registry import task_info, task_names
from medzoo.errors import UsageError

SHARDS = "shards:"  # tasks whose name does not say from which task they were made


def known_task(result: Mapping[str, Any]) -> TaskInfo | None:
    """The facts of a result's task; None if it is not a registered task."""
    return registered_task(result["identity"]["task"]["id"])


def registered_task(name: str) -> TaskInfo | None:
    """The facts of a task by its name in a result; None if it is not registered.

    Args:
        name: with its choices.
    """
    if ":" in name or name.partition(",")[0] not in task_names():  # the search for similar names in an error is slow
        return None
    try:
        return task_info(name)
    except UsageError:
        return None


def recorded_labels_stay(info: TaskInfo) -> bool | None:
    """What a result records about its labels; None if the name of its task says enough.

    Args:
        info: of the task of the run.
    """
    return info.labels_stay if info.labels_stay or info.name.startswith(SHARDS) else None


def labels_stay(result: Mapping[str, Any]) -> bool:
    """Whether the labels of the cases of a result must not be published: the result or its registered task says so.

    Results of shards that an earlier medzoo stored do not say it, so their labels are never published.
    """
    name = result["identity"]["task"]["id"]
    facts = known_task(result) or registered_task(name.partition(",")[0])
    if facts is not None and facts.labels_stay:
        return True
    return bool(result.get("labels_stay", name.startswith(SHARDS)))
