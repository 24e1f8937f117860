"""The record of a campaign: what is planned, and what each worker has done. Each worker appends to a file of its own.

    OUT/campaign/plans/<ns>-<id>.json        the plan of each start: version, git commit, engine, all runs
    OUT/campaign/jobs/<ns>-<id>.json         the workers that were submitted to a scheduler: job, number, folder of the logs
    OUT/campaign/workers/<host>-<pid>-<id>.jsonl   a line for each event; the file's mtime is the worker's heartbeat
    OUT/campaign/claims/<run>.json           the runs that are being computed
    OUT/campaign/errors/<ns>-<run>.txt       the traceback of a run that an unexpected error ended

Nothing is overwritten, so that several machines with one disk need no other coordination.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from medzoo import store
from medzoo.bench.results.store import safe_name
from medzoo.bench.suite import SuiteCell
from medzoo.errors import ResultError, printable
from medzoo.locks import BEAT, LEASE, claim, keep_fresh, runs_here, this_process

SCHEMA = "medzoo.campaign/1"


@dataclass
class Campaign:
    """The folder of a campaign.

    Args:
        folder: OUT/campaign.
    """

    folder: Path
    _read: dict[Path, tuple[int, list[dict[str, Any]]]] = field(default_factory=dict, repr=False)

    def start(
        self,
        suite: str,
        cells: Sequence[SuiteCell],
        engine: str = "local",
        *,
        is_queued: Callable[[str], bool] = lambda plan: False,
    ) -> str:
        """Record a plan, or join the newest one if it has the same runs and a worker that is at work; returns its id.

        A run that failed is tried again by a new plan only.

        Args:
            suite: its name.
            cells: all runs.
            engine: that computes them.
            is_queued: whether workers of a plan wait in the queue of a scheduler.
        """
        newest, runs = self.plan(), [{"name": str(cell), "folder": cell.folder.as_posix()} for cell in cells]
        if newest is not None and newest["runs"] == runs:
            plan = str(newest["plan"])
            if self.is_at_work(plan) or is_queued(plan):
                return plan
        plan = uuid.uuid4().hex[:12]
        content = {
            "schema": SCHEMA,
            "plan": plan,
            "suite": suite,
            "started": time.time(),
            "medzoo": _version(),
            "git": _git_commit(),
            "engine": engine,
            "runs": runs,
        }
        # nanoseconds, because the newest file is the plan that counts, and two starts may share a second
        store.write_json(self.folder / "plans" / f"{time.time_ns():020d}-{plan}.json", content)
        return plan

    def is_at_work(self, plan: str, lease: float = LEASE) -> bool:
        """Whether a worker of a plan runs.

        Args:
            plan: its id.
            lease: as for `worker_state`.
        """
        events = self.events(plan).items()
        return any(worker_state(lines, self.heartbeat(name), lease) == "running" for name, lines in events)

    def submitted(self, plan: str, engine: str, job: str, workers: int, logs: Path) -> None:
        """Record workers that were submitted to a scheduler.

        Args:
            plan: that they fill.
            engine: name of the scheduler.
            job: its id of them.
            workers: their number.
            logs: folder of their output.
        """
        row = {"plan": plan, "engine": engine, "job": job, "workers": workers, "logs": str(logs), "time": time.time()}
        store.write_json(self.folder / "jobs" / f"{time.time_ns():020d}-{safe_name(job, 60)}.json", row)

    def jobs(self, plan: str) -> list[dict[str, Any]]:
        """The workers of a plan that were submitted to a scheduler, oldest first.

        Args:
            plan: its id.
        """
        rows = []
        for file in sorted((self.folder / "jobs").glob("*.json")):
            with suppress(OSError, ValueError):
                rows.append(json.loads(file.read_text()))
        return [row for row in rows if row.get("plan") == plan]

    def heartbeat(self, name: str) -> float:
        """Seconds since the last heartbeat of a worker; 0 if its clock is ahead of this one.

        Args:
            name: of the worker.
        """
        with suppress(OSError):
            return max(0.0, time.time() - (self.folder / "workers" / f"{name}.jsonl").stat().st_mtime)
        return float("inf")

    def plan(self) -> dict[str, Any] | None:
        """The newest plan; None if there is none.

        Raises:
            ResultError: if it cannot be read.
        """
        files = sorted((self.folder / "plans").glob("*.json"))
        if not files:
            return None
        try:
            content = json.loads(files[-1].read_text())
        except (OSError, ValueError) as error:
            raise ResultError(
                f"{files[-1]} is not a readable plan: {error}.", code="campaign-plan-unreadable"
            ) from error
        if content.get("schema") != SCHEMA:
            found = content.get("schema")
            raise ResultError(
                f"{files[-1]} has the schema {found!r}; this medzoo reads {SCHEMA}.",
                code="campaign-plan-unreadable",
            )
        return dict(content)

    @contextmanager
    def worker(self, plan: str, role: Literal["worker", "head"] = "worker") -> Iterator[Worker]:
        """A worker's own file, which is kept fresh while the block runs.

        Args:
            plan: that the worker fills.
            role: a head only looks results up and follows.
        """
        name = f"{safe_name(socket.gethostname(), 60)}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        worker = Worker(self.folder / "workers" / f"{name}.jsonl", plan)
        worker.file.parent.mkdir(parents=True, exist_ok=True)
        worker.note("start", **this_process(), role=role)
        with keep_fresh(worker.file, BEAT):
            try:
                yield worker
            finally:
                worker.note("stop")

    @contextmanager
    def claim(self, cell: SuiteCell) -> Iterator[None]:
        """Hold a run while the block computes it.

        Args:
            cell: the run.

        Raises:
            RunFolderError: "lock-held" if another worker has it.
        """
        with claim(self.folder / "claims" / f"{safe_name(cell.folder.as_posix().replace('/', '_'))}.json"):
            yield

    def keep_traceback(self, cell: SuiteCell, error: BaseException) -> Path | None:
        """Write the traceback of a run that an error ended; returns its file, or None if it cannot be written.

        Args:
            cell: the run.
            error: that ended it.
        """
        name = safe_name(cell.folder.as_posix().replace("/", "_"))
        file = self.folder / "errors" / f"{time.time_ns():020d}-{name}.txt"
        with suppress(OSError):  # a full disk may be the cause
            store.write_text(file, printable("".join(traceback.format_exception(error))))
            return file
        return None

    def events(self, plan: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """The events of each worker, oldest first; a line that is not complete yet is left for the next call.

        Args:
            plan: only workers of this plan.
        """
        found = {}
        for file in sorted((self.folder / "workers").glob("*.jsonl")):
            lines = self._lines(file)
            if lines and plan in (None, lines[0].get("plan")):
                found[file.stem] = lines
        return found

    def _lines(self, file: Path) -> list[dict[str, Any]]:
        at, lines = self._read.get(file, (0, []))
        with suppress(OSError):
            content = file.read_bytes()[at:]
            whole = content[: content.rfind(b"\n") + 1]
            for line in whole.splitlines():
                with suppress(ValueError):  # a line that a crash cut
                    lines.append(json.loads(line))
            self._read[file] = (at + len(whole), lines)
        return lines

    def ended(self, plan: str) -> dict[str, dict[str, Any]]:
        """The last end of each run in this plan, by the run's folder.

        Args:
            plan: its id.
        """
        ends = [line for lines in self.events(plan).values() for line in lines if line["event"] == "end"]
        return {line["run"]: line for line in sorted(ends, key=lambda line: float(line["time"]))}


@dataclass(frozen=True)
class Worker:
    """The file of one worker.

    Args:
        file: of its events.
        plan: that it fills.
    """

    file: Path
    plan: str

    def note(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        """Append an event.

        Args:
            event: "start", "begin", "end" or "stop".
            facts: about it.
        """
        line: Mapping[str, Any] = {"event": event, "time": time.time(), "plan": self.plan, **facts}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(store.canonical_json(line) + "\n")


def worker_state(lines: Sequence[Mapping[str, Any]], seconds: float, lease: float = LEASE) -> str:
    """Whether a worker is "running", "stale" (without heartbeat, or its process is gone) or "ended".

    Args:
        lines: its events.
        seconds: since its last heartbeat.
        lease: seconds after which a worker of another machine is stale.
    """
    if lines[-1]["event"] == "stop":
        return "ended"
    runs = runs_here(lines[0])  # of this machine the process itself is asked
    return "running" if (seconds < lease if runs is None else runs) else "stale"


def _version() -> str | None:
    try:
        return version("medzoo")
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of medzoo's checkout; None for an installed wheel or without git."""
    with suppress(OSError, subprocess.SubprocessError):
        here = Path(__file__).parent
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip() or None
    return None
