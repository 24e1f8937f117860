"""Pilots: workers that a scheduler starts on other machines. One pilot is one device and computes runs until none is left.

A suite of a thousand runs needs a few pilots, not a thousand jobs: a pilot waits in the queue once, then takes run after run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from medzoo.bench.campaign.record import Campaign
from medzoo.bench.campaign.worker import SuiteWorker
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.bench.suite_options import Places
from medzoo.errors import WorkerError
from medzoo.locks import BEAT, LEASE

# seconds without a free run until a pilot gives its machine back; the run of a dead one is free by then
PATIENCE = LEASE + 2 * BEAT


def _never() -> bool:
    return False


@dataclass
class Pilot:
    """The work of one pilot; it is pickled, sent to a machine and called there.

    Args:
        suite: the suite.
        places: its folders, on a disk that all machines share.
        cells: all runs, in the order in which pilots take them.
        campaign: folder of its record.
        plan: id of the plan.
        folder: the working folder of the command, to which relative paths refer.
        environment: variables that the pilot sets before it computes, such as the number of threads.
    """

    suite: Suite
    places: Places
    cells: Sequence[SuiteCell]
    campaign: Path
    plan: str
    folder: Path = field(default_factory=Path.cwd)
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self) -> None:
        """Compute runs until none is left."""
        self.work()

    def work(self, stops: Callable[[], bool] = _never) -> list[SuiteCell]:
        """Compute runs; returns those that are left.

        Args:
            stops: whether to take no new run.

        Raises:
            WorkerError: "worker-must-restart" if runs are left, and an unexpected error may have broken the GPU for this process.
        """
        os.chdir(self.folder)
        os.environ.update(self.environment)
        worker = SuiteWorker(self.suite, self.places, self.cells, Campaign(self.campaign), self.plan, stops=stops)
        worker.patience = PATIENCE
        worker.work()
        if worker.must_restart and worker.left:
            raise WorkerError(
                f"After an unexpected error on a GPU ({list(worker.failed.values())[-1]}), this worker takes no other run. The "
                "command that follows the workers replaces it.",
                code="worker-must-restart",
            )
        return worker.left


@dataclass(frozen=True)
class PilotJob:
    """Pilots that were submitted together.

    Args:
        name: the scheduler's id of them.
        logs: folder of their output.
    """

    name: str
    logs: Path


class Scheduler(Protocol):
    """Starts pilots, and reports whether some of them wait or run."""

    name: str
    uses_gpu: bool  # whether each pilot asks for a GPU

    def submit(self, pilot: Pilot, count: int) -> PilotJob:
        """Start pilots.

        Args:
            pilot: the work of each.
            count: their number.
        """

    def is_active(self, jobs: Sequence[str]) -> bool | None:
        """Whether a pilot of these jobs waits or runs; None if the scheduler does not answer.

        Args:
            jobs: names of jobs.
        """

    def queue(self, jobs: Sequence[str]) -> str:
        """What these jobs do or wait for, in words.

        Args:
            jobs: names of jobs.
        """

    def advice(self, jobs: Sequence[str]) -> str:
        """A sentence for a user who stops the command: what happens to these jobs.

        Args:
            jobs: names of jobs.
        """

    def logs(self, job: PilotJob) -> list[Path]:
        """The files with the output of pilots, newest last.

        Args:
            job: of the pilots.
        """

    def finished(self, jobs: Sequence[str]) -> None:
        """End pilots that wait, because all runs have ended.

        Args:
            jobs: names of jobs.
        """

    def close(self) -> None:
        """End what the scheduler started in this process."""


def working_seconds(limit: float) -> float:
    """Seconds after which a pilot with a time limit takes no new run, so that a run is seldom interrupted.

    Args:
        limit: of the pilot, seconds.

    >>> [working_seconds(60 * minutes) / 60 for minutes in (4, 20, 50, 240)]
    [2.0, 10.0, 40.0, 192.0]
    """
    return max(limit / 2, min(0.8 * limit, limit - 600))


class Clock:
    """Whether the time of a pilot is over.

    Args:
        limit: seconds; None for no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self._end = None if limit is None else time.monotonic() + working_seconds(limit)

    @property
    def is_over(self) -> bool:
        """Whether the pilot should take no new run."""
        return self._end is not None and time.monotonic() >= self._end
