"""The facts of the task of a stored result, if medzoo knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medzoo.data.task_info import TaskInfo
from medzoo.data.task_registry import task_info, task_names
from medzoo.errors import UsageError


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
