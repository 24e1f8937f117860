"""Look at this machine: will medzoo work here, and which checkpoints can be used now?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from medzoo.zoo.doctor import checkpoints, machine
from medzoo.zoo.doctor.report import DoctorReport, DoctorRow, clean
from medzoo.zoo.download.huggingface import is_offline_by_environment

Step = Callable[[], Iterator[DoctorRow]]


def diagnose(*, offline: bool = False, network_timeout: float = 3.0) -> DoctorReport:
    """Look at packages, device, home, sources of weights, registry and checkpoints; nothing is changed or downloaded.

    Args:
        offline: make no connection; HF_HUB_OFFLINE=1 and MEDZOO_HUB have the same effect.
        network_timeout: seconds for the Hub to answer, the look-up of its name included.

    Returns:
        Rows of PASS, WARN and FAIL; paths are shown from ~, and no names of hosts or users and no tokens.

    >>> report = diagnose(offline=True)
    >>> report.rows[0].check, report.rows[0].result
    ('python', 'PASS')
    """
    offline = offline or is_offline_by_environment()
    steps: tuple[tuple[str, Step], ...] = (
        ("python", machine.python),
        ("packages", machine.packages),
        ("extras", machine.extras),
        ("device", machine.device),
        ("home", machine.home),
        ("weights from", partial(checkpoints.sources, offline=offline, seconds=network_timeout)),
        ("registry", checkpoints.entries),
        ("checkpoints", partial(checkpoints.checkpoints, offline=offline)),
        ("left over", checkpoints.leftovers),
    )
    with ThreadPoolExecutor(len(steps)) as pool:  # torch, the network and the disk are waited for side by side
        found = list(pool.map(lambda step: _rows(*step), steps))
    return DoctorReport(machine.version("medzoo") or "(not installed)", tuple(row for rows in found for row in rows))


def _rows(label: str, step: Step) -> list[DoctorRow]:
    """The rows of one step; what nobody expected is a row as well."""
    rows = []
    try:
        for row in step():
            rows.append(row)  # noqa: PERF402 - those before an exception stay
    except Exception as error:
        fix = "medzoo doctor --json"
        if isinstance(error, ModuleNotFoundError) and error.name:
            fix = f"pip install {error.name}"
        elif isinstance(error, RuntimeError) and "home directory" in str(error):
            fix = machine.ELSEWHERE
        rows.append(
            DoctorRow(
                label, "FAIL", f"It could not be looked at (please report it): {type(error).__name__}: {error}", fix
            )
        )
    return [
        replace(row, detail=" ".join(clean(row.detail).split()), fix=clean(row.fix) if row.fix else None)
        for row in rows
    ]
