"""The tasks of a suite, each opened once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medzoo.errors import MedzooError
from medzoo.training.options.shared import open_task

if TYPE_CHECKING:
    from medzoo.bench.cell_options import CellOptions
    from medzoo.data.task import Task

NAMES = (
    "task", "root", "split_file", "fold", "fold_count", "fraction", "per_class", "draw", "label_policy", "groups",
)  # fmt: skip


class OpenedTasks:
    """Opens the task of a run's options; a second run with the same data gets the same task, or the same error."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[object, ...], Task | MedzooError] = {}

    def __call__(self, options: CellOptions) -> Task:
        """The task of the options.

        Args:
            options: of a run.

        Raises:
            MedzooError: if it cannot be opened.
        """
        key = self.key(options)
        if key not in self._tasks:
            try:
                self._tasks[key] = open_task(options)
            except MedzooError as error:
                self._tasks[key] = error
        if isinstance(task := self._tasks[key], MedzooError):
            raise task
        return task

    @staticmethod
    def key(options: CellOptions) -> tuple[object, ...]:
        """The options that choose the data.

        Args:
            options: of a run.
        """
        return tuple(getattr(options, name) for name in NAMES)
