"""Check this machine: whether medzoo works on it, and which checkpoints can be used now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from medzoo.zoo.doctor import checkpoints, machine, packages
from medzoo.zoo.doctor.report import DoctorReport, DoctorRow, clean
from medzoo.zoo.download.huggingface import is_offline_by_environment

Step = Callable[[], Iterator[DoctorRow]]


def diagnose(*, offline: bool = False, network_timeout: float = 3.0) -> DoctorReport:
    """Check packages, device, home, sources of weights, registry and checkpoints; nothing is changed or downloaded.

    Args:
        offline: make no connection; HF_HUB_OFFLINE=1 and MEDZOO_HUB have the same effect.
        network_timeout: seconds for the Hub to answer, including the look-up of its name.

    Returns:
        Rows of PASS, WARN and FAIL. Paths start with ~; there are no names of hosts or users and no tokens.

    >>> report = diagnose(offline=True)
    >>> report.rows[0].check, report.rows[0].result
    ('python', 'PASS')
    """
    offline = offline or is_offline_by_environment()
    steps: tuple[tuple[str, Step], ...] = (
        ("python", packages.python),
        ("packages", packages.packages),
        ("extras", packages.extras),
        ("device", machine.device),
        ("home", machine.home),
        ("weights from", partial(checkpoints.sources, offline=offline, seconds=network_timeout)),
        ("registry", checkpoints.entries),
        ("checkpoints", partial(checkpoints.checkpoints, offline=offline)),
        ("left over", checkpoints.leftovers),
    )
    with ThreadPoolExecutor(len(steps)) as pool:  # import torch and wait for network and disk at the same time
        results = list(pool.map(lambda step: _rows(*step), steps))
    return DoctorReport(packages.version("medzoo") or "(not installed)", tuple(row for rows in results for row in rows))


def _rows(label: str, step: Step) -> list[DoctorRow]:
    """The rows of one step; an unexpected exception becomes a row too."""
    rows = []
    try:
        for row in step():
            rows.append(row)  # noqa: PERF402 - rows before an exception are kept
    except Exception as error:
        fix = "medzoo doctor --json"
        if isinstance(error, ModuleNotFoundError) and error.name:
            fix = f"pip install {error.name}"
        elif isinstance(error, RuntimeError) and "home directory" in str(error):
            fix = machine.ELSEWHERE
        detail = f"This check failed (please report it): {type(error).__name__}: {error}"
        rows.append(DoctorRow(label, "FAIL", detail, fix))
    return [
        replace(row, detail=" ".join(clean(row.detail).split()), fix=clean(row.fix) if row.fix else None)
        for row in rows
    ]
