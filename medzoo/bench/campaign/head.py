"""The head of a campaign: it submits pilots, follows the record until all runs have ended, and computes no run itself.

It trusts the record and the results, not the scheduler: without accounting, Slurm never reports the end of a killed job.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medzoo import progress
from medzoo.bench.campaign.order import longest_first, stored_results
from medzoo.bench.campaign.pilots import Pilot, PilotJob, Scheduler
from medzoo.bench.campaign.record import Campaign
from medzoo.bench.identity import known_result
from medzoo.bench.results.outcome import Outcome
from medzoo.bench.results.store import ResultStore
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.bench.suite_options import Places, cell_options
from medzoo.bench.suites.opened_tasks import OpenedTasks
from medzoo.errors import MedzooError, WorkerError, listed
from medzoo.locks import BEAT

PAUSE = 1.0  # seconds between two looks at the record
POLL = 10.0  # seconds between two questions to the scheduler
QUIET = 4 * BEAT  # seconds without a heartbeat after which a pilot that the scheduler does not have is gone
REPLACEMENTS = 3  # times in a row without a finished run
LATE = 60.0  # seconds until a file that another machine wrote is visible: network disks keep old folder lists


class CampaignHead:
    """Fills a suite with pilots of a scheduler.

    Args:
        suite: the suite.
        places: its folders, on a disk that all machines share.
        cells: all runs.
        campaign: its record.
        scheduler: starts the pilots.
        opened: tasks that are open already.
    """

    def __init__(
        self, suite: Suite, places: Places, cells: Sequence[SuiteCell], campaign: Campaign, scheduler: Scheduler,
        opened: OpenedTasks | None = None,
    ) -> None:  # fmt: skip
        self.suite, self.places, self.cells = suite, places, cells
        self.campaign, self.scheduler = campaign, scheduler
        self.outcomes: dict[SuiteCell, Outcome] = {}
        self.failed: dict[SuiteCell, str] = {}
        self._opened = opened or OpenedTasks()

    def fill(self, workers: int) -> None:
        """Follow the campaign until each run has an outcome or has failed.

        Args:
            workers: number of pilots.

        Raises:
            WorkerError: if all pilots end before their work, again and again.
        """
        name = self.scheduler.name
        plan = self.campaign.start(
            self.suite.name, self.cells, name, is_queued=lambda plan: self._active(plan) is not False
        )
        self._note_known(plan)
        try:
            with progress.Steps(self.suite.name, len(self.cells), "run") as steps:
                self._follow(plan, workers, steps)
        except KeyboardInterrupt:
            progress.say(self.scheduler.advice(self._jobs(plan)))
            raise
        if jobs := self._jobs(plan):
            self.scheduler.finished(jobs)
        self._collect(plan)

    def _jobs(self, plan: str) -> list[str]:
        return [str(row["job"]) for row in self.campaign.jobs(plan) if row["engine"] == self.scheduler.name]

    def _active(self, plan: str) -> bool | None:
        jobs = self._jobs(plan)
        return self.scheduler.is_active(jobs) if jobs else False

    def _left(self, plan: str) -> list[SuiteCell]:
        ended = self.campaign.ended(plan)
        return [cell for cell in self.cells if cell.folder.as_posix() not in ended]

    def _note_known(self, plan: str) -> None:
        """Record the runs whose results are in the store, so that no pilot is started for them."""
        known = [(cell, result) for cell in self._left(plan) if (result := self._look_up(cell)) is not None]
        if not known:
            return
        with self.campaign.worker(plan, role="head") as head:
            for cell, result in known:
                facts: dict[str, Any] = {"status": result["status"], "seconds": 0.0, "cached": True}
                if result["status"] != "ok":
                    facts["reason"] = f"DivergedError: {result['train'].get('reason')}"
                head.note("end", run=cell.folder.as_posix(), **facts)

    def _look_up(self, cell: SuiteCell) -> Mapping[str, Any] | None:
        try:
            return known_result(cell_options(self.suite, cell, self.places), cell.mode, self._opened)
        except MedzooError:  # its run will report it
            return None

    def _follow(self, plan: str, workers: int, steps: progress.Steps) -> None:
        """Wait for all runs; if all pilots are gone while runs are left, submit new ones."""
        left, shown, quiet = self._left(plan), set[str](), 0
        job, unproductive, before = None, 0, len(left)
        if left and self._active(plan) is False:
            job = self._submit(plan, min(workers, len(left)))
        elif left:
            progress.say(f"{self.scheduler.name} has workers of this suite already: job {listed(self._jobs(plan))}")
        next_poll, next_line = time.monotonic() + POLL, time.monotonic() + progress.FIRST_SECONDS
        while left:
            time.sleep(PAUSE)
            self._show(plan, shown, steps)
            left = self._left(plan)
            if not left or time.monotonic() < next_poll:
                continue
            next_poll = time.monotonic() + POLL
            is_idle = not self.campaign.is_at_work(plan, QUIET)
            is_gone = self._active(plan) is False and is_idle
            if is_idle and not is_gone and time.monotonic() > next_line:
                next_line = time.monotonic() + progress.LINE_SECONDS
                progress.say(f"{self.suite.name}: no worker computes now; {self.scheduler.queue(self._jobs(plan))}")
            quiet = quiet + 1 if is_gone else 0
            left = self._left(plan)  # the last pilot may have ended between the two questions
            if quiet < 2 or not left:
                continue
            unproductive = unproductive + 1 if len(left) == before else 0
            if unproductive > REPLACEMENTS:
                raise WorkerError(self._gone(plan, left, job), code="pilots-gone")
            runs = progress.counted(len(left), "run")
            progress.warn(
                f"All workers of {self.scheduler.name} have ended, and {runs} are left. New workers are submitted."
            )
            job, before, quiet = self._submit(plan, min(workers, len(left))), len(left), 0
        self._show(plan, shown, steps)

    def _submit(self, plan: str, count: int) -> PilotJob:
        cells = longest_first(self.cells, stored_results(self.places.results))
        job = self.scheduler.submit(Pilot(self.suite, self.places, cells, self.campaign.folder.absolute(), plan), count)
        self.campaign.submitted(plan, self.scheduler.name, job.name, count, job.logs)
        counted = progress.counted(count, "worker")
        progress.say(f"{self.scheduler.name}: {counted} submitted, job {job.name}, output in {job.logs}")
        return job

    def _show(self, plan: str, shown: set[str], steps: progress.Steps) -> None:
        """Count the runs that have ended, and print a line for each."""
        ends = self._ends(plan)
        for cell in self.cells:
            folder = cell.folder.as_posix()
            if folder in shown or folder not in ends:
                continue
            shown.add(folder)
            steps.update()
            host, end = ends[folder]
            if not end.get("cached"):
                said, seconds = end.get("reason") or end["status"], progress.duration(float(end["seconds"]))
                steps.line(f"{cell}: {said}, {seconds}, on {host}{steps.ends()}")

    def _ends(self, plan: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """The host and the last end of each run, by the run's folder."""
        ends = [
            (str(lines[0].get("host")), line)
            for lines in self.campaign.events(plan).values()
            for line in lines
            if line["event"] == "end"
        ]
        return {line["run"]: (host, line) for host, line in sorted(ends, key=lambda end: float(end[1]["time"]))}

    def _collect(self, plan: str) -> None:
        """Read the results of all runs."""
        ends, deadline = self._ends(plan), time.monotonic() + LATE
        for cell in self.cells:
            host, end = ends[cell.folder.as_posix()]
            if "reason" in end:
                self.failed[cell] = f"{end['reason']} (on {host})"
            if end["status"] == "failed":
                continue
            while (result := self._look_up(cell)) is None and time.monotonic() < deadline:
                time.sleep(PAUSE)
            if result is None:
                self.failed[cell] = (
                    f"ResultError: {host} computed it, but {self.places.results} has no such result here. All machines must "
                    "see the same folder, the same weights and the same data."
                )
                continue
            path = ResultStore(self.places.results).path(result["identity"])
            self.outcomes[cell] = Outcome(dict(result), path, None, cached=bool(end.get("cached")))

    def _gone(self, plan: str, left: Sequence[SuiteCell], job: PilotJob | None) -> str:
        rows = self.campaign.jobs(plan)
        files = self.scheduler.logs(job) if job is not None else []
        text = (
            f"The workers of {self.scheduler.name} ended {len(rows)} times too early; {len(left)} of {len(self.cells)} runs "
            f"are left ({listed(left, 3)}). Their output: {listed(files, 4) or rows[-1]['logs']}. Correct the cause, then run the "
            "same command again: it continues."
        )
        last = next((said for file in reversed(files) if (said := _last_line(file))), "")
        return f"{text} The last line of the last worker is: {last}" if last else text


def _last_line(file: Path) -> str:
    try:
        lines = [line for line in file.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""
