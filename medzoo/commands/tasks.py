"""Downstream tasks."""

from __future__ import annotations

from collections.abc import Mapping

from medzoo.commands.shared import AsJson, print_json


def list_(as_json: AsJson = False) -> None:
    """List the tasks; a user's own data is folder:PATH or parquet:PATH."""
    from medzoo.data.task import list_tasks, task_info

    if as_json:
        return print_json(list_tasks())
    for name in list_tasks():
        facts = task_info(name)
        print(f"{name:20} {facts.kind:12} {len(facts.classes):3} classes  {facts.title}")
    return None


def info(name: str, as_json: AsJson = False) -> None:
    """Show a task's classes, metric, splits, licence, and how to get its images."""
    from dataclasses import asdict

    from medzoo.data.task import task_info

    facts = asdict(task_info(name))
    if as_json:
        return print_json(facts)
    for key, value in facts.items():
        if value not in (None, "", (), False):
            print(f"{key:10} {_worded(value)}")
    return None


def _worded(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_worded(inner)}" for key, inner in value.items())
    return str(value).replace("\n", "\n" + " " * 11)
