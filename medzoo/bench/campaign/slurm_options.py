"""The options of jobs on a Slurm cluster."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from medzoo.errors import UsageError
from medzoo.training.options.fields import check_values, option

SECTION = "Slurm"
# what medzoo sets itself, or has an option for
OWN = {
    "array": "--workers", "partition": "--partition", "account": "--account", "time": "--time-limit", "mem": "--memory",
    "cpus-per-task": "--cpus-per-worker", "gpus-per-node": "--gpus-per-worker", "output": "", "error": "", "signal": "", "wrap": "",
    "ntasks": "", "nodes": "", "ntasks-per-node": "", "open-mode": "",
}  # fmt: skip


@dataclass
class SlurmOptions:
    """Slurm."""

    partition: str | None = option("of the jobs", section=SECTION, metavar="NAME", shown="the cluster's")
    account: str | None = option("of the jobs", section=SECTION, metavar="NAME", shown="the user's")
    time_limit: int = option(
        "of a worker; it takes new runs during 80 % of it (less below 50 minutes), saves a run that is in progress at the end, and "
        "starts again",
        240,
        section=SECTION,
        metavar="MINUTES",
        least=2,
        most=525_600,
    )
    gpus_per_worker: int | None = option(
        "1 or 0", section=SECTION, metavar="N", shown="1, or 0 with --device cpu", least=0, most=1
    )
    cpus_per_worker: int = option("cores of a worker", 4, section=SECTION, metavar="N", least=1, most=1024)
    memory: float | None = option(
        "main memory of a worker", section=SECTION, metavar="GB", shown="the cluster's", above=0, most=100_000
    )
    sbatch: str | None = option(
        'other options of sbatch, in one text: "qos=long constraint=a100 exclusive"', section=SECTION, metavar="TEXT"
    )

    def check(self) -> None:
        """Refuse invalid options.

        Raises:
            UsageError: names the option.
        """
        check_values(self)
        other_parameters(self.sbatch or "")


def other_parameters(text: str) -> dict[str, str | bool]:
    """The options of sbatch in a text.

    Args:
        text: as on a command line.

    Raises:
        UsageError: for other text, or an option that medzoo sets itself.

    >>> other_parameters("qos=long exclusive --comment='my table'")
    {'qos': 'long', 'exclusive': True, 'comment': 'my table'}
    """
    found: dict[str, str | bool] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--sbatch is {text!r:.200}: {error}.", code="sbatch-options-invalid") from error
    for word in words:
        form = re.fullmatch(r"(?:--)?([a-z][a-z-]+)(?:=(.+))?", word)
        if form is None:
            raise UsageError(
                f"--sbatch has {word!r:.80}; write each option as name=value or name.",
                code="sbatch-options-invalid",
            )
        name, value = form.groups()
        if name in OWN:
            how = f"use {OWN[name]}" if OWN[name] else "medzoo sets it"
            raise UsageError(f"--sbatch has {name}; {how}.", code="sbatch-option-reserved")
        found[name] = True if value is None else value
    return found
