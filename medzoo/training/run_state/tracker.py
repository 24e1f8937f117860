"""An experiment tracker next to the log of a run: TensorBoard, trackio or Weights & Biases, through Accelerate, offline."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medzoo.errors import MissingExtraError
from medzoo.progress import warn

PROJECT = "medzoo"


def check_tracker(name: str) -> None:
    """Refuse a tracker whose package is not installed, before anything is loaded.

    Args:
        name: "none" needs no package.

    Raises:
        MissingExtraError: with the command that installs it.

    >>> check_tracker("none")
    """
    if name != "none" and find_spec(name) is None:
        raise MissingExtraError(name, "trackers", f"--tracker {name}")


class Tracker:
    """Sends the rows of a run's log to a tracker. It never stops a training: if it fails, a warning says so once.

    TensorBoard writes to RUN/tensorboard and Weights & Biases to RUN/wandb (offline unless WANDB_MODE says otherwise; `wandb sync`
    uploads it later). trackio keeps all runs in its own folder (TRACKIO_DIR).

    Args:
        name: of the tracker, as for `--tracker`; "none" sends nothing.
        folder: of the run.
        title: of the run.
        options: of the run, shown by the tracker.
    """

    def __init__(self, name: str, folder: Path, title: str, options: Mapping[str, Any]) -> None:
        self.name, self.folder, self.title, self.options = name, folder, title, options
        self._started: Any = None

    def start(self, step: int) -> None:
        """Start the tracker; a resumed run continues in the same place.

        Args:
            step: of the saved state that the run continues from, or 0; rows after it will come again.
        """
        if self.name == "none" or self._started is not None:
            return
        try:
            self._started = self._make(step)
            self._started.start()
            if not step:
                self._started.store_init_configuration({key: _plain(value) for key, value in self.options.items()})
        except Exception as error:  # each tracker raises its own kinds of errors
            self._give_up(error)

    def log(self, row: Mapping[str, Any]) -> None:
        """Send the numbers of a row, at its step.

        Args:
            row: of the log, with its "step".
        """
        if self._started is None:
            return
        numbers = {key: value for key, value in row.items() if key != "step" and isinstance(value, (int, float))}
        try:
            self._started.log(numbers, step=row["step"])
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        """Write what the tracker still holds."""
        if self._started is None:
            return
        try:
            self._started.finish()
        except Exception as error:
            self._give_up(error)
        self._started = None

    def _give_up(self, error: Exception) -> None:
        self._started = None
        why = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
        warn(
            f"{self.name} failed and gets no more values of this run ({why}). The training goes on; log.jsonl has all values."
        )

    def _make(self, step: int) -> Any:  # noqa: ANN401 - a tracker of Accelerate
        from accelerate import tracking

        if self.name == "tensorboard":
            # events after the saved state are hidden, because the run will write them again
            return tracking.TensorBoardTracker("tensorboard", self.folder, purge_step=step + 1)
        # a resumed run has the id of its first start, which is a function of its folder
        number = hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:12]
        if self.name == "trackio":
            name = f"{self.title} {number}"
            return tracking.TrackioTracker(PROJECT, name=name, resume="allow", embed=False)
        mode = os.environ.get("WANDB_MODE", "offline")
        return tracking.WandBTracker(
            PROJECT, name=self.title, id=number, resume="allow", dir=str(self.folder), mode=mode
        )


def _plain(value: object) -> object:
    """A value that every tracker can show."""
    return value if isinstance(value, (bool, int, float, str)) else str(value)
