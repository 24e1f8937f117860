"""A worker: it takes one run of a suite after another until none is left. Any number of workers can share one folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medzoo import progress
from medzoo.bench.campaign.record import Campaign, Worker
from medzoo.bench.results.outcome import Outcome
from medzoo.bench.run import run_cell
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.bench.suite_options import Places, cell_options
from medzoo.errors import MedzooError, RunFolderError, printable
from medzoo.precision import device_kind
from medzoo.training.run_state.run_folder import Interrupted

PAUSE = 1.0  # seconds between two looks at runs that other workers have


class SuiteWorker:
    """Computes the runs of a suite that no other worker has.

    Args:
        suite: the suite.
        places: its folders.
        cells: all runs of the plan, in the order in which this worker tries them; results do not depend on it.
        campaign: its record.
        plan: id of the plan.
        stops: whether to take no new run; asked before each one.
    """

    def __init__(
        self,
        suite: Suite,
        places: Places,
        cells: Sequence[SuiteCell],
        campaign: Campaign,
        plan: str,
        *,
        stops: Callable[[], bool] = lambda: False,
    ) -> None:
        self.suite, self.places, self.cells, self.campaign, self.plan = suite, places, cells, campaign, plan
        self.stops, self.left = stops, list(cells)
        self.patience = float("inf")  # seconds to wait for runs that other workers have
        self.outcomes: dict[SuiteCell, Outcome] = {}
        self.failed: dict[SuiteCell, str] = {}
        self.elsewhere: list[SuiteCell] = []  # another worker has stored their results
        self.must_restart = False  # an error may have broken the GPU for this process: another process has to go on

    def work(self) -> None:
        """Compute runs until each has an outcome or has failed, here or at another worker; `left` has those without.

        A run that ends with an error has failed. After an unexpected error on a GPU this process takes no other run.
        """
        busy = time.monotonic()
        with (
            self.campaign.worker(self.plan) as worker,
            progress.Steps(self.suite.name, len(self.cells), "run") as steps,
        ):
            while self.left and not self._stops():
                before, ended = len(self.left), self.campaign.ended(self.plan)
                self._count(ended, steps)
                self.left = [cell for cell in self.left if not self._is_over(cell, ended, worker, steps)]
                if len(self.left) < before:
                    busy = time.monotonic()
                elif time.monotonic() - busy > self.patience:
                    return
                else:
                    time.sleep(PAUSE)

    def look(self) -> int:
        """Note the runs that have ended at other workers; returns the number of those that are left."""
        ended = self.campaign.ended(self.plan)
        self.left = [cell for cell in self.left if not self._has_ended(cell, ended)]
        return len(self.left)

    def _stops(self) -> bool:
        return self.must_restart or self.stops()

    def _has_ended(self, cell: SuiteCell, ended: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether a run has ended before; notes how."""
        end = ended.get(cell.folder.as_posix())
        if end is None:
            return False
        if "reason" in end:
            self.failed[cell] = end["reason"]
        if end["status"] != "failed":
            self.elsewhere.append(cell)
        return True

    def _is_over(
        self, cell: SuiteCell, ended: Mapping[str, Mapping[str, Any]], worker: Worker, steps: progress.Steps
    ) -> bool:
        """Compute a run, unless it has ended before; False if another worker has it now."""
        if self._has_ended(cell, ended):
            return True
        if self._stops():
            return False
        try:
            with self.campaign.claim(cell):
                if cell.folder.as_posix() in self.campaign.ended(self.plan):  # it ended after the look at all of them
                    return False
                self._run(cell, worker, steps)
        except RunFolderError as error:
            if error.code != "lock-held":
                raise
            return False
        return True

    def _run(self, cell: SuiteCell, worker: Worker, steps: progress.Steps) -> None:
        number = self.cells.index(cell) + 1
        named, started = f"run {number} of {len(self.cells)}: {cell}", time.monotonic()
        steps.postfix(str(cell))
        worker.note("begin", run=cell.folder.as_posix(), name=str(cell))
        status, cached = "failed", False
        # asked before the run, because a broken GPU may not answer
        on_cpu = device_kind(str(self.places.common.get("device", "auto"))) == "cpu"
        try:
            with progress.brief(named):
                outcome = run_cell(cell_options(self.suite, cell, self.places), cell.mode, stored_is_enough=True)
            self.outcomes[cell], status, cached = outcome, str(outcome.result["status"]), outcome.cached
            summary = f"{outcome.result['metric']} {outcome.worded}{' (in the store)' * outcome.cached}"
            outcome.raise_if_diverged()
        except MedzooError as error:
            if isinstance(error, RunFolderError) and error.code == "lock-held":
                worker.note("left", run=cell.folder.as_posix())
                raise  # another command computes it
            summary = self.failed[cell] = f"{type(error).__name__}: {error}"
        except Interrupted:  # the run is saved and can continue
            raise
        except Exception as error:
            summary = self.failed[cell] = self._unexpected(cell, error)
            self.must_restart = not on_cpu  # after an error of CUDA, all later calls in its process fail
        seconds = time.monotonic() - started
        facts = {"reason": summary} if cell in self.failed else {}
        worker.note("end", run=cell.folder.as_posix(), status=status, seconds=round(seconds, 2), cached=cached, **facts)
        self._count(self.campaign.ended(self.plan), steps)
        steps.line(f"{named}: {summary}, {progress.duration(seconds)}{steps.ends()}")

    def _unexpected(self, cell: SuiteCell, error: Exception) -> str:
        """The reason of a run that failed by an error that medzoo does not raise on purpose, with the folder of its traceback.

        Runs that fail for one reason have the same text, so that they are listed together.
        """
        said, _, _ = str(error).strip().partition("\n")
        reason = printable(f"{type(error).__name__}: {said}" if said else type(error).__name__)
        file = self.campaign.keep_traceback(cell, error)
        return reason if file is None else f"{reason} (traceback in {file.parent})"

    def _count(self, ended: Mapping[str, Mapping[str, Any]], steps: progress.Steps) -> None:
        """Show the runs that have ended at all workers, so that the expected time is that of all together."""
        ends = [end for cell in self.cells if (end := ended.get(cell.folder.as_posix())) is not None]
        steps.move_to(len(ends), ready=sum(bool(end.get("cached")) for end in ends))
