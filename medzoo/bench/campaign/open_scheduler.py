"""The scheduler of an engine by its name."""

from __future__ import annotations

from pathlib import Path

from medzoo.bench.campaign.parsl import ParslScheduler
from medzoo.bench.campaign.pilots import Scheduler
from medzoo.bench.campaign.slurm import SlurmScheduler
from medzoo.bench.campaign.slurm_options import SlurmOptions


def open_scheduler(
    engine: str, out: Path, slurm: SlurmOptions, *, device: str, workers: int, parsl_config: str | None
) -> Scheduler | None:
    """The scheduler of an engine; None for "local", whose workers are processes of the command.

    Args:
        engine: "local", "slurm" or "parsl".
        out: folder of the suite.
        slurm: options of Slurm's jobs.
        device: "auto" or "cpu".
        workers: number of them, for Parsl without a configuration.
        parsl_config: the user's Python file with Parsl's `config`.

    Raises:
        MissingExtraError: if the library of the engine is not installed.
        WorkerError: without Slurm.
    """
    if engine == "slurm":
        return SlurmScheduler(slurm, out / "campaign" / "slurm", device)
    if engine == "parsl":
        config = None if parsl_config is None else Path(parsl_config)
        return ParslScheduler(out / "campaign" / "parsl", workers, config)
    return None
