"""Pilots on a Slurm cluster, through submitit: one array job, one task of it for each pilot."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from medzoo import progress
from medzoo.bench.campaign.pilots import Clock, Pilot, PilotJob
from medzoo.bench.campaign.slurm_options import SlurmOptions, other_parameters
from medzoo.errors import MissingExtraError, WorkerError, listed
from medzoo.training.run_state.run_folder import Interrupted

WARNED = 90  # seconds before the limit at which Slurm sends SIGUSR2
REQUEUES = 50  # times that one pilot starts again after its time limit
AGAIN = 1.0  # seconds between two signals to a run that does not stop


@dataclass
class SlurmPilot:
    """A pilot that saves its run and starts again when Slurm warns it.

    Args:
        pilot: its work.
        minutes: its time limit.
    """

    pilot: Pilot
    minutes: int

    def __call__(self) -> None:
        """Compute runs until none is left, or until the time is over."""
        clock, asked, ended = Clock(60.0 * self.minutes), set[int](), threading.Event()

        def on_signal(number: int, frame: FrameType | None) -> None:
            asked.add(number)  # nothing else: the signal may have interrupted code that holds a lock

        def save() -> None:
            # SIGTERM makes a run save its state; a run that is being loaded does not see the first one
            while not ended.wait(AGAIN):
                if asked:
                    os.kill(os.getpid(), signal.SIGTERM)

        requeue: Any = signal.signal(signal.SIGUSR2, on_signal)  # submitit's: it calls `checkpoint`
        signal.signal(signal.SIGTERM, on_signal)
        threading.Thread(target=save, daemon=True).start()
        left, interrupted = True, False
        try:
            left = bool(self.pilot.work(lambda: bool(asked) or clock.is_over))
        except Interrupted:
            interrupted = True
        finally:
            ended.set()
        # after SIGTERM alone (scancel, a preemption) Slurm itself decides whether the job starts again
        over = clock.is_over and not asked and not interrupted
        if left and (signal.SIGUSR2 in asked or over):
            try:
                requeue(signal.SIGUSR2, None)
            except subprocess.SubprocessError as error:
                progress.warn(
                    f"Slurm does not put this job back into the queue ({error}). The command that follows it replaces it."
                )

    def checkpoint(self) -> Any:  # noqa: ANN401 - of submitit
        """The same work again: results and saved states show how far it is."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmScheduler:
    """Submits pilots with sbatch, and asks squeue.

    Args:
        options: of the jobs.
        folder: of submission files and output; all machines must share it.
        device: "auto" or "cpu".

    Raises:
        MissingExtraError: without submitit.
        WorkerError: without Slurm.
    """

    name = "slurm"

    def __init__(self, options: SlurmOptions, folder: Path, device: str = "auto") -> None:
        try:
            import submitit  # noqa: F401 - before anything is computed
        except ImportError as error:
            raise MissingExtraError("submitit", "slurm", "--engine slurm") from error
        for program in ("sbatch", "squeue", "srun"):
            if shutil.which(program) is None:
                raise WorkerError(
                    f"--engine slurm needs Slurm, but this machine has no {program}. Use a login node of the cluster, load its "
                    "Slurm module, or use --engine local.",
                    code="slurm-missing",
                )
        self.options, self.folder = options, folder.absolute()
        self.gpus = options.gpus_per_worker if options.gpus_per_worker is not None else int(device != "cpu")
        self.uses_gpu = self.gpus > 0

    def parameters(self, name: str) -> dict[str, Any]:
        """The parameters of the job, as submitit names them.

        Args:
            name: of the suite.
        """
        given = self.options
        parameters: dict[str, Any] = {
            "job_name": f"medzoo-{name}",
            "time": given.time_limit,
            "cpus_per_task": given.cpus_per_worker,
            "ntasks_per_node": 1,
            "signal_delay_s": min(WARNED, 20 * given.time_limit),
            # since Slurm 22.05, srun does not take the cores of sbatch
            "srun_args": [f"--cpus-per-task={given.cpus_per_worker}"],
        }
        if self.gpus:
            parameters["gpus_per_node"] = self.gpus
        if given.memory is not None:
            parameters["mem"] = f"{round(given.memory * 1024)}M"
        parameters |= {key: value for key in ("partition", "account") if (value := getattr(given, key)) is not None}
        if more := other_parameters(given.sbatch or ""):
            parameters["additional_parameters"] = more
        return parameters

    def submit(self, pilot: Pilot, count: int) -> PilotJob:
        """Submit one array job.

        Args:
            pilot: the work of each task.
            count: number of tasks.

        Raises:
            WorkerError: with sbatch's message, if Slurm refuses the job.
        """
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        executor = submitit.SlurmExecutor(self.folder, max_num_timeout=REQUEUES)
        executor.update_parameters(**self.parameters(pilot.suite.name))
        work = SlurmPilot(pilot, self.options.time_limit)
        try:
            with redirect_stderr(io.StringIO()), executor.batch():  # submitit prints the message of sbatch too
                jobs = [executor.submit(work) for _ in range(count)]
        except (FailedJobError, FailedSubmissionError) as error:
            raise WorkerError(
                f"Slurm refused the job: {error}. Correct --partition, --account, --gpus-per-worker or another option of the "
                "section Slurm (--help), then run the same command again.",
                code="slurm-refused",
            ) from error
        return PilotJob(jobs[0].job_id.partition("_")[0], self.folder)

    def is_active(self, jobs: Sequence[str]) -> bool | None:
        """Whether squeue lists one of these jobs, other than one that ends; None if it fails.

        Args:
            jobs: ids without the number of the task.
        """
        states = self._states()
        return None if states is None else any(job in jobs and state != "COMPLETING" for job, state, _ in states)

    def queue(self, jobs: Sequence[str]) -> str:
        """The states of the jobs, with the reasons of Slurm.

        Args:
            jobs: ids.
        """
        states = self._states()
        if states is None:
            return "squeue does not answer"
        known = [f"{state} ({reason})" if reason != "None" else state for job, state, reason in states if job in jobs]
        texts = [f"job {listed(jobs)} is {state}" for state in dict.fromkeys(known)]
        return listed(texts) if texts else "squeue has no job of it"

    def _states(self) -> list[tuple[str, str, str]] | None:
        """Job, state and reason of the user's jobs; None if squeue fails, because a controller may restart."""
        command = ["squeue", "-h", "-u", str(os.getuid()), "-o", "%F|%T|%r"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        rows = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
        return [(job, state, reason) for job, state, reason in rows]

    def advice(self, jobs: Sequence[str]) -> str:
        """How to end the jobs.

        Args:
            jobs: ids.
        """
        return f"The workers go on. The same command follows them again; `scancel {' '.join(jobs)}` ends them."

    def logs(self, job: PilotJob) -> list[Path]:
        """What the tasks of a job wrote to stderr.

        Args:
            job: as submitted.
        """
        return sorted(job.logs.glob(f"{job.name}_*.err"), key=lambda file: file.stat().st_mtime)

    def finished(self, jobs: Sequence[str]) -> None:
        """Cancel pilots that still wait in the queue.

        Args:
            jobs: ids.
        """
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", "--state=PENDING", *jobs], capture_output=True, timeout=60, check=False)

    def close(self) -> None:
        """Nothing: the jobs go on."""
