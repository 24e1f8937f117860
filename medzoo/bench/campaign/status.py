"""The state of a campaign, read from its record: runs that are done, running, stale, failed or waiting, and the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from medzoo import progress
from medzoo.bench.campaign.record import Campaign, worker_state
from medzoo.errors import UsageError
from medzoo.locks import LEASE

STATES = ("done", "running", "stale", "failed", "waiting")


@dataclass(frozen=True)
class WorkerState:
    """A worker as its file shows it.

    Args:
        name: host, process id and a random part.
        state: "running", "stale" (no heartbeat, or the process is gone) or "ended".
        run: folder of the run that it computes; empty between runs.
        done: number of runs that it ended.
        seconds: since its last heartbeat.
    """

    name: str
    state: str
    run: str
    done: int
    seconds: float


@dataclass(frozen=True)
class CampaignState:
    """The state of all runs of the newest plan.

    Args:
        suite: its name.
        runs: the state of each run by its folder.
        reasons: why runs failed, by folder.
        workers: of the plan.
        seconds_left: at the speed so far; None before the first run.
        jobs: workers that were submitted to a scheduler; those that wait in its queue are not among `workers` yet.
        names: of the runs, by folder; runs that differ in the protocol only have their folder in the name.
    """

    suite: str
    runs: Mapping[str, str]
    reasons: Mapping[str, str]
    workers: Sequence[WorkerState]
    seconds_left: float | None
    jobs: Sequence[Mapping[str, Any]] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def count(self, state: str) -> int:
        """The number of runs in a state.

        Args:
            state: one of `STATES`.
        """
        return sum(one == state for one in self.runs.values())

    def __str__(self) -> str:
        counts = ", ".join(f"{self.count(state)} {state}" for state in STATES)
        left = "" if self.seconds_left is None else f"; ETA {progress.duration(self.seconds_left)}"
        lines = [f"{self.suite}: {progress.counted(len(self.runs), 'run')}: {counts}{left}"]
        for job in self.jobs:
            counted = progress.counted(int(job["workers"]), "worker")
            lines.append(f"  {job['engine']} job {job['job']}: {counted} submitted, output in {job['logs']}")
        for worker in self.workers:
            beat = f", last heartbeat {progress.duration(worker.seconds)} ago" if worker.state != "ended" else ""
            run = f", {self._name(worker.run)}" if worker.run else ""
            lines.append(f"  {worker.name}: {worker.state}, {progress.counted(worker.done, 'run')}{run}{beat}")
        lines += [f"  failed: {self._name(run)}: {why}" for run, why in self.reasons.items()]
        lines += [
            f"  stale: {self._name(run)}: its worker has ended or sends no heartbeat; the same command continues it"
            for run, state in self.runs.items()
            if state == "stale"
        ]
        return "\n".join(lines)

    def _name(self, run: str) -> str:
        return self.names.get(run, run)


def campaign_state(out: Path, *, lease: float = LEASE) -> CampaignState:
    """Read the state of a campaign.

    Args:
        out: the folder of the suite, with campaign/ in it.
        lease: seconds without a heartbeat after which a worker of another machine is stale.

    Raises:
        UsageError: if the folder has no campaign.
        ResultError: if its plan cannot be read.
    """
    campaign = Campaign(out / "campaign")
    plan = campaign.plan()
    if plan is None:
        raise UsageError(
            f"{out} has no campaign. Give the folder --out of recipes/benchmark.py.", code="campaign-missing"
        )
    events = campaign.events(str(plan["plan"]))
    workers = [_worker_state(name, lines, campaign.heartbeat(name), lease) for name, lines in events.items()]
    ended = campaign.ended(str(plan["plan"]))
    # the file of a killed worker still names its run, which another worker may have taken over
    begun = {worker.run for worker in workers if worker.run}
    running = {worker.run for worker in workers if worker.state == "running"}

    runs, reasons = {}, {}
    for folder in (run["folder"] for run in plan["runs"]):
        end = ended.get(folder)
        if end is not None:
            runs[folder] = "failed" if end["status"] == "failed" else "done"
            if "reason" in end:
                reasons[folder] = end["reason"]
        else:
            runs[folder] = "running" if folder in running else "stale" if folder in begun else "waiting"
    left = _seconds_left(runs, ended.values(), workers)
    jobs = campaign.jobs(str(plan["plan"]))
    return CampaignState(str(plan["suite"]), runs, reasons, workers, left, jobs, _names(plan["runs"]))


def _names(runs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The name of each run by its folder."""
    count = Counter(run["name"] for run in runs)
    return {run["folder"]: run["name"] + f" ({run['folder']})" * (count[run["name"]] > 1) for run in runs}


def _worker_state(name: str, lines: Sequence[Mapping[str, Any]], seconds: float, lease: float) -> WorkerState:
    run = ""
    for line in lines:
        run = str(line["run"]) if line["event"] == "begin" else "" if line["event"] in ("end", "left") else run
    done = sum(line["event"] == "end" for line in lines)
    return WorkerState(name, worker_state(lines, seconds, lease), run, done, seconds)


def _seconds_left(runs: Mapping[str, str], ends: Any, workers: Sequence[WorkerState]) -> float | None:  # noqa: ANN401
    computed = [float(end["seconds"]) for end in ends if not end.get("cached") and end["status"] != "failed"]
    left = sum(state in ("running", "waiting", "stale") for state in runs.values())
    active = sum(worker.state == "running" for worker in workers)
    return left * mean(computed) / active if computed and active and left else None
