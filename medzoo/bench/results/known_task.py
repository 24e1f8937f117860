"""The facts of the task of a stored result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medzoo.data.task_info import TaskInfo
from medzoo.data.task_registry import task_info, task_names
from medzoo.errors import UsageError


def known_task(result: Mapping[str, Any]) -> TaskInfo | None:
    """The facts of a result's task; None if it is not a registered task."""
    name = result["identity"]["task"]["id"]
    if ":" in name or name.partition(",")[0] not in task_names():  # the search for similar names in an error is slow
        return None
    try:
        return task_info(name)
    except UsageError:
        return None
