"""Pilots through Parsl: several processes of this machine, or every scheduler that Parsl has a provider for."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from medzoo import cores
from medzoo.bench.campaign.local import THREADS, gpus_of
from medzoo.bench.campaign.pilots import Pilot, PilotJob
from medzoo.errors import MissingExtraError, UsageError, WorkerError

LAST_LOOK = 10.0  # seconds
RETRIES = 3  # of a pilot whose process died, with the configuration of this file


class ParslScheduler:
    """Gives pilots to Parsl; this process must stay alive until they end.

    Args:
        folder: of Parsl's files.
        workers: number of pilots that the configuration of this file runs at a time.
        config: a user's Python file with a `config` object of `parsl.Config`; without it, processes of this machine.

    Raises:
        MissingExtraError: without parsl.
        UsageError: if the file has no such object.
    """

    name, uses_gpu = "parsl", False  # what its machines have is not known

    def __init__(self, folder: Path, workers: int, config: Path | None = None) -> None:
        try:
            import parsl  # noqa: F401 - before anything is computed
        except ImportError as error:
            raise MissingExtraError("parsl", "parsl", "--engine parsl") from error
        self.folder, self.workers = folder.absolute(), workers
        self.is_own = config is None
        self._config = None if config is None else read_config(config)
        self._kernel: Any = None
        self._pilots: dict[str, list[Future[None]]] = {}

    def submit(self, pilot: Pilot, count: int) -> PilotJob:
        """Give pilots to Parsl.

        Args:
            pilot: the work of each.
            count: their number.
        """
        import parsl

        if self.is_own and THREADS not in os.environ:  # the pilots share this machine
            pilot = replace(pilot, environment={THREADS: str(max(1, cores.usable_cores() // self.workers))})
        if self._kernel is None:
            # Parsl starts its interchange.py by name
            os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
            self.folder.mkdir(parents=True, exist_ok=True)
            self._kernel = parsl.DataFlowKernel(self._config or _this_machine(self.folder, self.workers))
        app = parsl.python_app(run_pilot, data_flow_kernel=self._kernel)
        name = str(len(self._pilots) + 1)
        self._pilots[name] = [app(pilot) for _ in range(count)]
        return PilotJob(name, Path(self._kernel.run_dir))

    def is_active(self, jobs: Sequence[str]) -> bool:
        """Whether Parsl has a pilot of these jobs that has not ended.

        Args:
            jobs: names of jobs; those of an earlier process have ended with it.
        """
        return any(not pilot.done() for job in jobs for pilot in self._pilots.get(job, []))

    def queue(self, jobs: Sequence[str]) -> str:
        """That Parsl has not started a pilot.

        Args:
            jobs: names of jobs.
        """
        return f"Parsl starts its workers; its log is {Path(self._kernel.run_dir) / 'parsl.log'}"

    def advice(self, jobs: Sequence[str]) -> str:
        """What happens to the pilots of a process that ends.

        Args:
            jobs: names of jobs.
        """
        return "The workers of Parsl end with this command. The same command continues their runs."

    def logs(self, job: PilotJob) -> list[Path]:
        """Files with the errors of pilots, and Parsl's own log.

        Args:
            job: as submitted.
        """
        said = [str(error) for pilot in self._pilots.get(job.name, []) if pilot.done() and (error := pilot.exception())]
        if said:
            (job.logs / "pilots.log").write_text("\n".join(said) + "\n")
        return [file for name in ("parsl.log", "pilots.log") if (file := job.logs / name).is_file()]

    def finished(self, jobs: Sequence[str]) -> None:
        """Wait for pilots that are at their last look, so that their record ends with "stop".

        Args:
            jobs: names of jobs.
        """
        wait([pilot for job in jobs for pilot in self._pilots.get(job, [])], LAST_LOOK)

    def close(self) -> None:
        """End Parsl and its processes."""
        if self._kernel is not None:
            self._kernel.cleanup()
            self._kernel = None


def run_pilot(pilot: Pilot) -> None:
    """The function that Parsl calls in its workers. Parsl uses their processes again, so one with a broken GPU ends.

    Args:
        pilot: the work.
    """
    try:
        pilot()
    except WorkerError as error:
        if error.code != "worker-must-restart":
            raise
        print(error, file=sys.stderr, flush=True)
        os._exit(1)  # Parsl starts a new process, and tries the pilot again


def read_config(file: Path) -> Any:  # noqa: ANN401 - parsl.Config
    """Run a user's Python file and return its `config`; so Parsl's users write their configurations.

    Args:
        file: named on the command line.

    Raises:
        UsageError: if there is no such file, or no `parsl.Config` in it.
    """
    from parsl.config import Config

    if not file.expanduser().is_file():
        raise UsageError(
            f"--parsl-config is {str(file)!r:.200}; there is no such file. Check the path.", code="parsl-config-missing"
        )
    found = runpy.run_path(str(file.expanduser())).get("config")
    if not isinstance(found, Config):
        raise UsageError(
            f"{file} has no `config = parsl.Config(...)`. Parsl's documentation has examples for many clusters.",
            code="parsl-config-invalid",
        )
    return found


def _this_machine(folder: Path, workers: int) -> Any:  # noqa: ANN401 - parsl.Config
    """Processes of this machine, each with one GPU if there are several."""
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    executor = HighThroughputExecutor(
        label="medzoo",
        address="127.0.0.1",
        max_workers_per_node=workers,
        cores_per_worker=1e-3,  # only the number of workers counts
        available_accelerators=gpus_of(workers),
        provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    )
    return Config(executors=[executor], run_dir=str(folder), retries=RETRIES, strategy="none", usage_tracking=0)
